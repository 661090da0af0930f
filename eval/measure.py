"""Per-query measures by ir_measures, and bootstrap intervals over queries."""

from collections.abc import Mapping, Sequence

import ir_measures
import numpy as np
import numpy.typing as npt
from ir_measures import RR, Measure, R, nDCG

N_RESAMPLES = 10_000
SEED = 20
NDCG = nDCG @ 10
MEASURES: tuple[Measure, ...] = (NDCG, R @ 1, R @ 5, RR)

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Mapping[str, float]]
"""Query id to document id to score."""


def measure_queries(qrels: Qrels, run: Run, measure: Measure = NDCG) -> dict[str, float]:
    """Measure every judged query; one without results scores 0."""
    scores = {metric.query_id: metric.value for metric in ir_measures.iter_calc([measure], qrels, run)}
    return {query: float(scores.get(query, 0.0)) for query in qrels}


def bootstrap_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean (Efron 1979), seeded."""
    means = _resample_means(np.asarray(values, dtype=np.float64))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def compare_paired(first: Mapping[str, float], second: Mapping[str, float]) -> tuple[float, tuple[float, float]]:
    """Return the mean difference second - first over the same queries, with its paired bootstrap interval.

    :raises ValueError: when the queries differ.
    """
    if first.keys() != second.keys():
        raise ValueError("the two runs do not have the same queries")
    differences = [second[query] - first[query] for query in first]
    return float(np.mean(differences)), bootstrap_interval(differences)


def _resample_means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(SEED)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(N_RESAMPLES)]
    return np.asarray(means)
