"""Passages tile their questions and break nowhere they must not."""

from hypothesis import given
from hypothesis import strategies as st

from rag.chunk import chunk_document
from rag.corpus import read_corpus
from rag.parse import parse_document
from rag.types import Document, Passage
from tests.conftest import CORPUS, make_document

BLOCK = st.sampled_from(
    ["一句话。又一句话！再来一句？", "```python\nprint(1)\n\nprint(2)\n```", "$$\na = b\n$$", "| a | b |\n| - | - |\n| 1 | 2 |", "- 甲\n- 乙\n  续",
     "## 小节", "* * *", "29.1 小题是什么？\n答。", "行内 $x_1$ 公式。", "[链接。文字](http://a.b/c)。", "1. 列表\n2. 列表", "没有句号", "\u3000\u3000缩进。"]
)  # fmt: skip


def count(text: str) -> int:
    """Count one token a visible character."""
    return sum(not char.isspace() for char in text)


def chunk(text: str, max_tokens: int = 20) -> tuple[Document, tuple[Passage, ...]]:
    document = make_document(text)
    return document, chunk_document(document, parse_document(document), count, max_tokens)


@given(st.lists(BLOCK, min_size=1, max_size=12), st.integers(5, 60))
def test_passages_are_exact_slices_that_tile_their_questions(blocks: list[str], max_tokens: int) -> None:
    document = make_document("# 29. 题目是什么？\n\n" + "\n\n".join(blocks) + "\n\n# 30. 下一题是什么？\n\n完。\n")
    questions = parse_document(document)
    passages = chunk_document(document, questions, count, max_tokens)
    for question in (question for question in questions if not question.parent):
        own = [passage for passage in passages if passage.question == question.id]
        assert "".join(passage.text for passage in own) == document.text[question.start : question.end]
    for passage in passages:
        assert passage.text == document.text[passage.start : passage.end]
        first, last = passage.lines
        lines = document.text.split("\n")[first - 1 : last]
        assert passage.text.strip().split("\n")[0] in lines[0]
        assert passage.text.strip().split("\n")[-1] in lines[-1]


@given(st.lists(BLOCK, min_size=1, max_size=10))
def test_no_border_falls_inside_a_fence_a_formula_or_a_row(blocks: list[str]) -> None:
    document, passages = chunk("# 1. 题目是什么？\n\n" + "\n\n".join(blocks), 12)
    for whole in (
        "```python\nprint(1)\n\nprint(2)\n```",
        "$$\na = b\n$$",
        "| 1 | 2 |",
        "$x_1$",
        "[链接。文字](http://a.b/c)",
    ):
        assert sum(passage.text.count(whole) for passage in passages) == document.text.count(whole)


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    _, passages = chunk("# 1. 题？\n\n" + "十个字的一句话在这里。" * 6, 24)
    assert len(passages) > 2
    assert all(passage.text.rstrip().endswith("。") for passage in passages)


def test_another_answer_begins_another_passage() -> None:
    _, passages = chunk("# 1. 题？\n\n第一个答案在这里写着。\n\n* * *\n\n第二个答案。", 20)
    assert [passage.search_text for passage in passages] == ["第一个答案在这里写着。", "第二个答案。"]


def test_search_text_has_the_words_without_marks_links_and_pictures() -> None:
    _, passages = chunk("# 1. 题？\n\n**重点** 见 [论文](http://a.b/c) ![图](x.png) `code`", 99)
    assert passages[0].search_text == "重点 见 论文 code"


def test_passages_know_the_heading_they_stand_under() -> None:
    _, passages = chunk("# 1. 题是什么？\n\n## 原因\n\n因为甲乙丙丁戊己庚辛。\n\n## 过程\n\n先投影再拼接起来。", 20)
    assert [passage.headings[-1] for passage in passages] == ["原因", "过程"]


def test_passages_of_the_real_notes_stay_near_the_limit() -> None:
    document = read_corpus([CORPUS]).documents[0]
    passages = chunk_document(document, parse_document(document), count, 200)
    assert max(count(passage.text) for passage in passages) < 200 * 3
    assert sum(count(passage.text) > 200 for passage in passages) < len(passages) / 10
