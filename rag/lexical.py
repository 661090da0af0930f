"""Search the words of the notes: passages by BM25, and the concepts they name."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.bm25 import Bm25
from rag.spelling import Speller
from rag.synonyms import ASKING_MARK, Thesaurus
from rag.tokenize import CJK, LATIN_NAME, analyse, normalise, share_latin, weigh_query
from rag.types import LexicalMatch, Passage, Question

TITLE_WEIGHT, GROUP_WEIGHT, BODY_WEIGHT = 2.0, 0.5, 1.0
MAX_NAMES = 3
"""Other names put after a query: more would drown it."""
SHAPES = {"代码": re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE), "公式": re.compile(r"\$\$|\\\[|\\begin\{")}
"""Ways of asking, as the thesaurus names them, and what marks a passage that answers them."""
Array = npt.NDArray[Any]


def _list_fields(
    questions: Sequence[Question], passages: Sequence[Passage], seen: set[str]
) -> Iterator[list[tuple[list[str], float]]]:
    """Yield the weighted fields of each passage, and note every term in `seen`."""
    titles = {question.id: question.title for question in questions}
    for passage in passages:
        title = titles[passage.question]
        above = " ".join(heading for heading in passage.headings if heading != title)
        weighted = ((title, TITLE_WEIGHT), (above, GROUP_WEIGHT), (passage.search_text, BODY_WEIGHT))
        fields = [(analyse(text), weight) for text, weight in weighted]
        seen.update(term for terms, _ in fields for term in terms)
        yield fields


def _name_shapes(passage: Passage) -> list[str]:
    """Name what a passage shows: who asks for code or a formula may not know a word of it."""
    return [name for name, mark in SHAPES.items() if mark.search(passage.text)]


class WordIndex:
    """Two BM25 indexes, the thesaurus, and the Latin words that a misspelt one may stand for."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays
        self._thesaurus = Thesaurus.from_bytes(arrays["thesaurus"].tobytes())
        self._passages, self._concepts = (
            Bm25({name.removeprefix(part): array for name, array in arrays.items() if name.startswith(part)})
            for part in ("passages.", "concepts.")
        )
        self._speller = Speller(self._passages.has, lambda: self._latin_words, lambda: self._pairs, self._thesaurus)

    @classmethod
    def build(cls, questions: Sequence[Question], passages: Sequence[Passage], thesaurus: Thesaurus) -> "WordIndex":
        """Index passages: title, groups and sub-headings, body."""
        seen: set[str] = set()
        texts = ("\n".join([*passage.headings, passage.search_text, *_name_shapes(passage)]) for passage in passages)
        parts = {
            "passages.": Bm25.build(_list_fields(questions, passages, seen)),
            "concepts.": Bm25.build([(thesaurus.find(text), 1.0)] for text in texts),
        }
        arrays = {part + name: array for part, index in parts.items() for name, array in index.to_arrays().items()}
        latin = sorted(term for term in seen if term.isascii() and term.isalpha() and len(term) > 3)
        pairs = sorted(term for term in seen if len(term) == 2 and not term.isascii())
        arrays["latin"] = np.frombuffer("\n".join(latin).encode(), dtype=np.uint8)
        arrays["pairs"] = np.frombuffer("".join(pairs).encode(), dtype=np.uint8)
        arrays["term_pairs"] = np.frombuffer("".join(sorted(thesaurus.pairs)).encode(), dtype=np.uint8)
        arrays["thesaurus"] = np.frombuffer(thesaurus.to_bytes(), dtype=np.uint8)
        return cls(arrays)

    def to_arrays(self) -> Mapping[str, Array]:
        """Return the index as arrays to store."""
        return self._arrays

    def mend(self, text: str) -> str:
        """Mend likely slips of the keyboard."""
        return self._speller.mend(text)

    def expand(self, text: str) -> str:
        """Put other names of the query's terms after it, for the encoder."""
        return self._thesaurus.expand(text, MAX_NAMES)

    def search(self, text: str) -> LexicalMatch:
        """Match a query against passages and concepts."""
        terms = (name for name in self._thesaurus.find_terms(text) if not name.startswith(ASKING_MARK))
        unknown = self._list_unknown(text)
        # An English sentence begins with a capital too.
        first = 0 if CJK.search(text) else 1
        n_names = sum(any(char.isupper() or char.isdigit() for char in word[first:]) for word in unknown)
        return LexicalMatch(
            self._passages.search(weigh_query(text)),
            self._concepts.search(Counter(self._thesaurus.find(text))),
            n_names,
            len({name for name in terms if not self._concepts.has(name)}),
            share_latin(text),
        )

    def _list_unknown(self, text: str) -> list[str]:
        """List the Latin words that no passage has, nor any other form of what they name."""
        words = LATIN_NAME.findall(normalise(text))
        return [word for word in words if not self._passages.has(word.lower()) and not self._is_named(word)]

    def _is_named(self, word: str) -> bool:
        return any(self._concepts.has(name) for name in self._thesaurus.find(word))

    @cached_property
    def _pairs(self) -> tuple[frozenset[str], frozenset[str]]:
        """Known pairs of Chinese characters, and those of terms among them."""
        texts = (self._arrays[name].tobytes().decode() for name in ("pairs", "term_pairs"))
        own, terms = (frozenset(text[at : at + 2] for at in range(0, len(text), 2)) for text in texts)
        return own | terms, terms

    @cached_property
    def _latin_words(self) -> list[str]:
        return self._arrays["latin"].tobytes().decode().split("\n")
