"""Hold the vectors of the notes in FAISS: exact search while they are few, an inverted file when they are many."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rag.types import Vectors

EXACT_ROWS = 60_000
"""Up to this many rows every query looks at every vector: some 5 ms."""
ROWS_PER_LIST = 256
TRAINING_ROWS_PER_LIST = 40
"""What k-means needs to place a centroid well (FAISS's own lower bound is 39)."""
PROBE_SHARES = (0.01, 0.02, 0.03, 0.045, 0.07, 0.1, 0.16, 0.25)
"""Shares of the lists that a query may look into; the first that finds enough is taken."""
WANTED_RECALL = 0.98
"""Of the ten nearest rows by exact search, on made-up queries: means of two rows, which lie off the rows as queries do."""
SAMPLE = 200
N_NEAREST = 10
SEED = 20
N_ITERATIONS = 8
"""Of k-means; more change the recall by less than its error."""

Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


class VectorIndex:
    """Unit vectors by row; inner product is cosine."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self._is_exact = not hasattr(index, "nprobe")

    @classmethod
    def build(cls, vectors: Vectors) -> "VectorIndex":
        """Index vectors, (n, dim) float32 with unit rows; the kind of index is chosen by n."""
        import faiss

        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if len(vectors) <= EXACT_ROWS:
            flat = faiss.IndexFlatIP(vectors.shape[1])
            flat.add(vectors)
            return cls(flat)
        return cls(_build_inverted_file(vectors))

    @classmethod
    def from_bytes(cls, data: bytes) -> "VectorIndex":
        """Take up what `to_bytes` wrote."""
        import faiss

        index: Any = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
        if hasattr(index, "nprobe"):
            index.make_direct_map()
        return cls(index)

    def to_bytes(self) -> bytes:
        """Serialise it."""
        import faiss

        return bytes(faiss.serialize_index(self._index).tobytes())

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def kind(self) -> str:
        """Name the kind of index, for reports."""
        return "flat" if self._is_exact else f"ivf{self._index.nlist}, nprobe {self._index.nprobe}"

    def search(self, vectors: Vectors, k: int) -> tuple[Scores, Rows]:
        """Find the k nearest rows of each vector: cosines and rows, (n, k), best first, ties by row."""
        k = min(k, len(self))
        scores, rows = self._index.search(np.ascontiguousarray(vectors, dtype=np.float32), k)
        order = np.lexsort((rows, -scores))
        return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)

    def take(self, rows: Rows) -> Vectors:
        """Return the vectors of some rows, (n_rows, dim)."""
        vectors: Vectors = self._index.reconstruct_batch(np.ascontiguousarray(rows, dtype=np.int64))
        return vectors

    def all(self) -> Vectors:
        """Return all vectors, (n, dim)."""
        vectors: Vectors = self._index.reconstruct_n(0, len(self))
        return vectors


def _build_inverted_file(vectors: Vectors) -> Any:
    """Build lists around k-means centroids (Sivic & Zisserman 2003), and look into as many as recall needs."""
    import faiss

    n, dim = vectors.shape
    n_lists = n // ROWS_PER_LIST
    rng = np.random.default_rng(SEED)
    index: Any = faiss.index_factory(dim, f"IVF{n_lists},Flat", faiss.METRIC_INNER_PRODUCT)
    index.cp.niter = N_ITERATIONS
    index.train(vectors[rng.choice(n, min(n, n_lists * TRAINING_ROWS_PER_LIST), replace=False)])
    index.add(vectors)
    index.make_direct_map()
    sample = vectors[rng.choice(n, SAMPLE)] + vectors[rng.choice(n, SAMPLE)]
    sample /= np.linalg.norm(sample, axis=1, keepdims=True)
    _, exact = faiss.knn(sample, vectors, N_NEAREST, metric=faiss.METRIC_INNER_PRODUCT)
    for share in PROBE_SHARES:
        index.nprobe = max(1, int(n_lists * share))
        _, found = index.search(sample, N_NEAREST)
        if np.mean([len(np.intersect1d(a, b)) for a, b in zip(exact, found, strict=True)]) >= WANTED_RECALL * N_NEAREST:
            break
    return index
