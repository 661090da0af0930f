"""Texts cut into terms."""

import pytest

from rag.tokenize import analyse, analyse_query


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
    assert analyse_query("为什么要用mask呢") == [*analyse("要用"), "mask"]
    assert analyse_query("为什么") == analyse("为什么")
