"""What an answer shows of the notes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answer import (
    describe_missing_text,
    introduce,
    is_cut_off,
    readable,
    write_heading,
    write_not_covered,
    write_quote,
)
from rag.types import AnswerText, Question


def make_question(title: str, content: AnswerText = "text") -> Question:
    return Question("a:Q1", "Q1", "1", title, f"1. {title}", "a.md", 0, 0, 9, (1, 1), headings=(), content=content)


def test_prose_in_a_code_fence_is_shown_as_prose_and_code_as_code() -> None:
    assert (
        readable("```\n答：在此后的研究中发现，NSP任务可能并不是必要的。 \n```\n")
        == "在此后的研究中发现，NSP任务可能并不是必要的。"
    )
    code = "```\nfc = nn.Linear(d, v, bias=False) # 定义，无 bias\n```"
    assert readable(code) == code
    assert readable("```python\n# 全是中文注释的代码\n```") == "```python\n# 全是中文注释的代码\n```"


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("![图](a.png)正文", "正文"),
        ("正文\n\n![图](a.png) \nimage.png\n\n下文", "正文\n\n下文"),
        ("上文\n\n* * *\n\n下文", "上文\n\n下文"),
        ("[原文](https://links.jianshu.com/go?to=https%3A%2F%2Fa.cn%2Fb)", "[原文](https://a.cn/b)"),
    ],
)
def test_pictures_and_rules_are_left_out_and_links_unwrapped(markdown: str, shown: str) -> None:
    assert readable(markdown) == shown


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("**半句粗体", "半句粗体"),
        ("**整句粗体**。", "**整句粗体**。"),
        ("Encoder 可以并行。」", "Encoder 可以并行。"),
        ("「相同点」：都用上下文", "「相同点」：都用上下文"),
        ("**一段**\n\n半句**另一段", "**一段**\n\n半句另一段"),
        ("```\na = b ** 2\n```", "```\na = b ** 2\n```"),
    ],
)
def test_a_mark_without_its_partner_is_dropped(markdown: str, shown: str) -> None:
    assert readable(markdown) == shown


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("答：先归一化。", "先归一化。"),
        ("**答案解析：** 先归一化。", "先归一化。"),
        ("注解：简单回答就是，不能。", "简单回答就是，不能。"),
        ("、Embedding 的本质", "Embedding 的本质"),
        ("答案：", "答案："),
        ("答案是归一化。", "答案是归一化。"),
    ],
)
def test_what_only_says_that_an_answer_follows_is_left_out(markdown: str, shown: str) -> None:
    assert readable(markdown) == shown


def test_a_fence_with_blank_lines_stays_as_it_is() -> None:
    code = "```python\nx = '**'\n\n\ny = '答：'\n```"
    assert readable(code) == code


@given(st.text(alphabet="甲乙。\n*「」`$|-# 1.:：答a", max_size=60))
def test_making_readable_adds_no_characters_and_leaves_no_blank_ends(markdown: str) -> None:
    shown = readable(markdown)
    assert len(shown) <= len(markdown)
    assert shown == shown.strip()


def test_labels_follow_the_quote_and_stand_below_code_tables_and_formulas() -> None:
    assert write_quote("先归一化。", ["Q1", "Q2"]) == "先归一化。 [Q1][Q2]"
    for block in ("```\na = 1\n```", "| a |\n|---|\n| 1 |", "$$\nx\n$$"):
        assert write_quote(block, ["Q1"]) == f"{block}\n\n[Q1]"


def test_a_heading_is_bold_without_its_number_and_marks() -> None:
    assert write_quote("先归一化。", ["Q1"], "2. 训练：\n----") == "**训练**\n\n先归一化。 [Q1]"
    assert write_heading("## 29.1 为什么要用 `mask`?") == "**为什么要用 mask?**"
    assert write_heading("**3D 卷积**") == "**3D 卷积**"


def test_a_question_without_text_says_what_it_has() -> None:
    assert describe_missing_text(make_question("什么是残差", "empty")).endswith("还没有写答案。")
    assert "只有图片" in describe_missing_text(make_question("什么是残差", "picture"))


def test_another_question_is_introduced_by_what_it_asks_first() -> None:
    assert introduce(make_question("什么是残差？有什么用？")) == "另外，「什么是残差？」里讲到："
    assert introduce(make_question("很长" * 50)) == f"另外，「{('很长' * 50)[:59]}…」里讲到："


def test_what_is_not_covered_names_the_nearest_questions() -> None:
    assert write_not_covered([]) == "笔记里没有找到相关内容。"
    assert write_not_covered([make_question("什么是残差")]).endswith("离得最近的几题是：\n- [Q1] 什么是残差")


def test_the_answer_tells_of_text_that_breaks_off() -> None:
    assert is_cut_off("分为以下几步：")
