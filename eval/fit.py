"""Fit the weights of `rag/data/ranking.json` on the dev half of the queries and on notebooks: `python -m eval fit`.

Ranking: softmax regression over the candidates of each query, the judged questions as targets (the listwise loss of Cao
et al. 2007), weights kept at zero or above. Coverage: logistic regression over all queries alike, which keeps it a probability.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eval.abstention import measure_detection
from eval.notebooks import make_notebooks
from eval.queries import EvalQuery
from rag.pipeline import Notes
from rag.retrieve import Ranking
from rag.weights import COVER_SIGNS, SIGNS

WEIGHTS = Path(__file__).parent.parent / "rag" / "data" / "ranking.json"
LEFT_OUT = ("number", "several")
"""Categories that are ranked by other means."""
GIVEN = {"words": 0.4}
"""Weights that are not fitted: these notes are few and their words not much needed. A lower value loses several points
on the BEIR sets it was developed on, a higher one half a point here."""
SURE = ("cosine", "title_cosine", "words")
"""Of the cover signs, those that can only speak for the notes covering a query."""
WINDOW = 5
"""Hundredths by which a threshold may be off and should still do well: one peak among few queries is chance."""
RANK_RIDGE, COVER_RIDGE = 1.0, 0.005
OWN_SHARE = 4.0
"""How much a query of the project's own notes counts, set against one of a notebook."""
RATE, N_STEPS = 0.02, 3_000
Table = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Described:
    """A query with the signs of its candidates."""

    query: EvalQuery
    ranking: Ranking
    labels: list[str]
    """Of the candidates: the outer questions of its notes, in their order."""
    share: float
    """How much it counts."""


def collect(notes: Notes, queries: Sequence[EvalQuery], share: float) -> list[Described]:
    """Describe the candidates of every query that is ranked by signs."""
    labels = [question.label for question in notes.questions if not question.parent]
    asked = [query for query in queries if query.category not in LEFT_OUT and query.query.text.strip()]
    rankings = notes.rank([query.query for query in asked])
    return [Described(query, ranking, labels, share) for query, ranking in zip(asked, rankings, strict=True)]


def fit_ranking(described: Sequence[Described]) -> dict[str, float]:
    """Fit one weight for each sign; all outer questions of a query's notes must be candidates."""
    judged = [one for one in described if one.query.grades]
    lengths = np.array([len(one.ranking.places) for one in judged])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    signs = np.concatenate([one.ranking.signs for one in judged]).astype(np.float64)
    grades = np.array([one.query.grades.get(label, 0) for one in judged for label in one.labels], dtype=np.float64)
    targets = grades / np.repeat(np.add.reduceat(grades, starts), lengths)
    shares = np.array([one.share for one in judged])
    shares = np.repeat(shares / shares.sum(), lengths)
    given = np.array([GIVEN.get(name, 0.0) for name in SIGNS])
    spread = signs.std(axis=0) + 1e-9
    table = np.where(given > 0, 0.0, signs / spread)

    def slope(weights: Table) -> Table:
        strengths = table @ weights + signs @ given
        odds = np.exp(strengths - np.repeat(np.maximum.reduceat(strengths, starts), lengths))
        error = odds / np.repeat(np.add.reduceat(odds, starts), lengths) - targets
        found: Table = (error * shares) @ table + RANK_RIDGE * weights / len(weights)
        return found

    weights = _descend(slope, np.ones(len(SIGNS)), 0.0)
    return _write(SIGNS, np.where(given > 0, given, weights / spread))


def fit_coverage(described: Sequence[Described]) -> dict[str, float]:
    """Fit the probability that the notes cover a query."""
    covered = np.array([float(bool(one.query.grades)) for one in described])
    signs = np.stack([one.ranking.cover_signs for one in described]).astype(np.float64)
    shares = np.array([one.share for one in described])
    shares /= shares.sum()
    spread = signs.std(axis=0)
    mean = np.where(spread > 0, signs.mean(axis=0), 0.0)
    spread[spread == 0] = 1.0
    table = (signs - mean) / spread
    ridge = np.where(np.arange(len(COVER_SIGNS)) == COVER_SIGNS.index("bias"), 0.0, COVER_RIDGE)

    def slope(weights: Table) -> Table:
        found: Table = table.T @ ((1 / (1 + np.exp(-table @ weights)) - covered) * shares) + ridge * weights
        return found

    floor = np.array([0.0 if name in SURE else -np.inf for name in COVER_SIGNS])
    weights = _descend(slope, np.zeros(len(COVER_SIGNS)), floor) / spread
    weights[COVER_SIGNS.index("bias")] -= float((weights * mean).sum())
    return _write(COVER_SIGNS, weights)


def choose_threshold(described: Sequence[Described], cover: dict[str, float]) -> float:
    """Choose the threshold around which the F1 of abstaining is highest; of equals the one nearest to a half."""
    weights = np.array([cover[name] for name in COVER_SIGNS])
    chances = 1 / (1 + np.exp(-np.stack([one.ranking.cover_signs for one in described]) @ weights))
    uncovered = [not one.query.grades for one in described]

    def measure(step: int) -> float:
        return measure_detection(uncovered, (chances < step / 100).tolist())["f1"] or 0.0

    def goodness(step: int) -> tuple[float, float]:
        around = [measure(near) for near in range(step - WINDOW, step + WINDOW + 1)]
        return sum(around) / len(around), -abs(step - 50)

    return max(range(20, 81), key=goodness) / 100


def _descend(slope: Callable[[Table], Table], start: Table, floor: Table | float) -> Table:
    """Minimise by Adam (Kingma & Ba 2015) with a floor under the weights."""
    weights, first, second = start.copy(), np.zeros_like(start), np.zeros_like(start)
    for step in range(1, N_STEPS + 1):
        gradient = slope(weights)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        move = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-9)
        weights = np.maximum(weights - RATE * move, floor)
    return weights


def _write(names: Sequence[str], weights: Table) -> dict[str, float]:
    return {name: round(float(weight), 3) for name, weight in zip(names, weights, strict=True)}


def fit(notes: Notes, queries: Sequence[EvalQuery], out: Path = WEIGHTS) -> dict[str, dict[str, float]]:
    """Fit all on the dev half and the notebooks, the threshold on the dev half, and write the file."""
    own = collect(notes, [query for query in queries if query.split == "dev"], OWN_SHARE)
    described = own + [
        one for book in make_notebooks(notes.encoder, notes.settings) for one in collect(book.notes, book.queries, 1.0)
    ]
    cover = fit_coverage(described)
    weights = {
        "rank": fit_ranking(described),
        "cover": cover,
        "threshold": {"coverage": choose_threshold(own, cover)},
    }
    out.write_text(json.dumps(weights, indent=1) + "\n", encoding="utf-8")
    return weights
