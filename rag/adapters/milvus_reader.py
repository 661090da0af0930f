"""Read a generation in Milvus as the retriever wants it: vectors, words and passages, each asked for when needed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt

from rag.adapters.milvus_files import KEPT_ARRAYS
from rag.adapters.milvus_rows import LARGEST_REQUEST, Ids, Rows, Scores, Sparse
from rag.bm25 import K1, POSTINGS_BUDGET, _hash
from rag.index import unpack_passages
from rag.lexical import WordIndex
from rag.spelling import Speller
from rag.types import Passage, Vectors, WordMatch

CACHED_PASSAGES = 20_000
"""Some 40 MB."""
PARTS = {"passages": "words", "concepts": "concepts"}
"""Part of the lexical index to the field that has its postings."""
POSTING_ARRAYS = ("hashes", "starts", "owners", "weights", "lengths")


class StoredVectors:
    """Vectors of the notes, by row."""

    def __init__(self, rows: Rows, n_rows: int) -> None:
        self._rows, self._n_rows = rows, n_rows

    def __len__(self) -> int:
        return self._n_rows

    def search(self, vectors: Vectors, k: int) -> tuple[Scores, Ids]:
        """Find the k nearest rows of each vector: cosines and rows, (n, k), best first, ties by row."""
        k = min(k, len(self), LARGEST_REQUEST)
        found = [self._rows.search("vector", vector, k) for vector in vectors]
        return np.stack([scores for _, scores in found]), np.stack([rows for rows, _ in found])

    def score(self, rows: Ids, vector: Vectors) -> Scores:
        """Return the cosine of some rows with one vector, (n_rows,)."""
        scores = self._rows.score("vector", vector[0], rows, np.nan)
        lost = np.flatnonzero(np.isnan(scores))  # an approximate index may not reach every row
        if len(lost):
            scores[lost] = self.take(rows[lost]) @ vector[0]
        return scores

    def take(self, rows: Ids) -> Vectors:
        """Return the vectors of some rows, (n_rows, dim)."""
        found = [entry["vector"] for entry in self._rows.fetch(rows.tolist(), ["vector"])]
        return np.array(found, dtype=np.float32)


class StoredPassages(Sequence[Passage]):
    """The passages in order; a slice is one request, and what was read is kept for a while."""

    def __init__(self, rows: Rows, n_passages: int, large: Mapping[str, Any]) -> None:
        self._rows, self._n_passages, self._large = rows, n_passages, large
        self._known: dict[int, Passage] = {}

    def __len__(self) -> int:
        return self._n_passages

    @overload
    def __getitem__(self, place: int) -> Passage: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Passage, ...]: ...
    def __getitem__(self, place: int | slice) -> Passage | tuple[Passage, ...]:
        if isinstance(place, slice):
            return tuple(self._read(range(*place.indices(len(self)))))
        return self._read([range(len(self))[place]])[0]

    def _read(self, rows: Sequence[int]) -> list[Passage]:
        known = self._known
        missing = [row for row in rows if row not in known]
        texts = (entry["passage"] for entry in self._rows.fetch(missing, ["passage"]))
        fields = [json.loads(text) if text else self._large[str(row)] for row, text in zip(missing, texts, strict=True)]
        fresh = dict(zip(missing, unpack_passages(fields), strict=True))
        found = [fresh[row] if row in fresh else known[row] for row in rows]
        if len(known) > CACHED_PASSAGES:
            self._known = {}
        self._known.update(fresh)
        return found


class _ScoresByRow:
    """Scores that are asked of Milvus for the rows they are read for; the last reading is kept."""

    def __init__(self, rows: Rows, field: str, query: Sparse) -> None:
        self._rows, self._field, self._query = rows, field, query
        self._last: tuple[Ids, Scores] = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)

    def __getitem__(self, rows: Ids) -> Scores:
        last_rows, scores = self._last
        if not np.array_equal(rows, last_rows):
            scores = (
                self._rows.score(self._field, self._query, rows, 0.0)
                if self._query
                else np.zeros(len(rows), dtype=np.float32)
            )
            self._last = rows, scores
        return scores


@dataclass(frozen=True, slots=True)
class StoredMatch(WordMatch):
    """How the words of a query match: scores and best rows are asked of Milvus when they are read."""

    rows: Rows
    field: str
    query: Sparse

    def best(self, k: int) -> Ids:
        """Return the k passages with the highest scores."""
        return self.rows.search(self.field, self.query, k)[0] if self.query else self.touched


class StoredPostings:
    """BM25 over postings in Milvus: the reader holds which terms there are and how many passages have each."""

    def __init__(self, rows: Rows, field: str, hashes: npt.NDArray[np.uint64], counts: Ids, n_texts: int) -> None:
        self._rows, self._field, self._n_texts = rows, field, n_texts
        self._hashes, self._counts = hashes, counts

    def has(self, term: str) -> bool:
        """Tell whether any passage has the term."""
        return self._find(term)[1] > 0

    def search(self, terms: Mapping[str, float]) -> WordMatch:
        """Score passages for the terms of a query as `Bm25.search` does, its budget of postings included."""
        found = sorted(((term, *self._find(term)) for term in terms), key=lambda entry: entry[2])
        query: Sparse = {}
        ceiling, budget = 0.0, POSTINGS_BUDGET
        for term, dimension, count in found:
            if count > budget and budget < POSTINGS_BUDGET:
                break
            budget -= count
            idf = float(np.log(1 + (self._n_texts - count + 0.5) / (count + 0.5)))
            ceiling += terms[term] * idf * (K1 + 1)
            if count:
                query[dimension] = terms[term] * idf * (K1 + 1)
        scores = cast("npt.NDArray[np.float32]", _ScoresByRow(self._rows, self._field, query))
        return StoredMatch(scores, ceiling, np.zeros(0, dtype=np.int64), self._rows, self._field, query)

    def _find(self, term: str) -> tuple[int, int]:
        """Return a term's dimension and how many passages have it."""
        key = np.uint64(_hash(term))
        at = int(np.searchsorted(self._hashes, key))
        if at == len(self._hashes) or self._hashes[at] != key:
            return 0, 0
        return at + 1, int(self._counts[at])


class StoredWords(WordIndex):
    """The words of the notes, their postings in Milvus."""

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]], rows: Rows, n_passages: int) -> None:
        nothing = {f"{part}.{name}": np.zeros(1) for part in PARTS for name in POSTING_ARRAYS}
        super().__init__({**nothing, **{name: arrays[name] for name in KEPT_ARRAYS}})
        passages, concepts = (
            StoredPostings(rows, field, arrays[f"{part}.hashes"], arrays[f"{part}.counts"], n_passages)
            for part, field in PARTS.items()
        )
        self._passages, self._concepts = cast("Any", passages), cast("Any", concepts)
        self._speller = Speller(passages.has, lambda: self._latin_words, lambda: self._pairs, self._thesaurus)
