"""What a vector row is made of."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from rag.build import embed_forms, hash_rows, texts_to_embed
from rag.synonyms import Thesaurus
from rag.types import Progress, Vectors


@dataclass
class OneHot:
    """Every new text is a direction of its own."""

    texts: list[str]

    def embed_passages(self, texts: list[str], progress: Progress | None = None) -> Vectors:
        self.texts += texts
        return np.eye(8, dtype=np.float32)[: len(texts)]


def test_a_passage_is_embedded_under_its_headings_and_a_title_with_other_names_of_its_terms() -> None:
    thesaurus = Thesaurus.from_groups([("补零", ["补零", "padding"])])
    passage = SimpleNamespace(headings=("一", "二", "三"), search_text="补零的正文")
    titled, untitled = SimpleNamespace(title="补零"), SimpleNamespace(title="")
    rows = texts_to_embed([titled, untitled], [passage], thesaurus)  # type: ignore[list-item]
    assert rows == [("二\n三\n补零的正文",), ("补零", "补零 padding")]
    assert len(set(hash_rows([*rows, ("补零", "padding")]))) == 3


def test_a_row_is_the_mean_of_its_forms_and_each_text_is_embedded_once() -> None:
    encoder = OneHot([])
    vectors = embed_forms([("a",), ("b", "a")], encoder)  # type: ignore[arg-type]
    assert encoder.texts == ["a", "b"]
    half = 0.5**0.5
    np.testing.assert_allclose(vectors[:, :2], [[1, 0], [half, half]], atol=1e-6)
