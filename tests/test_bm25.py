"""BM25: a worked example, a library as oracle, storage."""

import math
from collections import Counter

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import bm25
from rag.bm25 import Bm25
from rag.tokenize import analyse, analyse_query

TEXTS = ["注意力机制的计算", "位置编码", "多头注意力和位置", "layer norm 与 batch norm", "BERT 的 mask 策略"]


def build(texts: list[str]) -> Bm25:
    return Bm25.build([[(analyse(text), 1.0)] for text in texts])


def test_scores_match_the_formula_by_hand() -> None:
    scores = build(["甲乙", "甲"]).search({"乙": 1.0}).scores
    # Terms of the first: 甲, 乙, 甲乙 (length 3); of the second: 甲 (length 1); mean length 2.
    idf = math.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    norm = 1.2 * (1 - 0.75 + 0.75 * 3 / 2)
    assert scores[0] == pytest.approx(idf * 2.2 / (1 + norm), rel=1e-5)
    assert scores[1] == 0


@pytest.mark.parametrize("query", ["注意力", "位置", "layer norm", "mask 位置"])
def test_scores_agree_with_bm25s(query: str) -> None:
    oracle = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    oracle.index([analyse(text) for text in TEXTS], show_progress=False)
    expected = oracle.get_scores(analyse_query(query))
    np.testing.assert_allclose(
        build(TEXTS).search(Counter(analyse_query(query))).scores, np.asarray(expected) * 2.2, rtol=1e-4
    )


def test_a_heavier_field_ranks_higher() -> None:
    attention, other = analyse("注意力"), analyse("别的")
    scores = (
        Bm25.build([[(other, 2.0), (attention, 1.0)], [(attention, 2.0), (other, 1.0)]])
        .search(Counter(attention))
        .scores
    )
    assert scores[1] > scores[0] > 0


def test_no_score_exceeds_the_ceiling_and_no_word_means_no_ceiling() -> None:
    match = build(TEXTS).search(Counter(analyse_query("注意力和位置编码")))
    assert 0 < match.scores.max() < match.ceiling
    assert build(TEXTS).search({}).ceiling == 0


def test_the_best_texts_are_among_those_that_have_a_word() -> None:
    match = build(TEXTS).search(Counter(analyse_query("位置")))
    assert set(match.touched.tolist()) == {1, 2}
    assert match.best(1).tolist() == [int(match.scores.argmax())]


def test_the_commonest_terms_are_left_out_when_the_budget_of_postings_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [["common", "rare"], ["common"], ["common"], ["other"]]
    index = Bm25.build([[(terms, 1.0)] for terms in texts])
    assert index.search({"common": 1.0, "rare": 1.0}).scores[1] > 0
    monkeypatch.setattr(bm25, "POSTINGS_BUDGET", 2)
    assert index.search({"common": 1.0, "rare": 1.0}).scores[1] == 0
    assert index.search({"common": 1.0, "rare": 1.0}).scores[0] > 0


def test_only_terms_of_the_texts_are_known() -> None:
    assert build(TEXTS).has("注意")
    assert not build(TEXTS).has("残差")


@given(st.lists(st.text(max_size=40), max_size=6), st.text(max_size=40))
def test_any_text_can_be_indexed_asked_and_stored(texts: list[str], query: str) -> None:
    index = build(texts)
    scores = index.search(Counter(analyse(query))).scores
    assert scores.shape == (len(texts),)
    np.testing.assert_array_equal(scores, Bm25(index.to_arrays()).search(Counter(analyse(query))).scores)
