"""Measures of abstention: how well what the notes do not cover is told apart from what they do."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def measure_detection(uncovered: Sequence[bool], abstained: Sequence[bool]) -> dict[str, float | None]:
    """Return precision, recall and F1 of abstaining; the positive class is what the notes do not cover.

    None where a share has no denominator: nothing abstained on, or nothing uncovered.
    """
    hits = sum(truth and said for truth, said in zip(uncovered, abstained, strict=True))
    precision = hits / sum(abstained) if any(abstained) else None
    recall = hits / sum(uncovered) if any(uncovered) else None
    wrong = sum(truth != said for truth, said in zip(uncovered, abstained, strict=True))
    f1 = 2 * hits / (2 * hits + wrong) if any(uncovered) else None
    return {"precision": precision, "recall": recall, "f1": f1}


def measure_auroc(confidences: Sequence[float], covered: Sequence[bool]) -> float | None:
    """Return the chance that a covered query has the higher confidence than one that is not; ties count half.

    None when all queries are of one kind.
    """
    values, kinds = np.asarray(confidences, dtype=np.float64), np.asarray(covered, dtype=bool)
    if kinds.all() or not kinds.any():
        return None
    others = np.sort(values[~kinds])
    below = np.searchsorted(others, values[kinds], side="left") + np.searchsorted(others, values[kinds], side="right")
    return float(below.mean() / (2 * len(others)))


def trace_risk(confidences: Sequence[float], losses: Sequence[float]) -> list[tuple[float, float]]:
    """Return the risk-coverage curve: (share answered, mean loss of those), the surest answered first.

    One point for each confidence that occurs, since no threshold parts queries of the same confidence
    (El-Yaniv and Wiener 2010, "On the foundations of noise-free selective classification").
    """
    ranked, sums, ends = _rank(confidences, losses)
    return [((end + 1) / len(ranked), float(sums[end]) / (end + 1)) for end in ends.tolist()]


def measure_risk_area(confidences: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return the area under the risk-coverage curve: the mean over queries of the risk where each is just answered.

    Geifman and El-Yaniv 2017 (arXiv 1705.08500), but tied queries all count the risk after the last of them.
    """
    if not len(losses):
        return None
    ranked, sums, ends = _rank(confidences, losses)
    sizes = np.diff(ends, prepend=-1)
    return float((sizes * sums[ends] / (ends + 1)).sum() / len(ranked))


def _rank(
    confidences: Sequence[float], losses: Sequence[float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Sort by confidence: confidences, running sums of losses, and the last position of each confidence."""
    values = np.asarray(confidences, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.array([], dtype=np.int64)
    return ranked, np.cumsum(np.asarray(losses, dtype=np.float64)[order]), ends
