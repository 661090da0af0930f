"""Per-query measures by ir_measures, and bootstrap intervals over queries."""

from collections.abc import Mapping, Sequence

import ir_measures
import numpy as np
import numpy.typing as npt
from ir_measures import RR, Measure, R, Success, nDCG

N_RESAMPLES = 10_000
SEED = 20
DRAWS_AT_ONCE = 2_000_000
"""Values drawn in one go, so that a set of many thousand queries needs no more memory than a small one."""
NDCG = nDCG @ 10
FIRST = Success(rel=2) @ 1
"""The first question answers the query, not only touches it."""
MEASURES: tuple[Measure, ...] = (NDCG, R @ 1, R @ 5, RR)

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Mapping[str, float]]
"""Query id to document id to score."""


def measure_queries(qrels: Qrels, run: Run, measure: Measure = NDCG) -> dict[str, float]:
    """Measure every judged query; one without results scores 0."""
    scores = {metric.query_id: metric.value for metric in ir_measures.iter_calc([measure], qrels, run)}
    return {query: float(scores.get(query, 0.0)) for query in qrels}


def measure_rankings(
    qrels: Qrels, rankings: Mapping[str, Sequence[str]], measures: Sequence[Measure] = MEASURES
) -> dict[str, dict[str, float]]:
    """Measure rankings of ids, best first; query to measure name to value, 0 where a query has no ranking.

    The order alone counts: scores that tie would be put in another order by the measuring library.
    """
    run = {query: {unit: float(-place) for place, unit in enumerate(units)} for query, units in rankings.items()}
    values = {query: {str(measure): 0.0 for measure in measures} for query in qrels}
    for metric in ir_measures.iter_calc(list(measures), qrels, run):
        if metric.query_id in values:
            values[metric.query_id][str(metric.measure)] = float(metric.value)
    return values


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
    rows = max(1, min(N_RESAMPLES, DRAWS_AT_ONCE // len(values)))
    parts = [
        values[rng.integers(0, len(values), (min(rows, N_RESAMPLES - done), len(values)))].mean(axis=1)
        for done in range(0, N_RESAMPLES, rows)
    ]
    return np.concatenate(parts)
