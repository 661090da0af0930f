"""Answers that break off."""

import pytest

from rag.pipeline import Notes
from rag.unfinished import is_cut_off


@pytest.mark.parametrize(
    "text",
    [
        "分为以下几步：",
        "首先是查询，",
        "详细分析见问题",
        "原因如下所示",
        "有两种做法（一种是",
        "而同理nlp领域认为句",
        "先归一化。\n\n为什么要在Attention",
        "它能减少参数，并且",
        "第一步。\n\n- 正确性证明 TODO",
        "待补充",
        "1. 甲\n2. 乙\n3.",
        "见下图\n\n* * *\n",
        "**实现原理：**",
    ],
)
def test_text_that_ends_in_the_middle_is_cut_off(text: str) -> None:
    assert is_cut_off(text)


@pytest.mark.parametrize(
    "text",
    [
        "为了计算更快。",
        "其实本质上是论文原作者发现这样效果确实好",
        "Dropout",
        "分层softmax",
        "结构如下图：\n\n![图](a.png)",
        "公式如下：\n\n$$\nx\n$$",
        "代码如下：\n\n```\na = 1\n```",
        "参考：[知乎](https://a.cn)",
        "参考：https://a.cn",
        "取值是 1，2，3，",
        "「相同点」：都用上下文。",
        "计算复杂度（与长度的平方成正比）",
        "* 甲\n* 乙\n*   \n",
        "图2 流水线并行，",
        "",
    ],
)
def test_text_that_ends_is_not(text: str) -> None:
    assert not is_cut_off(text)


def test_three_questions_of_the_notes_break_off(notes: Notes) -> None:
    found = [
        question.label
        for question in notes.questions
        if not question.parent
        and is_cut_off(
            "".join(passage.text for passage in notes.passages[question.id])[question.body_start - question.start :]
        )
    ]
    assert found == ["Q11", "Q16", "Q39"]
