"""The fitted weights of retrieval: `rag/data/ranking.json`, written by `python -m eval fit` from the dev half of the queries."""

import json
import math
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

SIGNS = ("cosine", "second_cosine", "title_cosine", "words", "matched", "concepts", "described", "cited_before")
"""What describes a candidate question. `words` is its best BM25 score squared, in units of `BM25_UNIT`: a passage with many
rare words of the query is stronger evidence than the sum of them, and a chance word or two is weaker. `matched` is the same
score as a share of the most that the query's words could bring: what is short or common is matched wholly too.
`described` tells how far its title names terms that the query only describes."""
COVER_SIGNS = ("bias", "cosine", "title_cosine", "words", "latin", "names", "absent_concepts")
"""What describes how well the notes cover a query."""
BM25_UNIT = 10.0
"""Brings BM25 scores to the size of cosines."""

Scores = npt.NDArray[np.float32]


@cache
def load_weights() -> dict[str, dict[str, float]]:
    """Load the weights, by group and name."""
    weights: dict[str, dict[str, float]] = json.loads((files("rag") / "data" / "ranking.json").read_text())
    return weights


def coverage_threshold() -> float:
    """Return the probability below which the answer is that the notes do not cover the query."""
    return load_weights()["threshold"]["coverage"]


def estimate_coverage(cover_signs: Scores) -> float:
    """Estimate the probability that the notes cover a query: logistic regression over its signs."""
    weights = load_weights()["cover"]
    strength = float(np.dot(cover_signs, [weights[name] for name in COVER_SIGNS]))
    return 1 / (1 + math.exp(-strength))
