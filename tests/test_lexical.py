"""The words of the notes: passages, concepts, and what the notes never mention."""

import numpy as np
import pytest

from rag.chunk import chunk_document
from rag.lexical import WordIndex
from rag.parse import assign_labels, parse_document
from rag.synonyms import Thesaurus, load_thesaurus
from tests.conftest import make_document

TEXT = """# 1. 层归一化放在哪里？

多头注意力之后。BERT 也一样。

# 2. 学习率预热是什么？

开始训练时学习率慢慢变大。
"""
GROUPS = [
    ("层归一化", ["层归一化", "layer norm", "LN"]),
    ("预热", ["预热", "warm-up"]),
    ("低秩适配", ["低秩适配", "LoRA"]),
    ("?优点", ["优点", "advantage"]),
]


@pytest.fixture(scope="module")
def words() -> WordIndex:
    document = make_document(TEXT)
    questions = assign_labels(parse_document(document))
    passages = chunk_document(document, questions, len, 200)
    return WordIndex.build(questions, passages, Thesaurus.from_groups(GROUPS))


def test_passages_are_found_by_the_words_of_title_and_body(words: WordIndex) -> None:
    match = words.search("归一化放在多头注意力前面还是后面")
    assert match.passages.scores.argmax() == 0
    assert match.passages.scores[0] > 2 * match.passages.scores[1]


@pytest.mark.parametrize("query", ["LN 的位置", "layernorm", "Layer-Norm", "LAYER NORM"])
def test_another_name_for_the_same_finds_the_passage_by_its_concept(words: WordIndex, query: str) -> None:
    match = words.search(query)
    assert match.concepts.scores[0] > 0
    assert match.concepts.scores[1] == 0


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ("GELU 和 BERT", (1, 0)),
        ("beam 怎么做", (0, 0)),
        ("what is GELU", (1, 0)),
        ("What is a beam", (0, 0)),
        ("LoRA 的优点", (1, 1)),
        ("低秩适配", (0, 1)),
        ("LN 放在哪里", (0, 0)),
    ],
)
def test_what_the_notes_never_mention_is_counted(words: WordIndex, query: str, unknown: tuple[int, int]) -> None:
    match = words.search(query)
    assert (match.n_unknown_names, match.n_absent_concepts) == unknown


@pytest.mark.parametrize(("query", "place"), [("手写一下", 0), ("source code", 0), ("数学公式", 1)])
def test_who_asks_for_code_or_a_formula_finds_what_shows_one(query: str, place: int) -> None:
    document = make_document("# 1. 残差\n\n```\nx = x + f(x)\n```\n\n# 2. 缩放\n\n$$q k$$\n\n# 3. 残差\n\n相加。\n")
    questions = assign_labels(parse_document(document))
    passages = chunk_document(document, questions, len, 200)
    match = WordIndex.build(questions, passages, load_thesaurus()).search(query)
    assert np.flatnonzero(match.concepts.scores).tolist() == [place]


def test_an_index_stored_and_read_again_gives_the_same(words: WordIndex) -> None:
    again = WordIndex(dict(words.to_arrays()))
    for query in ("warm-up 学习率", "层归一化"):
        np.testing.assert_array_equal(again.search(query).concepts.scores, words.search(query).concepts.scores)
        assert again.mend("层归以化") == words.mend("层归以化") == "层归一化"
