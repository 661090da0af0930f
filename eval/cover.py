"""Fit and report abstention: `python -m eval.cover` prints the weights for `rag/retrieve.py` and what they do.

Logistic regression on the dev half of the queries, balanced between covered and not; the test half is only reported.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from eval.queries import EvalQuery, load_queries
from rag.config import Settings
from rag.history import resolve
from rag.lexical import LexicalIndex
from rag.pipeline import open_notes
from rag.retrieve import estimate_cover, read_signs
from rag.shell import guard, tell

CORPUS = Path(__file__).parent.parent / "corpus"
RIDGE, RATE, N_STEPS = 0.02, 1.0, 4_000
NAMES = ("bias", "cosine", "words", "names", "others")
Table = npt.NDArray[np.float64]


def collect_signs(queries: Sequence[EvalQuery]) -> Table:
    """Return the signs of every query, (n_queries, 4)."""
    with TemporaryDirectory() as folder:
        notes = open_notes(Settings((CORPUS,), Path(folder)), tell)
        words = LexicalIndex.from_arrays(notes.index.content.lexical)
        rows = []
        for query in queries:
            text = resolve(query.query)
            cosines, _ = notes.index.search(notes.encoder.embed_queries([text]), 1)
            rows.append(read_signs(float(cosines[0, 0]), words.search(text)))
    return np.array(rows)


def fit(signs: Table, covered: Table) -> Table:
    """Fit balanced ridge logistic regression by gradient descent; returns bias and weights of the raw signs."""
    mean, spread = signs.mean(axis=0), np.maximum(signs.std(axis=0), 1e-9)
    table = np.column_stack([np.ones(len(signs)), (signs - mean) / spread])
    weight = np.where(covered > 0, 0.5 / covered.sum(), 0.5 / (1 - covered).sum())
    found = np.zeros(table.shape[1])
    for _ in range(N_STEPS):
        slope = table.T @ ((1 / (1 + np.exp(-table @ found)) - covered) * weight)
        slope[1:] += RIDGE * found[1:]
        found -= RATE * slope
    raw = found[1:] / spread
    return np.concatenate([[found[0] - raw @ mean], raw])


def measure_auroc(scores: Table, covered: Table) -> float:
    """Return the chance that a covered query scores above one that is not."""
    higher = scores[covered > 0][:, None] - scores[covered == 0][None, :]
    return float(((higher > 0) + 0.5 * (higher == 0)).mean())


def run(arguments: list[str] | None) -> int:
    """Fit on dev, then report dev and test with the weights the program has now."""
    argparse.ArgumentParser(prog="python -m eval.cover", description=__doc__.splitlines()[0]).parse_args(arguments)
    queries = [query for query in load_queries() if query.category != "number"]
    signs = collect_signs(queries)
    covered = np.array([float(bool(query.grades)) for query in queries])
    dev = np.array([query.split == "dev" for query in queries])
    fitted = fit(signs[dev], covered[dev])
    print("fitted on dev: " + ", ".join(f"{name} {value:.2f}" for name, value in zip(NAMES, fitted, strict=True)))
    now = np.array([estimate_cover(*row) for row in signs])
    for name, half in (("dev", dev), ("test", ~dev)):
        said = now[half] > 0.5
        right = covered[half] > 0
        print(
            f"{name}: AUROC {measure_auroc(now[half], covered[half]):.3f}, answered {said[right].mean():.2f} of the covered,"
            f" abstained on {1 - said[~right].mean():.2f} of the others ({half.sum()} queries)"
        )
    for category in sorted({query.category for query in queries}):
        chosen = np.array([query.category == category for query in queries])
        print(f"  {category:<10} answered {(now[chosen] > 0.5).mean():.2f} of {chosen.sum()}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    return guard(run, arguments)


if __name__ == "__main__":
    sys.exit(main())
