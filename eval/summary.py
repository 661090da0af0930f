"""Sum up judged queries: means with intervals, overall and by category, abstention and speed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eval.abstention import measure_auroc, measure_detection, measure_risk_area
from eval.judge import VALUES, Record
from eval.measure import bootstrap_interval

DIGITS = 4

Summary = dict[str, Any]
"""Plain values, as in the result files: `overall` and `categories` hold measures, `sizes` counts of queries."""


def summarise(records: Sequence[Record]) -> Summary:
    """Sum up the records of one system."""
    categories: dict[str, list[Record]] = {}
    for record in records:
        categories.setdefault(record.category, []).append(record)
    times = [record.search_ms for record in records]
    return {
        "n": len(records),
        "n_covered": _count_covered(records),
        "overall": summarise_values(records),
        "categories": {name: summarise_values(group) for name, group in sorted(categories.items())},
        "sizes": {
            name: {"n": len(group), "n_covered": _count_covered(group)} for name, group in sorted(categories.items())
        },
        "abstention": summarise_abstention(records),
        "search_ms": {name: round(float(np.percentile(times, at)), 2) for name, at in (("p50", 50), ("p99", 99))},
    }


def summarise_values(records: Sequence[Record]) -> dict[str, Mapping[str, float]]:
    """Average each measure over the queries that have it: mean, 95% interval, n."""
    summary: dict[str, Mapping[str, float]] = {}
    for name in VALUES:
        values = [record.values[name] for record in records if name in record.values]
        if values:
            low, high = bootstrap_interval(values)
            summary[name] = {**_round({"mean": float(np.mean(values)), "low": low, "high": high}), "n": len(values)}
    return summary


def summarise_abstention(records: Sequence[Record]) -> dict[str, float]:
    """Measure abstention; what cannot be measured is left out, and so are the decisions of a system that makes none."""
    confidences = [record.confidence for record in records]
    measured: dict[str, float | None] = {
        "auroc": measure_auroc(confidences, [record.covered for record in records]),
        "aurc": measure_risk_area(confidences, [record.loss for record in records]),
    }
    abstained = [record.abstained for record in records if record.abstained is not None]
    if len(abstained) == len(records):
        measured |= measure_detection([not record.covered for record in records], abstained)
    return _round({name: value for name, value in measured.items() if value is not None})


def _count_covered(records: Sequence[Record]) -> int:
    return sum(record.covered for record in records)


def _round(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, DIGITS) for name, value in values.items()}
