"""Slips of the keyboard are mended, and what is known stays as it is."""

import pytest

from rag.spelling import Speller, find_homophones
from rag.synonyms import Thesaurus

KNOWN = {"注意", "意力", "位置", "置编", "编码", "双向", "layernorm", "bert", "transformer", "mask", "rope"}
THESAURUS = Thesaurus.from_groups(
    [
        ("根号", ["根号", "平方根"]),
        ("注意力", ["attention", "注意力"]),
        ("位置编码", ["位置编码"]),
        ("双向", ["双向"]),
        ("协程", ["协程"]),
        ("lora", ["LoRA"]),
    ]
)


def mend(text: str) -> str:
    words = sorted(word for word in KNOWN if word.isascii())
    pairs = THESAURUS.pairs.union(pair for pair in KNOWN if not pair.isascii())
    return Speller(KNOWN.__contains__, lambda: words, lambda: (pairs, THESAURUS.pairs), THESAURUS).mend(text)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("位置编马", "位置编码"),
        ("除以跟号dk", "除以根号dk"),
        ("注意利", "注意力"),
        ("BERT 的双象", "BERT 的双向"),
        ("LayerNrom", "layernorm"),
        ("transfomer 的 atention", "transformer 的 attention"),
        ("BRET", "bert"),
        ("maask", "mask"),
    ],
)
def test_a_slip_is_mended(typed: str, meant: str) -> None:
    assert mend(typed) == meant


@pytest.mark.parametrize(
    "text", ["LoRA 是什么", "role", "位置编码", "红烧肉怎么做", "", "？？！", "gpt", "写程序", "为什么要除以", "masks"]
)
def test_what_is_known_or_like_nothing_known_stays(text: str) -> None:
    assert mend(text) == text


def test_homophones_ignore_tones_and_similar_finals() -> None:
    assert "码" in find_homophones("马")
    assert "行" in find_homophones("新")
    assert "力" not in find_homophones("马")
