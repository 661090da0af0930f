"""Hold the vectors of the notes in FAISS: exact search while they are few, an inverted file when they are many."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.types import Vectors

EXACT_ROWS = 60_000
"""Up to this many rows every query looks at every vector: some 5 ms."""
ROWS_PER_LIST = 256
TRAINING_ROWS_PER_LIST = 40
"""What k-means needs to place a centroid well (FAISS's own lower bound is 39)."""
PROBES_PER_ROOT = 3.0
"""Lists a query looks into, for the square root of their number: finds 97% and more of the ten nearest rows by exact search
(`python -m eval scale`)."""
SEED = 20
BLOCK_NUMBERS = 1 << 16
N_ITERATIONS = 8
"""Of k-means; more change the recall by less than its error."""

KINDS, HEAD_BYTES, MAX_DIM = (b"IxFI", b"IwFl"), 16, 65_536
"""How FAISS's files of flat and inverted indexes begin: four letters, int32 dimension, int64 number of rows."""

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
    def open(cls, path: Path) -> "VectorIndex":
        """Open a file of what `to_bytes` wrote; it is mapped, so that processes share it, where the system can.

        :raises ValueError: when it says that it holds more than it does.
        :raises RuntimeError: when FAISS cannot read it.
        """
        import faiss

        _check_size(path)
        index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)
        if hasattr(index, "nprobe"):
            index.make_direct_map()
        else:
            _check_numbers(path, index.ntotal * index.d)
        return cls(index)

    def to_bytes(self) -> bytes:
        """Serialise it."""
        import faiss

        return bytes(faiss.serialize_index(self._index).tobytes())

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

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


def _check_size(path: Path) -> None:
    """Look at the head of a file before FAISS makes room for what it announces: kind, dimension, number of rows."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    kind, dim, n_rows = head[:4], int.from_bytes(head[4:8], "little"), int.from_bytes(head[8:16], "little")
    if kind not in KINDS or not 0 < dim <= MAX_DIM or 4 * dim * n_rows > path.stat().st_size:
        raise ValueError(f"{path}: {kind!r}, {n_rows} rows of {dim}")


def _check_numbers(path: Path, n_numbers: int) -> None:
    """Look for what is no number at the end of a file, where exact vectors lie; the file is read, not mapped."""
    with path.open("rb") as file:
        file.seek(-4 * n_numbers, os.SEEK_END)
        while len(block := np.fromfile(file, np.float32, BLOCK_NUMBERS)):
            if not np.isfinite(np.vdot(block, block)):
                raise ValueError(f"{path}: a vector that holds no number")


def _build_inverted_file(vectors: Vectors) -> Any:
    """Build lists around k-means centroids (Sivic & Zisserman 2003)."""
    import faiss

    n, dim = vectors.shape
    n_lists = n // ROWS_PER_LIST
    rng = np.random.default_rng(SEED)
    index: Any = faiss.index_factory(dim, f"IVF{n_lists},Flat", faiss.METRIC_INNER_PRODUCT)
    index.cp.niter = N_ITERATIONS
    index.train(vectors[rng.choice(n, min(n, n_lists * TRAINING_ROWS_PER_LIST), replace=False)])
    index.add(vectors)
    index.make_direct_map()
    index.nprobe = round(PROBES_PER_ROOT * n_lists**0.5)
    return index
