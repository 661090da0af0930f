"""Questions named by number."""

import pytest

from rag.lookup import find_numbers, parse_chinese_number
from rag.pipeline import Notes


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("第16题", ["Q16"]), ("16题", ["Q16"]), ("第十六题", ["Q16"]), ("Q16", ["Q16"]), ("q29.1", ["Q29.1"]), ("16", ["Q16"]),
        ("35题有两个吗", ["Q35", "Q35b"]), ("Q35b", ["Q35b"]), ("第3到5题", ["Q3", "Q4", "Q5"]), ("3-5题", ["Q3", "Q4", "Q5"]),
        ("最后一题", ["Q39"]), ("倒数第二题", ["Q38"]), ("13", ["Q13.6"]), ("第16和第20题", ["Q16", "Q20"]), ("第1题", ["Q1", "Q1b"]),
        ("question 21", ["Q21"]), ("29.1 讲了什么", ["Q29.1"]), ("第 7 题和第 10 题", ["Q7", "Q10"]), ("Q6-Q8 帮我过一遍", ["Q6", "Q7", "Q8"]),
        ("13.6那题", ["Q13.6"]), ("第 三十五 题".replace(" ", ""), ["Q35", "Q35b"]),
    ],
)  # fmt: skip
def test_a_number_finds_the_question_that_prints_it(notes: Notes, text: str, labels: list[str]) -> None:
    lookup = find_numbers(text, notes.questions)
    assert lookup is not None
    assert [question.label for question in lookup.questions] == labels


@pytest.mark.parametrize(
    "text",
    [
        "我有一个问题",
        "两个问题的区别",
        "BERT有12层",
        "学习率1e-4",
        "三道题",
        "为什么除以8",
        "GPT2 是什么",
        "0.1 的学习率合适吗",
    ],
)
def test_an_amount_is_not_a_number_of_a_question(notes: Notes, text: str) -> None:
    assert find_numbers(text, notes.questions) is None


def test_a_number_the_notes_do_not_print_is_missing(notes: Notes) -> None:
    lookup = find_numbers("第26题讲了什么", notes.questions)
    assert lookup is not None
    assert (lookup.questions, lookup.missing, lookup.rest) == ((), ("26",), "讲了什么")


@pytest.mark.parametrize(("text", "number"), [("十", 10), ("十六", 16), ("三十五", 35), ("一百零二", 102), ("7", 7)])
def test_chinese_numerals_are_read(text: str, number: int) -> None:
    assert parse_chinese_number(text) == number


def test_other_words_are_no_number() -> None:
    with pytest.raises(ValueError, match="not a number"):
        parse_chinese_number("题")
