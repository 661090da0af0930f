"""The rows of one generation in Milvus: every passage, then every title, numbered as the retriever numbers vectors.

Words are ordinary sparse vectors, not Milvus's BM25 function: a passage stores what BM25 gives each of its terms, a query
the weights and rarity of its own, and their inner product is the very score of `rag/bm25.py` (ADR 7).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count, islice, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.bm25 import K1, B
from rag.errors import IndexFault
from rag.index import IndexContent, pack_records
from rag.types import Vectors
from rag.vectors import EXACT_ROWS

LARGEST_REQUEST = 16_384
"""Rows that Milvus returns at most for one request."""
INSERTED_ROWS, FETCHED_ROWS = 500, 2_000
"""Rows in one message: some 3 MB and 8 MB, where Milvus takes 64 MB."""
LARGEST_TEXT = 65_535
"""Bytes a VARCHAR field holds."""
NO_TERM = {0: 1.0}
"""Milvus wants every sparse vector to have a dimension; no term has this one."""
HNSW = {"M": 16, "efConstruction": 200}
LEAST_EF = 512
Scores = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Sparse = dict[int, float]


def make_rows(content: IndexContent, vectors: Vectors) -> Iterator[dict[str, Any]]:
    """Yield the rows of a generation; `vectors` are the content's, (n_rows, dim)."""
    n_passages = len(content.passages)
    texts = chain((pack_passage(row) for row in pack_records(content.passages)), repeat(""))
    columns = [
        chain(_weigh_postings(content.lexical, part, n_passages), repeat(NO_TERM)) for part in ("passages", "concepts")
    ]
    for row, key, text, words, concepts in zip(count(), content.row_keys, texts, *columns, strict=False):
        yield {
            "row": row,
            "key": key,
            "passage": text,
            "vector": vectors[row],
            "words": words,
            "concepts": concepts,
        }


def pack_passage(fields: Sequence[Any]) -> str:
    """Write a passage as JSON, or nothing where a field of Milvus cannot hold it: the files hold those."""
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return text if len(text.encode()) <= LARGEST_TEXT else ""


def _weigh_postings(arrays: Mapping[str, npt.NDArray[Any]], part: str, n_texts: int) -> Iterator[Sparse]:
    """Yield for each text its terms (by place among the sorted hashes, from 1) with their share of BM25's score."""
    starts, owners, weights, lengths = (arrays[f"{part}.{name}"] for name in ("starts", "owners", "weights", "lengths"))
    mean = max(float(lengths.mean()), 1e-6) if len(lengths) else 1.0
    shares = weights / (weights + (K1 * (1 - B + B * lengths / mean))[owners])
    terms = np.repeat(np.arange(1, len(starts), dtype=np.int64), np.diff(starts))
    order = np.argsort(owners, kind="stable")
    borders = np.searchsorted(owners[order], np.arange(n_texts + 1))
    for first, last in zip(borders, borders[1:], strict=False):
        own = order[first:last]
        yield dict(zip(terms[own].tolist(), shares[own].tolist(), strict=True)) or NO_TERM


class Rows:
    """One collection of rows."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name

    def create(self, dim: int) -> None:
        """Make the empty collection."""
        from pymilvus import DataType

        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("row", DataType.INT64, is_primary=True)
        schema.add_field("key", DataType.VARCHAR, max_length=64)
        schema.add_field("passage", DataType.VARCHAR, max_length=LARGEST_TEXT)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=max(2, dim))
        schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
        schema.add_field("concepts", DataType.SPARSE_FLOAT_VECTOR)
        self._client.create_collection(self._name, schema=schema, consistency_level="Bounded")

    def insert(self, rows: Iterator[dict[str, Any]]) -> None:
        """Put rows in; one that is sent again after a broken connection takes its own place."""
        while batch := list(islice(rows, INSERTED_ROWS)):
            self._client.upsert(self._name, batch)
        self._client.flush(self._name)

    def make_indexes(self, n_rows: int) -> None:
        """Index every field that is searched: vectors exactly while they are few, as the local index does."""
        indexes = self._client.prepare_index_params()
        if n_rows <= EXACT_ROWS:
            indexes.add_index("vector", index_type="FLAT", metric_type="IP")
        else:
            indexes.add_index("vector", index_type="HNSW", metric_type="IP", params=HNSW)
        for field in ("words", "concepts"):
            indexes.add_index(field, index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
        self._client.create_index(self._name, indexes)
        self.load()

    def load(self) -> None:
        """Have Milvus load the collection, and wait for it."""
        self._client.load_collection(self._name)

    def check(self, n_rows: int) -> None:
        """Count the rows as a reader would see them.

        :raises IndexFault: when some are missing.
        """
        answer = self._client.query(self._name, output_fields=["count(*)"], consistency_level="Strong")
        if answer[0]["count(*)"] != n_rows:
            raise IndexFault(f"{self._name}: 写了 {n_rows} 行，Milvus 里却有 {answer[0]['count(*)']} 行；请再导入一次")

    def search(self, field: str, query: Vectors | Sparse, k: int, among: Ids | None = None) -> tuple[Ids, Scores]:
        """Find the best rows by one field, at most k, best first, ties by row; sparse fields only give what matches.

        :param among: search only these rows.
        """
        filtered = {} if among is None else {"filter": f"row in {among.tolist()}"}
        hits = self._client.search(
            self._name,
            data=[query],
            anns_field=field,
            limit=k,
            search_params={"metric_type": "IP", "params": {"ef": max(k, LEAST_EF)} if field == "vector" else {}},
            **filtered,
        )[0]
        ids, scores = np.array(hits.ids, dtype=np.int64), np.array(hits.distances, dtype=np.float32)
        order = np.lexsort((ids, -scores))
        return ids[order], scores[order]

    def score(self, field: str, query: Vectors | Sparse, rows: Ids, missing: float) -> Scores:
        """Score some rows by one field; `missing` where Milvus returns nothing for a row."""
        scores = np.full(len(rows), missing, dtype=np.float32)
        for start in range(0, len(rows), LARGEST_REQUEST):
            part = rows[start : start + LARGEST_REQUEST]
            found, values = self.search(field, query, len(part), among=part)
            order = np.argsort(part, kind="stable")
            scores[start + order[np.searchsorted(part[order], found)]] = values
        return scores

    def fetch(self, rows: Sequence[int], fields: list[str]) -> Iterator[dict[str, Any]]:
        """Read some fields of rows, in their order.

        :raises IndexFault: when a row is not there.
        """
        for start in range(0, len(rows), FETCHED_ROWS):
            part = list(rows[start : start + FETCHED_ROWS])
            found = self._client.query(self._name, ids=part, output_fields=["row", *fields])
            by_row = {entry["row"]: entry for entry in found}
            if len(by_row) < len(set(part)):
                raise IndexFault(f"{self._name}: Milvus 里缺了 {len(set(part)) - len(by_row)} 行；请重新导入")
            yield from (by_row[row] for row in part)
