"""Texts cut into terms."""

import pytest

from rag.tokenize import analyse, analyse_query, has_content, share_latin, weigh_query


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


def test_single_characters_weigh_less_than_pairs_and_words() -> None:
    weights = weigh_query("掩码 mask 掩码")
    assert weights == {"掩": 1.0, "码": 1.0, "掩码": 2.0, "mask": 1.0}


def test_a_query_of_question_words_alone_has_no_content() -> None:
    assert not has_content("这个是什么呢？")
    assert has_content("残差是什么")


@pytest.mark.parametrize(("text", "share"), [("残差", 0.0), ("what is it", 1.0), ("LN 放哪", 0.5), ("12 + 3？", 0.0)])
def test_the_share_of_latin_letters_leaves_out_what_is_no_letter(text: str, share: float) -> None:
    assert share_latin(text) == share
