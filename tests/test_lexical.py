"""BM25: a worked example, a library as oracle, and the folding of variants."""

import math

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.lexical import LexicalIndex, analyse, analyse_query

TEXTS = ["注意力机制的计算", "位置编码", "多头注意力和位置", "layer norm 与 batch norm", "BERT 的 mask 策略"]


def build(texts: list[str]) -> LexicalIndex:
    return LexicalIndex.build([[(text, 1.0)] for text in texts])


def test_scores_match_the_formula_by_hand() -> None:
    index = build(["甲乙", "甲"])
    # Terms of the first: 甲, 乙, 甲乙 (length 3); of the second: 甲 (length 1); mean length 2.
    idf = math.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    norm = 1.2 * (1 - 0.75 + 0.75 * 3 / 2)
    assert index.scores("乙")[0] == pytest.approx(idf * 2.2 / (1 + norm), rel=1e-5)
    assert index.scores("乙")[1] == 0


@pytest.mark.parametrize("query", ["注意力", "位置", "layer norm", "mask 位置"])
def test_scores_agree_with_bm25s(query: str) -> None:
    oracle = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    oracle.index([analyse(text) for text in TEXTS], show_progress=False)
    expected = oracle.get_scores(list(analyse_query(query)))
    np.testing.assert_allclose(build(TEXTS).scores(query), np.asarray(expected) * 2.2, rtol=1e-4)


@pytest.mark.parametrize(
    ("one", "other"), [("注意力機制", "注意力机制"), ("ＢＥＲＴ", "bert"), ("Warm-Up", "warm-up"), ("預訓練", "预训练")]
)
def test_variants_of_writing_give_the_same_terms(one: str, other: str) -> None:
    assert analyse(one) == analyse(other)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("注意力", ["注", "意", "力", "注意", "意力"]),
        ("LayerNorm", ["layernorm", "layer", "norm"]),
        ("warm-up", ["warm-up", "warm", "up", "warmup"]),
        ("c++ 与 w_k", ["c++", "c", "与", "w_k", "w", "k", "wk"]),
    ],
)
def test_text_is_cut_into_these_terms(text: str, terms: list[str]) -> None:
    assert sorted(analyse(text)) == sorted(terms)


def test_question_words_do_not_count_unless_there_is_nothing_else() -> None:
    assert analyse_query("为什么要用mask呢") == analyse("要用") + ["mask"]
    assert analyse_query("为什么") == analyse("为什么")


def test_a_heavier_field_ranks_higher() -> None:
    index = LexicalIndex.build([[("别的", 2.0), ("注意力", 1.0)], [("注意力", 2.0), ("别的", 1.0)]])
    scores = index.scores("注意力")
    assert scores[1] > scores[0] > 0


def test_no_score_exceeds_the_ceiling() -> None:
    match = build(TEXTS).search("注意力和位置编码")
    assert 0 < match.scores.max() < match.ceiling


@pytest.mark.parametrize(
    ("query", "unknown"),
    [("LoRA 和 BERT", (1, 0)), ("beam 怎么做 mask", (0, 1)), ("what is LoRA", (0, 0)), ("位置编码", (0, 0))],
)
def test_names_the_notes_never_mention_are_counted(query: str, unknown: tuple[int, int]) -> None:
    match = build(TEXTS).search(query)
    assert (match.n_unknown_names, match.n_unknown_words) == unknown


@given(st.lists(st.text(max_size=40), max_size=6), st.text(max_size=40))
def test_any_text_can_be_indexed_asked_and_stored(texts: list[str], query: str) -> None:
    index = build(texts)
    again = LexicalIndex.from_arrays(index.to_arrays())
    assert index.scores(query).shape == (len(texts),)
    np.testing.assert_array_equal(index.scores(query), again.scores(query))
