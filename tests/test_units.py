"""How an answer text is cut into what can be quoted."""

import pytest

from rag.pipeline import Notes
from rag.types import Passage, Question
from rag.units import Unit, join_passages, split_units


def split(body: str) -> list[Unit]:
    printed = "# 1. 什么是残差？"
    text = f"{printed}\n\n{body}\n"
    start = len(printed) + 1
    lines = (1, text.count("\n"))
    question = Question(
        "a:Q1", "Q1", "1", printed[5:], printed, "a.md", 0, start, len(text), lines, headings=(), content="text"
    )
    passage = Passage("a:Q1#0", "a:Q1", text, 0, len(text), lines, (), "", "")
    return split_units(question, join_passages(question, [passage]))


def texts(body: str) -> list[str]:
    return [unit.text.strip() for unit in split(body)]


def heading_of(unit: Unit) -> str:
    return unit.whole.text[slice(*unit.heading)].strip() if unit.heading else ""


def test_prose_is_cut_into_sentences_and_blocks_stay_whole() -> None:
    body = "先说结论。再说「原因。」还有吗？\n\n```python\na = 1\n\nb = 2\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n* 甲\n* 乙"
    assert texts(body) == [
        "先说结论。",
        "再说「原因。」",
        "还有吗？",
        "```python\na = 1\n\nb = 2\n```",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "* 甲\n* 乙",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "损失是 $f(x)=1!2?3$，见 `a。b` 和 [链接](http://a.cn/?b)。",
        "公式 \\(a。b\\) 与 $$x。\ny$$ 都不切开。",
        "前半句；后半句。",
    ],
)
def test_no_sentence_ends_inside_a_formula_code_or_clause(sentence: str) -> None:
    assert texts(sentence) == [sentence]


def test_a_wrapped_english_sentence_is_one_unit() -> None:
    assert texts("Residual connections\nadd the input to the output. They help.") == [
        "Residual connections\nadd the input to the output.",
        "They help.",
    ]


def test_what_ends_in_a_colon_goes_with_its_steps_and_no_further() -> None:
    body = "做法如下：\n\n80% 换成 mask\n\n10% 换成别的词\n\n10% 不变\n\n这样训练和微调更一致。"
    assert texts(body) == ["做法如下：\n\n80% 换成 mask\n\n10% 换成别的词\n\n10% 不变", "这样训练和微调更一致。"]


def test_a_long_list_is_cut_into_its_outer_items() -> None:
    items = [f"{number}. {'很长的一条' * 15}\n   - 里面的一条\n" for number in (1, 2, 3, 4)]
    assert texts("".join(items)) == [item.strip() for item in items]


def test_headings_are_no_units_but_are_known_to_what_stands_below() -> None:
    body = "开头一句。\n\n## 训练\n\n先训练。\n\n测试\n----\n\n再测试。\n\n**注意**\n\n要小心。\n\n1.2 为什么要这样？\n没办法。"
    assert [(unit.text.strip(), heading_of(unit)) for unit in split(body)] == [
        ("开头一句。", ""),
        ("先训练。", "## 训练"),
        ("再测试。", "测试\n----"),
        ("要小心。", "**注意**"),
        ("没办法。", "1.2 为什么要这样？"),
    ]


def test_a_line_in_bold_with_nothing_below_it_is_an_answer() -> None:
    assert texts("**Dropout**") == ["**Dropout**"]
    assert texts("## 训练\n\n## 测试\n\n再测试。") == ["再测试。"]


def test_pictures_their_names_and_pointers_elsewhere_are_left_out() -> None:
    body = "答案参考：[知乎](https://a.cn/b)\n\n![图](a.png)\n\nimage.png\n\n* * *\n\n正文。\n\nhttps://a.cn/c"
    assert texts(body) == ["正文。"]


def test_joined_passages_are_the_slice_of_the_question_itself(notes: Notes) -> None:
    def check(question: Question) -> None:
        whole = join_passages(question, notes.passages[question.parent or question.id])
        own = [passage for passage in notes.passages[question.parent or question.id] if passage.end > whole.start]
        text = "".join(passage.text for passage in own)
        assert (whole.start, whole.end) == (question.start, question.end)
        assert text[whole.start - own[0].start :].startswith(whole.text)
        assert whole.lines[0] == question.lines[0]

    for question in notes.questions:
        check(question)


def test_the_units_of_a_question_never_overlap_and_stay_inside_it(notes: Notes) -> None:
    for question in notes.questions:
        units = split_units(question, join_passages(question, notes.passages[question.parent or question.id]))
        borders = [place for unit in units for place in (unit.start, unit.end)]
        assert borders == sorted(borders)
        assert all(unit.text.strip() and unit.end <= question.end - question.start for unit in units)
        assert bool(units) == (question.content == "text")
