"""BM25 over Chinese characters and their pairs, and Latin words (Robertson & Zaragoza 2009).

Characters and bigrams need no dictionary and rank as well as a segmenter. Written in numpy rather than on bm25s:
importing that costs a third of a cold start, and it has no weighted fields.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.types import WordMatch

K1, B = 1.2, 0.75
TERM = re.compile(r"[\u3400-\u9fff]+|[a-z0-9]+(?:[-_.+#'][a-z0-9]+)*(?:\+\+|#)?")
CJK = re.compile(r"[\u3400-\u9fff]+")
CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z0-9\-]+")
STOP_WORDS = re.compile(
    r"请问|为什么|为何|为啥|怎么样|怎样|怎么|如何|什么|哪些|哪个|哪里|多少|是不是|有没有|能不能|可不可以|吗|呢|吧|啊|的|了|是|在|和|与"
)
ENGLISH_STOP_WORDS = frozenset(
    "a an and are as at be by can do does for from how in is it its of on or that the this to was what when where which "
    "who why with you your between".split()
)

Array = npt.NDArray[Any]
Scores = npt.NDArray[np.float32]


@cache
def _to_simplified() -> Any:
    import opencc

    return opencc.OpenCC("t2s")


def normalise(text: str) -> str:
    """Fold width and case variants and turn traditional characters into simplified ones."""
    folded = unicodedata.normalize("NFKC", text)
    try:
        # This old set holds no traditional characters, and nearly all simplified text: loading the tables takes 20 ms.
        "".join(CJK.findall(folded)).encode("gb2312")
    except UnicodeEncodeError:
        folded = _to_simplified().convert(folded)
    return folded


def analyse(text: str) -> list[str]:
    """Cut a text into terms: characters and pairs of CJK runs; Latin words whole, in parts and joined (`warmup`)."""
    folded = normalise(text)
    terms: list[str] = []
    for match in TERM.finditer(folded.lower()):
        term = match[0]
        if term[0] >= "\u3400":
            terms.extend(term)
            terms.extend(term[at : at + 2] for at in range(len(term) - 1))
            continue
        terms.append(term)
        inner = re.split(r"[-_.+#']+", term.rstrip("+#"))
        parts = inner if len(inner) > 1 else CAMEL.findall(folded[slice(*match.span())])
        terms.extend(part.lower() for part in parts if part and part.lower() != term)
        if len(parts) > 1 and (joined := "".join(parts).lower()) != term:
            terms.append(joined)
    return terms


def analyse_query(text: str) -> list[str]:
    """Cut a query into terms without the words every question has; a query of nothing else keeps them."""
    kept = STOP_WORDS.sub(" ", normalise(text))
    terms = [term for term in analyse(kept) if term not in ENGLISH_STOP_WORDS]
    return terms or analyse(text)


def _hash(term: str) -> int:
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little")


class LexicalIndex:
    """Postings as plain arrays: hashes sorted, so that loading builds no dictionary."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._hashes, self._starts = arrays["hashes"], arrays["starts"]
        self._owners, self._weights, self._lengths = arrays["owners"], arrays["weights"], arrays["lengths"]

    @classmethod
    def build(cls, texts: Sequence[Sequence[tuple[str, float]]]) -> "LexicalIndex":
        """Index passages given as (field text, weight): weights multiply term counts and lengths (BM25F)."""
        postings: dict[str, list[tuple[int, float]]] = {}
        lengths = np.zeros(len(texts), dtype=np.float32)
        for owner, fields in enumerate(texts):
            counts: Counter[str] = Counter()
            for text, weight in fields:
                for term in analyse(text):
                    counts[term] += weight  # type: ignore[assignment]
            lengths[owner] = sum(counts.values())
            for term, count in counts.items():
                postings.setdefault(term, []).append((owner, count))
        ordered = sorted((_hash(term), term) for term in postings)
        entries = [entry for _, term in ordered for entry in postings[term]]
        sizes = [len(postings[term]) for _, term in ordered]
        return cls(
            {
                "hashes": np.array([key for key, _ in ordered], dtype=np.uint64),
                "starts": np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
                "owners": np.array([owner for owner, _ in entries], dtype=np.int32),
                "weights": np.array([weight for _, weight in entries], dtype=np.float32),
                "lengths": lengths,
            }
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> "LexicalIndex":
        """Take up the arrays of `to_arrays`."""
        return cls(arrays)

    def to_arrays(self) -> dict[str, Array]:
        """Return the index as arrays to store."""
        names = ("hashes", "starts", "owners", "weights", "lengths")
        return {name: getattr(self, "_" + name) for name in names}

    def scores(self, query: str) -> Scores:
        """Score every passage; (n_passages,) float32."""
        return self.search(query).scores

    def search(self, query: str) -> WordMatch:
        """Score every passage, and tell what of the query no passage has."""
        n_passages = len(self._lengths)
        scores = np.zeros(n_passages, dtype=np.float32)
        ceiling = 0.0
        norms = K1 * (1 - B + B * self._lengths / max(float(self._lengths.mean()), 1e-6)) if n_passages else scores
        for term, times in Counter(analyse_query(query)).items():
            owners, weights = self._postings(term)
            idf = float(np.log(1 + (n_passages - len(owners) + 0.5) / (len(owners) + 0.5)))
            ceiling += times * idf * (K1 + 1)
            scores[owners] += times * idf * weights * (K1 + 1) / (weights + norms[owners])
        return WordMatch(scores, ceiling, *self._count_unknown(query))

    def _count_unknown(self, query: str) -> tuple[int, int]:
        """Count the Latin names and words of a Chinese query that the notes never mention."""
        if not CJK.search(query):
            return 0, 0
        words = LATIN_WORD.findall(unicodedata.normalize("NFKC", query))
        unknown = [word for word in words if not len(self._postings(word.lower())[0])]
        n_names = sum(any(char.isupper() or char.isdigit() for char in word) for word in unknown)
        return n_names, len(unknown) - n_names

    def _postings(self, term: str) -> tuple[npt.NDArray[np.int32], Scores]:
        key = np.uint64(_hash(term))
        at = int(np.searchsorted(self._hashes, key))
        if at == len(self._hashes) or self._hashes[at] != key:
            return self._owners[:0], self._weights[:0]
        rows = slice(int(self._starts[at]), int(self._starts[at + 1]))
        return self._owners[rows], self._weights[rows]
