"""Judged spans: found in the notes, wherever the chunks are cut."""

from dataclasses import replace
from pathlib import Path

import pytest

from eval.citations import hits_a_span, share_of_points, share_right
from eval.queries import OWN, EvalQuery, load_queries
from eval.spans import JudgedSpan, Place, locate_citation, resolve_spans
from rag.corpus import read_corpus
from rag.errors import UsageError
from rag.parse import assign_labels, parse_document
from rag.pipeline import Notes
from rag.types import Citation, Document, Query, Question
from tests.conftest import CORPUS, make_document

TEXT = """# 笔记

## 1. 为什么缩放？

点积太大，softmax 的梯度就小。
所以除以根号 dk。

## 2. 又问一遍

点积太大，softmax 的梯度就小。

## 3. 别的

没有关系的话。
"""
DOCUMENT = make_document(TEXT)
TEXTS = {DOCUMENT.path: TEXT}
SOURCE = Path("queries.jsonl")


def parse(document: Document = DOCUMENT) -> tuple[Question, ...]:
    return assign_labels(list(parse_document(document)))


def ask(*evidence: str, **grades: int) -> EvalQuery:
    return EvalQuery("n1", Query("为什么"), "near", "dev", grades or {"Q1": 2}, evidence)


def cite(quote: str, label: str = "Q1", line: int = 5) -> Citation:
    return Citation(label, "", DOCUMENT.path, (line, line + quote.count("\n")), quote, 1.0)


def resolve(query: EvalQuery) -> tuple[JudgedSpan, ...]:
    return resolve_spans([query], [DOCUMENT], parse(), SOURCE)["n1"]


@pytest.mark.parametrize(("file", "least"), [(OWN, 500), (OWN.with_name("unseen.jsonl"), 250)])
def test_every_span_of_the_data_is_in_a_relevant_question(notes: Notes, file: Path, least: int) -> None:
    queries = load_queries(file)
    spans = resolve_spans(queries, read_corpus([CORPUS]).documents, notes.questions, SOURCE)
    assert sum(map(len, spans.values())) > least
    assert all(len(spans[query.id]) == len(query.evidence) for query in queries)


def test_a_span_has_offsets_in_every_relevant_question_that_says_it() -> None:
    said = "点积太大，softmax 的梯度就小。"
    first = TEXT.index(said)
    second = TEXT.index(said, first + 1)
    assert [place.start for place in resolve(ask(said, Q1=2))[0].places] == [first]
    both = resolve(ask(said, Q1=2, Q2=2))[0].places
    assert [(place.start, TEXT[place.start : place.end]) for place in both] == [(first, said), (second, said)]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (ask("梯度会爆炸"), "queries.jsonl: n1 的 evidence “梯度会爆炸” 在笔记里找不到"),
        (ask("没有关系的话。"), "n1 的 evidence “没有关系的话。” 不在 relevant 的 Q1 里"),
        (ask("没有关系的话。", Q1=2, Q3=1), "不在 relevant 的 Q1 里"),
        (ask(" "), "n1 的 evidence 里有一段是空的"),
        (ask(Q9=2), "n1 判给了 Q9，笔记里没有这一题"),
    ],
)
def test_a_span_that_does_not_fit_the_notes_is_named(query: EvalQuery, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(query)


def test_a_citation_is_located_on_the_line_it_names() -> None:
    said = "点积太大，softmax 的梯度就小。"
    places = [locate_citation(cite(said, line=line), TEXTS) for line in (5, 10)]
    assert [place and place.start for place in places] == [TEXT.index(said), TEXT.rindex(said)]


@pytest.mark.parametrize(
    "citation",
    [
        cite("点积太大", line=4),
        cite("点积太小"),
        cite("点积太大", line=99),
        replace(cite("点积太大"), file="x.md"),
        cite(""),
    ],
)
def test_a_citation_of_what_is_not_there_has_no_place(citation: Citation) -> None:
    assert locate_citation(citation, TEXTS) is None


def test_a_citation_hits_only_where_it_shares_a_character() -> None:
    spans = resolve(ask("所以除以根号 dk。"))
    assert hits_a_span([cite("除以根号", line=6)], spans, TEXTS)
    assert not hits_a_span([cite("点积太大，softmax 的梯度就小。")], spans, TEXTS)
    assert not hits_a_span([cite("没有关系的话。", "Q3", 14)], spans, TEXTS)
    assert not Place("a.md", 0, 5).overlaps(Place("a.md", 5, 9))
    assert not Place("a.md", 5, 9).overlaps(Place("a.md", 0, 5))
    assert Place("a.md", 4, 9).overlaps(Place("a.md", 0, 5))
    assert not Place("a.md", 0, 5).overlaps(Place("b.md", 0, 5))


def test_points_are_held_whole_whatever_the_white_space() -> None:
    spans = resolve(ask("softmax 的梯度就小。\n所以除以", "根号 dk"))
    assert share_of_points([cite("点积太大，softmax 的梯度就小。\n所以除以")], spans) == 0.5
    in_two = [cite("所以 除以根号\tdk", line=6), cite("softmax的梯度就小。")]
    assert share_of_points(in_two, spans) == 1.0
    assert share_of_points([cite("softmax")], spans) == share_of_points([], spans) == 0.0


def test_a_citation_is_right_by_its_question_or_the_one_around_it() -> None:
    citations = [cite("x", "Q1"), cite("x", "Q2.1"), cite("x", "Q3"), cite("x", "Q4")]
    assert share_right(citations, {"Q1": 2, "Q2": 1}, {"Q2.1": "Q2"}) == 0.5
    assert share_right([], {"Q1": 2}, {}) == 0.0
