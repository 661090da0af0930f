"""The vectors of the notes: exact while few, an inverted file when many."""

from pathlib import Path

import numpy as np
import psutil
import pytest

from rag import vectors
from rag.vectors import VectorIndex


def make_rows(n: int, seed: int = 7) -> vectors.Vectors:
    """Make unit rows around 40 centres, as texts lie around topics."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(40, 16))[rng.integers(0, 40, n)] + 0.3 * rng.normal(size=(n, 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_exact_search_agrees_with_brute_force() -> None:
    rows = make_rows(50)
    cosines, found = VectorIndex.build(rows).search(rows[7:9], 10)
    np.testing.assert_array_equal(found, np.argsort(-(rows[7:9] @ rows.T), axis=1, kind="stable")[:, :10])
    np.testing.assert_allclose(cosines[:, 0], 1, rtol=1e-5)


def test_equal_scores_come_in_the_order_of_rows() -> None:
    same = np.repeat(make_rows(1), 6, axis=0)
    assert VectorIndex.build(same).search(same[:1], 6)[1].tolist() == [[0, 1, 2, 3, 4, 5]]


def test_many_rows_go_into_an_inverted_file_that_finds_nearly_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "EXACT_ROWS", 1_000)
    monkeypatch.setattr(vectors, "ROWS_PER_LIST", 64)
    rows = make_rows(4_000)
    index = VectorIndex.build(rows)
    assert index.kind.startswith("ivf62")
    queries = make_rows(50, seed=8)
    exact = np.argsort(-(queries @ rows.T), axis=1)[:, :10]
    found = index.search(queries, 10)[1]
    assert np.mean([len(set(a) & set(b)) for a, b in zip(exact.tolist(), found.tolist(), strict=True)]) >= 9


@pytest.mark.parametrize("exact_rows", [1_000, 60_000])
def test_rows_come_back_as_they_went_in_also_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact_rows: int
) -> None:
    monkeypatch.setattr(vectors, "EXACT_ROWS", exact_rows)
    rows = make_rows(3_000)
    (tmp_path / "vectors.faiss").write_bytes(VectorIndex.build(rows).to_bytes())
    index = VectorIndex.open(tmp_path / "vectors.faiss")
    np.testing.assert_array_equal(index.all(), rows)
    np.testing.assert_array_equal(index.take(np.array([5, 1, 2_999])), rows[[5, 1, 2_999]])
    assert index.search(rows[5:6], 1)[1].tolist() == [[5]]


@pytest.mark.parametrize("exact_rows", [400_000, 1_000])
def test_an_open_file_is_shared_and_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact_rows: int
) -> None:
    monkeypatch.setattr(vectors, "EXACT_ROWS", exact_rows)
    file = tmp_path / "vectors.faiss"
    file.write_bytes(VectorIndex.build(make_rows(300_000)).to_bytes())
    process = psutil.Process()
    before = process.memory_full_info().uss
    index = VectorIndex.open(file)
    grown = process.memory_full_info().uss - before
    assert len(index) == 300_000
    assert grown < file.stat().st_size / 2
