"""Every number of the benchmark gets worse when what it measures is broken: real answers, broken one way at a time."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eval.judge import (
    CITATION_HIT,
    CITATION_PRECISION,
    DECISION,
    FIRST_RIGHT,
    POINTS,
    RANKING_MEASURES,
    VALUES,
    Observation,
    Source,
    judge,
    judge_answer,
)
from eval.observe import RememberingEncoder, find_outer, observe_notes
from eval.queries import EvalQuery, load_queries
from eval.spans import resolve_spans
from eval.summary import Summary, summarise
from rag.corpus import read_corpus
from rag.pipeline import Notes
from rag.types import Answer, Query
from tests.conftest import CORPUS

PER_CATEGORY = 3
RANKS = (*RANKING_MEASURES, FIRST_RIGHT)
CITES = (CITATION_HIT, CITATION_PRECISION, POINTS)
Said = list[Observation]


@pytest.fixture(scope="module")
def queries() -> tuple[EvalQuery, ...]:
    kept: dict[str, list[EvalQuery]] = {}
    for query in load_queries():
        own = kept.setdefault(query.category, [])
        if len(own) < PER_CATEGORY:
            own.append(query)
    return tuple(query for own in kept.values() for query in own)


@pytest.fixture(scope="module")
def source(notes: Notes, queries: tuple[EvalQuery, ...]) -> Source:
    documents = read_corpus([CORPUS]).documents
    spans = resolve_spans(queries, documents, notes.questions, Path("queries.jsonl"))
    return Source({document.path: document.text for document in documents}, find_outer(notes.questions), spans)


@pytest.fixture(scope="module")
def said(notes: Notes, queries: tuple[EvalQuery, ...]) -> Said:
    return observe_notes(notes, queries)


def with_answer(one: Observation, change: Callable[[Answer], Answer]) -> Observation:
    assert one.answer
    return replace(one, answer=change(one.answer))


def reverse(said: Said) -> Said:
    return [replace(one, ranking=one.ranking[::-1]) for one in said]


def empty(said: Said) -> Said:
    return [replace(one, ranking=()) for one in said]


def mislabel(said: Said) -> Said:
    return [replace(one, ranking=tuple((f"x{label}", score) for label, score in one.ranking)) for one in said]


def cite_others(said: Said) -> Said:
    """Give each answer the citations of one to another query."""
    others = [one.answer.citations for one in said[len(said) // 2 :] + said[: len(said) // 2] if one.answer]
    return [
        with_answer(one, lambda answer, own=own: replace(answer, citations=own))  # type: ignore[misc]
        for one, own in zip(said, others, strict=True)
    ]


def cite_nothing(said: Said) -> Said:
    return [with_answer(one, lambda answer: replace(answer, citations=())) for one in said]


def flip(said: Said) -> Said:
    return [with_answer(one, lambda answer: replace(answer, abstained=not answer.abstained)) for one in said]


def read(summary: Summary, name: str) -> float:
    value = summary["overall"][name]["mean"] if name in VALUES else summary["abstention"][name]
    return float(value)


def sum_up(queries: tuple[EvalQuery, ...], said: Said, source: Source) -> Summary:
    return summarise(judge(queries, said, source))


def test_real_retrieval_is_measured_well(queries: tuple[EvalQuery, ...], said: Said, source: Source) -> None:
    summary = sum_up(queries, said, source)
    assert read(summary, "nDCG@10") > 0.7
    assert read(summary, "auroc") > 0.8
    assert {name for name in VALUES if name not in summary["overall"]} == set()
    assert set(summary["abstention"]) == {"precision", "recall", "f1", "auroc", "aurc"}


@pytest.mark.parametrize(
    ("broken", "worse"),
    [
        (reverse, RANKS),
        (empty, RANKS),
        (mislabel, RANKS),
        (cite_others, CITES),
        (cite_nothing, CITES),
        (flip, (DECISION, "precision", "recall", "f1", POINTS)),
    ],
)
def test_broken_retrieval_is_measured_worse(
    broken: Callable[[Said], Said],
    worse: tuple[str, ...],
    queries: tuple[EvalQuery, ...],
    said: Said,
    source: Source,
) -> None:
    before, after = sum_up(queries, said, source), sum_up(queries, broken(said), source)
    assert {name: read(after, name) for name in worse if read(after, name) >= read(before, name)} == {}


def test_confidence_the_wrong_way_round_is_measured_worse(
    queries: tuple[EvalQuery, ...], said: Said, source: Source
) -> None:
    before = sum_up(queries, said, source)
    after = sum_up(queries, [replace(one, confidence=-one.confidence) for one in said], source)
    assert read(after, "auroc") == pytest.approx(1 - read(before, "auroc"), abs=1e-3)
    assert read(after, "aurc") > read(before, "aurc")


def test_a_slower_search_is_measured_slower(queries: tuple[EvalQuery, ...], said: Said, source: Source) -> None:
    times = sum_up(queries, [replace(one, search_ms=2 * one.search_ms + 1) for one in said], source)["search_ms"]
    before = sum_up(queries, said, source)["search_ms"]
    assert times["p50"] > before["p50"]
    assert times["p99"] > before["p99"]


def test_the_empty_query_is_asked_and_abstained_on(notes: Notes, source: Source) -> None:
    query = EvalQuery("n0", Query(""), "adversarial", "dev", {})
    record = judge([query], observe_notes(notes, [query]), source)[0]
    assert (record.abstained, record.values) == (True, {DECISION: 1.0})


def test_what_is_not_covered_is_left_out_of_the_ranking_measures(source: Source) -> None:
    query = EvalQuery("n0", Query("今天天气"), "offtopic", "dev", {})
    seen = Observation((("Q1", 1.0),), 0.9, 1.0, Answer(query.query.text, "……", False, "extractive"))
    record = judge([query], [seen], source)[0]
    assert record.values == {DECISION: 0.0, CITATION_PRECISION: 0.0}
    assert record.loss == 1.0


def test_abstaining_on_a_covered_query_holds_none_of_its_points(queries: tuple[EvalQuery, ...], source: Source) -> None:
    query = next(query for query in queries if query.evidence)
    answer = Answer(query.query.text, "笔记里没有", True, "extractive")
    assert judge_answer(query, answer, source) == {DECISION: 0.0, POINTS: 0.0}


def test_a_system_that_only_ranks_has_no_decisions(queries: tuple[EvalQuery, ...], said: Said, source: Source) -> None:
    summary = sum_up(queries, [replace(one, answer=None) for one in said], source)
    assert set(summary["overall"]) == set(RANKS)
    assert set(summary["abstention"]) == {"auroc", "aurc"}


def test_a_remembered_batch_is_the_encoders_own(notes: Notes) -> None:
    encoder = RememberingEncoder(notes.encoder)
    batch = ["注意力", "位置编码"]
    first = encoder.embed_passages(batch)
    assert encoder.embed_passages(list(batch)) is first
    assert (first == notes.encoder.embed_passages(batch)).all()
    assert encoder.embed_passages(batch[:1]).shape == (1, encoder.dim)
