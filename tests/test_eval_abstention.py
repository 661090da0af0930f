"""Abstention: worked examples by hand, and a brute-force oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.abstention import measure_auroc, measure_detection, measure_risk_area, trace_risk

PAIRS = st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.9]), st.booleans()), min_size=1, max_size=12)


def test_detection_is_the_textbooks() -> None:
    uncovered = [True, True, True, False, False]
    abstained = [True, True, False, True, False]
    assert measure_detection(uncovered, abstained) == {
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
    }


def test_what_has_no_denominator_is_none() -> None:
    assert measure_detection([True], [False]) == {"precision": None, "recall": 0.0, "f1": 0.0}
    assert measure_detection([False], [False]) == {"precision": None, "recall": None, "f1": None}
    assert measure_auroc([0.5, 0.6], [True, True]) is None
    assert measure_risk_area([], []) is None


def test_the_risk_coverage_curve_by_hand() -> None:
    confidences, losses = [0.8, 0.9, 0.1, 0.8], [0.0, 0.0, 1.0, 1.0]
    assert trace_risk(confidences, losses) == [(0.25, 0.0), (0.75, pytest.approx(1 / 3)), (1.0, 0.5)]
    assert measure_risk_area(confidences, losses) == pytest.approx((0 + 2 * 1 / 3 + 0.5) / 4)


def test_a_surer_right_answer_lowers_the_area() -> None:
    losses = [0.0, 1.0]
    assert measure_risk_area([0.9, 0.1], losses) < measure_risk_area([0.1, 0.9], losses)


@given(PAIRS)
def test_the_auroc_is_the_share_of_pairs_in_order(pairs: list[tuple[float, bool]]) -> None:
    covered = [value for value, kind in pairs if kind]
    others = [value for value, kind in pairs if not kind]
    found = measure_auroc([value for value, _ in pairs], [kind for _, kind in pairs])
    if not covered or not others:
        assert found is None
        return
    wins = sum((a > b) + 0.5 * (a == b) for a in covered for b in others)
    assert found == pytest.approx(wins / (len(covered) * len(others)))


@given(PAIRS)
def test_the_curve_ends_at_the_risk_of_answering_everything(pairs: list[tuple[float, bool]]) -> None:
    losses = [float(wrong) for _, wrong in pairs]
    points = trace_risk([value for value, _ in pairs], losses)
    assert points[-1] == (1.0, pytest.approx(sum(losses) / len(losses)))
    assert [x for x, _ in points] == sorted({x for x, _ in points})
