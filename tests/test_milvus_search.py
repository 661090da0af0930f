"""Searching in Milvus (Milvus Lite, the very code that talks to a server): the rankings of the local index."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag import retrieve
from rag.adapters import milvus
from rag.adapters.milvus_reader import StoredVectors
from rag.adapters.milvus_rows import Ids, Rows, Scores
from rag.build import build
from rag.config import Settings
from rag.lexical import WordIndex
from rag.pipeline import Notes, open_notes
from rag.tokenize import weigh_query
from rag.types import Hit, Query, Turn
from tests.conftest import CORPUS
from tests.milvus_store import keep_small_notes, make_settings, release

ROOT = Path(__file__).parent.parent
QUERIES = [json.loads(line) for line in (ROOT / "eval" / "data" / "queries.jsonl").read_text().splitlines()]
TIED = 2e-4
"""Scores are rounded to four digits, and Milvus adds its products in another order: hits this close may change places."""


@pytest.fixture(scope="module")
def stored(notes: Notes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notes]:
    """The real notes, imported into Milvus Lite."""
    settings = make_settings(tmp_path_factory.mktemp("milvus"))
    build(settings, notes.encoder)
    yield open_notes(settings, lambda line: None)
    release(Path(settings.store.removeprefix("milvus:")))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Settings]:
    with keep_small_notes(tmp_path) as settings:
        yield settings


def read_query(entry: dict[str, object]) -> Query:
    history = entry.get("history", [])
    assert isinstance(history, list)
    return Query(str(entry["text"]), tuple(Turn(turn["role"], turn["content"]) for turn in history))


def assert_same_order(first: Sequence[Hit], second: Sequence[Hit]) -> None:
    """Compare ids and scores place by place; hits that tie may stand in either order."""
    assert [hit.score for hit in second] == pytest.approx([hit.score for hit in first], abs=TIED)
    score_of = {hit.question.id: hit.score for hit in first}
    for one, other in zip(first, second, strict=True):
        # Q29 and Q30 say the same: where few are candidates, either may be the last of them.
        ties = abs(score_of.get(other.question.id, -1.0) - one.score) <= TIED
        assert other.question.id == one.question.id or ties or other.question.title == one.question.title


@pytest.mark.parametrize("limits", [(300, 512), (8, 12)], ids=["all-are-candidates", "few-candidates"])
def test_the_ten_best_are_those_of_the_local_index(
    notes: Notes, stored: Notes, limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieve, "MAX_CANDIDATES", limits[0])
    monkeypatch.setattr(retrieve, "DENSE_ROWS", limits[1])
    for entry in QUERIES[::25]:
        one, other = notes.search(read_query(entry)), stored.search(read_query(entry))
        assert_same_order(one.hits, other.hits)
        assert other.coverage == pytest.approx(one.coverage, abs=TIED)


def test_answers_and_citations_are_those_of_the_local_index(notes: Notes, stored: Notes) -> None:
    for text in (
        "为什么要除以根号dk",
        "第16题",
        "BERT 为什么要用 mask",
        "红烧肉怎么做",
        "NSP 有没有必要？另外学习率 warm-up 是怎么做的？",
    ):
        one, other = (replace(source.ask(Query(text)), elapsed_ms=0) for source in (notes, stored))
        assert (other.text, [c.label for c in other.citations]) == (one.text, [c.label for c in one.citations])
        assert [(c.lines, c.quote, c.digest) for c in other.citations] == [
            (c.lines, c.quote, c.digest) for c in one.citations
        ]


def test_questions_passages_and_what_says_the_same_are_those_of_the_local_index(notes: Notes, stored: Notes) -> None:
    assert stored.questions == notes.questions
    assert {key: list(passages) for key, passages in stored.passages.items()} == dict(notes.passages)
    q29 = next(question for question in notes.questions if question.label == "Q29")
    assert stored._searcher.same_content(q29) == notes._searcher.same_content(q29) == ["Q29", "Q30"]


@pytest.mark.parametrize("text", ["为什么用层归一化", "LayerNorm 和 BatchNorm", "zzzz", "红烧肉"])
def test_word_scores_are_bm25s_own(notes: Notes, stored: Notes, text: str) -> None:
    local, remote = WordIndex(notes.index.content.lexical).search(text), stored._searcher._words.search(text)
    every = np.arange(len(notes.index.content.passages))
    for one, other in (
        (local.passages, remote.passages),
        (local.concepts, remote.concepts),
    ):
        np.testing.assert_allclose(other.scores[every], one.scores[every], rtol=1e-4, atol=1e-5)
        assert other.ceiling == pytest.approx(one.ceiling)
    assert set(remote.passages.best(5)) <= set(np.flatnonzero(local.passages.scores))
    assert remote.n_unknown_names == local.n_unknown_names


def test_a_term_so_common_that_the_budget_is_spent_is_left_out_as_locally(
    notes: Notes, stored: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.bm25.POSTINGS_BUDGET", 30)
    monkeypatch.setattr("rag.adapters.milvus_reader.POSTINGS_BUDGET", 30)
    local, remote = (source._searcher._words._passages for source in (notes, stored))  # type: ignore[attr-defined]
    terms = weigh_query("层归一化的位置编码和注意力")
    every = np.arange(len(notes.index.content.passages))
    np.testing.assert_allclose(remote.search(terms).scores[every], local.search(terms).scores, rtol=1e-4, atol=1e-5)


def test_many_rows_get_an_approximate_index_and_candidates_are_scored_alike(
    notes: Notes, own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.adapters.milvus_rows.EXACT_ROWS", 10)
    settings = replace(own, corpus=(CORPUS,))
    build(settings, notes.encoder)
    client = milvus.connect(str(Path(own.store.removeprefix("milvus:")).resolve()), "")
    assert client.describe_index("mianjing_g0001", "vector")["index_type"] == "HNSW"
    opened = open_notes(settings, lambda line: None)
    for entry in QUERIES[::100]:
        assert_same_order(notes.search(read_query(entry)).hits, opened.search(read_query(entry)).hits)


def test_rows_that_an_approximate_search_does_not_reach_are_scored_all_the_same(stored: Notes) -> None:
    class Forgetful(Rows):
        def search(self, *values: object, **named: object) -> tuple[Ids, Scores]:
            rows, scores = super().search(*values, **named)  # type: ignore[arg-type]
            return rows[:3], scores[:3]

    whole = stored.index.content.vectors
    some = StoredVectors(Forgetful(whole._rows._client, whole._rows._name), len(whole))
    rows, query = np.array([5, 1, 9, 40, 2, 60]), whole.take(np.array([9]))
    np.testing.assert_allclose(some.score(rows, query), whole.score(rows, query), atol=1e-5)
    np.testing.assert_allclose(some.score(rows, query), whole.take(rows) @ query[0], atol=1e-5)
