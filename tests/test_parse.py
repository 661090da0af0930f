"""The parser: fixed by fixtures, and by the facts of the real notes."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.corpus import read_corpus
from rag.parse import assign_labels, parse_document
from rag.types import Question
from tests.conftest import CORPUS, make_document

FIXTURES = Path(__file__).parent / "fixtures" / "parse.md"


def read_fixtures() -> list[tuple[str, str, str]]:
    parts = ("\n" + FIXTURES.read_text(encoding="utf-8")).split("\n.\n")
    triples = zip(parts[0::3], parts[1::3], parts[2::3], strict=False)
    return [(title.strip(), source, expected) for title, source, expected in triples]


def describe(question: Question) -> str:
    return f"{question.label} | {question.lines[0]}-{question.lines[1]} | {question.content} | {question.title}"


@pytest.mark.parametrize(("title", "source", "expected"), read_fixtures(), ids=[entry[0] for entry in read_fixtures()])
def test_notes_in_this_style_give_these_questions(title: str, source: str, expected: str) -> None:
    questions = assign_labels(parse_document(make_document(source)))
    assert [describe(question) for question in questions] == expected.strip().splitlines()


@pytest.fixture(scope="module")
def real() -> tuple[Question, ...]:
    return assign_labels([q for document in read_corpus([CORPUS]).documents for q in parse_document(document)])


def test_the_real_notes_have_39_questions_with_the_numbers_they_print(real: tuple[Question, ...]) -> None:
    labels = [question.label for question in real if not question.parent]
    numbers = ["1", "1b", *map(str, range(3, 13)), "13.6", *map(str, range(14, 26)), *map(str, range(27, 36)), "35b"]
    assert labels == [f"Q{number}" for number in [*numbers, "36", "37", "38", "39"]]


def test_the_real_notes_have_the_sub_questions_printed_in_their_bodies(real: tuple[Question, ...]) -> None:
    subs = {question.label: question.parent.rpartition(":")[2] for question in real if question.parent}
    assert subs == {f"Q{outer}.{inner}": f"Q{outer}" for outer in (29, 30) for inner in (1, 2, 3)}


def test_questions_of_the_real_notes_without_text_are_marked(real: tuple[Question, ...]) -> None:
    marked = {question.label: question.content for question in real if question.content != "text"}
    assert marked == {"Q12": "empty", "Q31": "picture"}


@pytest.mark.parametrize(
    ("label", "lines"),
    [("Q1", (3, 16)), ("Q4", (40, 48)), ("Q12", (137, 138)), ("Q29.2", (273, 281)), ("Q39", (427, 434))],
)
def test_questions_of_the_real_notes_stand_at_their_lines(
    real: tuple[Question, ...], label: str, lines: tuple[int, int]
) -> None:
    assert {question.label: question.lines for question in real}[label] == lines


def test_numbers_in_two_files_are_told_apart_by_the_file() -> None:
    first = parse_document(make_document("# 1. 甲？\n\n甲。\n\n# 2. 乙？\n\n乙。", "a"))
    second = parse_document(make_document("# 1. 丙？\n\n丙。", "b"))
    assert [question.label for question in assign_labels([*first, *second])] == ["a:Q1", "Q2", "b:Q1"]


def test_a_file_of_five_megabytes_is_parsed_whole() -> None:
    text = "".join(f"# {n}. 第 {n} 个问题是什么？\n\n{'这里是答案的一句话。' * 25}\n\n" for n in range(1, 7000))
    questions = parse_document(make_document(text))
    assert len(text.encode()) > 5_000_000
    assert len(questions) == 6999


LINE = st.sampled_from(
    ["# 1. 什么是甲？", "## 小节", "正文一句话。", "", "```", "- 项", "1. 列表", "* * *", "===", "---", "| a | b |", "$$", "**加粗？**",
     "29.1 小题", "<details>", "<summary>问？</summary>", "<!-- 注", "-->", "    代码", "Q2: 什么是乙？", "> 引用", "![图](a.png)", "\u3000"]
)  # fmt: skip


@given(st.lists(LINE, max_size=30))
def test_every_word_after_the_first_question_belongs_to_a_question(lines: list[str]) -> None:
    text = "# 7. 开头的题？\n\n" + "\n".join(lines)
    outer = [question for question in parse_document(make_document(text)) if not question.parent]
    covered = {at for question in outer for at in range(question.start, question.end)}
    headings = {line for line in text.splitlines() if line.startswith(("#", "<summary>"))}
    headings |= {line for line, below in pairwise(text.splitlines()) if below.startswith(("===", "---"))}
    lost = [line for line, at in _line_offsets(text) if line.strip() and at not in covered and line not in headings]
    assert not [
        line for line in lost if any(char.isalnum() for char in line) and "details" not in line and "<!--" not in line
    ]


@given(st.text(max_size=400))
def test_no_text_crashes_the_parser_and_ranges_stay_inside(text: str) -> None:
    folded = text.replace("\r\n", "\n").replace("\r", "\n")
    for question in assign_labels(parse_document(make_document(folded))):
        assert 0 <= question.start <= question.body_start <= question.end <= len(folded)
        assert question.lines[0] <= question.lines[1]


def _line_offsets(text: str) -> list[tuple[str, int]]:
    offsets, at = [], 0
    for line in text.split("\n"):
        offsets.append((line, at))
        at += len(line) + 1
    return offsets
