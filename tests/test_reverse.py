"""The reverse dictionary: terms by how they are described."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from rag.embed import ShippedEncoder
from rag.errors import EncoderError
from rag.models.plain import PLAIN
from rag.models.terms import digest, write_terms
from rag.reverse import FILE, MAX_TERMS, Described, ReverseDictionary, load_reverse_dictionary, read_reverse_dictionary

AXES = np.eye(4, dtype=np.float32)


@pytest.fixture(scope="module")
def encoder() -> ShippedEncoder:
    return ShippedEncoder()


def make_dictionary() -> ReverseDictionary:
    """Three terms along one axis each; the first is described in two ways."""
    vectors = np.array([[1, 0, 0, 0], [0.6, 0, 0, 0.8], [0, 1, 0, 0], [0, 0, 1, 0]], dtype=np.float32)
    return ReverseDictionary(
        [("补零", ("补零", "padding")), ("NSP", ("nsp",)), ("dropout", ("dropout",))],
        np.array([0, 2, 3]),
        vectors,
        AXES,
    )


def test_the_nearest_description_of_a_term_counts() -> None:
    found = make_dictionary().find("凑数的", np.array([0, 0.5, 0, 0.8], dtype=np.float32))
    assert [(one.name, round(one.closeness, 2)) for one in found] == [("补零", 0.19), ("NSP", 0.05)]


@pytest.mark.parametrize("text", ["padding 是什么", "補零是什么", "PADDING"])
def test_a_term_that_is_named_is_not_described(text: str) -> None:
    assert make_dictionary().find(text, AXES[0]) == []
    assert [one.name for one in make_dictionary().find("paddings", AXES[0])] == ["补零"]


def test_the_shipped_terms_have_their_traditional_names(encoder: ShippedEncoder) -> None:
    dictionary = load_reverse_dictionary(encoder.fingerprint)
    assert dictionary
    text = "刚开始训练时让步子从很小慢慢变大"
    (term,) = (one for one in dictionary.find(text, encoder.embed_queries([text])[0]) if one.name == "warm-up")
    assert sorted(term.spot("學習率預熱")) == [0, 3]


def test_few_terms_are_found_and_none_far_away() -> None:
    vectors = np.tile(np.array([10, 0, 0, 0], dtype=np.int8), (MAX_TERMS + 2, 1))
    terms = [(f"术语{at}", (f"术语{at}",)) for at in range(len(vectors))]
    many = ReverseDictionary(terms, np.arange(len(vectors)), vectors, AXES / 10)
    assert len(many.find("那个", AXES[0])) == MAX_TERMS
    assert many.find("那个", AXES[1]) == []


def test_latin_names_are_spotted_as_whole_words() -> None:
    term = Described("层归一化", ("层归一化", "ln"), 1.0)
    assert list(term.spot("pre-ln 的层归一化，ln 在哪")) == [8, 4, 13]
    assert list(term.spot("vlnet 和 ln2 里有几层")) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("短句子后面添上去凑长度的那些位置", "padding"),
        ("猜第二句是不是紧跟着第一句的那个训练任务", "NSP"),
        ("训练的时候随机扔掉一部分神经元", "dropout"),
        ("刚开始训练时让步子从很小慢慢变大", "warm-up"),
    ],
)
def test_the_shipped_dictionary_knows_terms_by_their_descriptions(
    encoder: ShippedEncoder, text: str, name: str
) -> None:
    dictionary = load_reverse_dictionary(encoder.fingerprint)
    assert dictionary
    assert name in [one.name for one in dictionary.find(text, encoder.embed_queries([text])[0])]


def test_the_shipped_dictionary_was_made_from_what_is_shipped(encoder: ShippedEncoder) -> None:
    with np.load(str(files("rag.models") / FILE), allow_pickle=False) as arrays:
        about = json.loads(arrays["about"].tobytes())
    assert (about["fingerprint"], about["plain"]) == (encoder.fingerprint, digest(PLAIN)), "python -m rag.models.terms"


def test_what_is_written_reads_back(tmp_path: Path, encoder: ShippedEncoder) -> None:
    for name in ("model.onnx", "tokenizer.json", "config.json"):
        (tmp_path / name).symlink_to(Path(str(files("rag.models") / name)))
    lines = [
        {"names": ["补零"], "plain": ["凑长度的空位", "没有意义的占位"]},
        {"names": ["NSP"], "plain": ["两句挨不挨着"]},
    ]
    plain = tmp_path / "plain.jsonl"
    plain.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    write_terms(tmp_path, plain)
    dictionary = read_reverse_dictionary(tmp_path / FILE, encoder.fingerprint)
    assert dictionary
    found = dictionary.find("那个", encoder.embed_queries(["没有意义的占位"])[0])
    assert (found[0].name, round(found[0].closeness, 2)) == ("补零", 0.55)


def test_another_encoder_has_no_dictionary() -> None:
    assert load_reverse_dictionary("api:some-model") is None


def test_a_damaged_dictionary_is_one_clear_line(tmp_path: Path) -> None:
    for data in (b"nothing", (files("rag.models") / FILE).read_bytes()[:5000]):
        (tmp_path / FILE).write_bytes(data)
        with pytest.raises(EncoderError, match=r"terms\.npz: 自带的术语描述读不出来.*pip install"):
            read_reverse_dictionary(tmp_path / FILE, "x")
