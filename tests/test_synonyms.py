"""The thesaurus: what it finds in a text, and the file it is read from."""

from importlib.resources import files
from pathlib import Path

import pytest

from rag.errors import UsageError
from rag.synonyms import Thesaurus, digest_groups, load_thesaurus, read_groups

GROUPS = [
    ("层归一化", ["层归一化", "layer normalization", "LN"]),
    ("归一化", ["归一化", "normalization"]),
    ("补零", ["补零", "padding", "填充"]),
]


@pytest.mark.parametrize(
    ("text", "concepts"),
    [
        ("层归一化和填充", ["层归一化", "补零"]),
        ("归一化", ["归一化"]),
        ("Layer-Normalization", ["层归一化"]),
        ("layer_normalization 与 LN", ["层归一化", "层归一化"]),
        ("層歸一化", ["层归一化"]),
        ("PADDING", ["补零"]),
        ("learn, paddings", []),
        ("", []),
    ],
)
def test_the_longest_form_wins_and_words_match_whole(text: str, concepts: list[str]) -> None:
    assert Thesaurus.from_groups(GROUPS).find(text) == concepts


def test_a_text_is_expanded_by_other_names_of_its_terms() -> None:
    thesaurus = Thesaurus.from_groups([*GROUPS, ("?优点", ["优点", "advantage"])])
    assert thesaurus.expand("补零的优点", 3) == "补零的优点 padding"
    assert thesaurus.expand("LN 和 padding", 9) == "LN 和 padding 层归一化 layer normalization 补零"
    assert thesaurus.expand("LN 和 padding", 1) == "LN 和 padding 层归一化"
    assert thesaurus.expand("别的", 3) == "别的"


def test_it_is_the_same_after_being_written_and_read() -> None:
    first = Thesaurus.from_groups(GROUPS)
    again = Thesaurus.from_bytes(first.to_bytes())
    assert again.find("LN 前的 padding") == first.find("LN 前的 padding") == ["层归一化", "补零"]
    assert again.knows("Layer Normalization")
    assert not again.knows("layer")


def test_a_users_own_group_comes_before_the_shipped_ones(tmp_path: Path) -> None:
    own = tmp_path / "own.tsv"
    own.write_text("# 我的\n卡方\t开方检验\n我的归一化\tlayer norm\n", encoding="utf-8")
    assert load_thesaurus(own).find("layernorm 和开方检验") == ["我的归一化", "卡方"]
    assert load_thesaurus().find("layer norm") != ["我的归一化"]
    assert digest_groups(own) != digest_groups()


def test_a_form_too_short_to_match_is_named_with_its_line(tmp_path: Path) -> None:
    own = tmp_path / "own.tsv"
    own.write_text("正常\tnormal\n头\thead\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"own\.tsv:2: '头' 太短"):
        load_thesaurus(own)
    with pytest.raises(UsageError, match=r"missing\.tsv: 读不了这份同义词"):
        load_thesaurus(tmp_path / "missing.tsv")


def test_the_shipped_file_has_no_form_that_stands_for_many_things() -> None:
    text = (files("rag") / "data" / "terms.tsv").read_text(encoding="utf-8")
    forms = [form for _, forms in read_groups(text, "terms.tsv") for form in {form.lower() for form in forms}]
    assert len(forms) > 3000
    assert max(forms.count(form) for form in set(forms)) <= 2
