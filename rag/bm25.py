"""BM25 with weighted fields over terms (Robertson & Zaragoza 2009), as plain numpy arrays.

Not on bm25s: importing that costs a third of a cold start, and it has no weighted fields (ADR 1).
"""

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.types import WordMatch

K1, B = 1.2, 0.75
POSTINGS_BUDGET = 200_000
"""Postings read for one query, rarest terms first; a term so common that it does not fit tells little."""

Array = npt.NDArray[Any]
Scores = npt.NDArray[np.float32]
Terms = Iterable[str]


def _hash(term: str) -> int:
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little")


class Bm25:
    """Postings as plain arrays: hashes sorted, so that loading builds no dictionary."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._hashes, self._starts = arrays["hashes"], arrays["starts"]
        self._owners, self._weights, self._lengths = arrays["owners"], arrays["weights"], arrays["lengths"]
        mean = max(float(self._lengths.mean()), 1e-6) if len(self._lengths) else 1.0
        self._norms: Scores = np.asarray(K1 * (1 - B + B * self._lengths / mean), dtype=np.float32)

    @classmethod
    def build(cls, texts: Iterable[Sequence[tuple[Terms, float]]]) -> "Bm25":
        """Index texts given as fields (terms, weight): weights multiply term counts and lengths (BM25F)."""
        numbers: dict[str, int] = {}
        terms, weights, sizes, lengths = array("i"), array("f"), array("i"), array("f")
        for fields in texts:
            counts: dict[int, float] = {}
            for field_terms, weight in fields:
                for term in field_terms:
                    number = numbers.setdefault(term, len(numbers))
                    counts[number] = counts.get(number, 0.0) + weight
            terms.extend(counts)
            weights.extend(counts.values())
            sizes.append(len(counts))
            lengths.append(sum(counts.values()))
        hashes = np.array([_hash(term) for term in numbers], dtype=np.uint64)
        by_hash = np.argsort(hashes)
        rank = np.empty(len(hashes), dtype=np.int32)
        rank[by_hash] = np.arange(len(hashes), dtype=np.int32)
        ranks = rank[np.frombuffer(terms, dtype=np.int32)]
        order = np.argsort(ranks, kind="stable")
        owners = np.repeat(np.arange(len(sizes), dtype=np.int32), np.frombuffer(sizes, dtype=np.int32))
        return cls(
            {
                "hashes": hashes[by_hash],
                "starts": np.concatenate([[0], np.cumsum(np.bincount(ranks, minlength=len(hashes)))]).astype(np.int64),
                "owners": owners[order],
                "weights": np.frombuffer(weights, dtype=np.float32)[order],
                "lengths": np.frombuffer(lengths, dtype=np.float32),
            }
        )

    def to_arrays(self) -> dict[str, Array]:
        """Return the index as arrays to store."""
        names = ("hashes", "starts", "owners", "weights", "lengths")
        return {name: getattr(self, "_" + name) for name in names}

    def search(self, terms: Mapping[str, float]) -> WordMatch:
        """Score every text for the terms of a query, given with their weights."""
        n_texts = len(self._lengths)
        scores = np.zeros(n_texts, dtype=np.float32)
        ceiling = 0.0
        found = sorted(((term, *self._postings(term)) for term in terms), key=lambda entry: len(entry[1]))
        budget = POSTINGS_BUDGET
        touched = [np.zeros(0, dtype=np.int64)]
        for term, owners, weights in found:
            if len(owners) > budget and budget < POSTINGS_BUDGET:
                break
            budget -= len(owners)
            touched.append(owners.astype(np.int64))
            idf = float(np.log(1 + (n_texts - len(owners) + 0.5) / (len(owners) + 0.5)))
            ceiling += terms[term] * idf * (K1 + 1)
            scores[owners] += terms[term] * idf * weights * (K1 + 1) / (weights + self._norms[owners])
        return WordMatch(scores, ceiling, np.concatenate(touched))

    def has(self, term: str) -> bool:
        """Tell whether any text has the term."""
        return len(self._postings(term)[0]) > 0

    def _postings(self, term: str) -> tuple[npt.NDArray[np.int32], Scores]:
        key = np.uint64(_hash(term))
        at = int(np.searchsorted(self._hashes, key))
        if at == len(self._hashes) or self._hashes[at] != key:
            return self._owners[:0], self._weights[:0]
        rows = slice(int(self._starts[at]), int(self._starts[at + 1]))
        return self._owners[rows], self._weights[rows]
