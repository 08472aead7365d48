import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from hemorrhage.metrics.calibration import (
    LogisticCurve,
    cross_fitted,
    expected_calibration_error,
    fit_curve,
    reliability,
)


def test_the_error_of_four_cases_by_hand():
    """Said 0.2, 0.2 with one of two happening, 0.9, 0.9 with both: (2 * |0.2 - 0.5| + 2 * |0.9 - 1|) / 4 = 0.2."""
    assert expected_calibration_error([0, 1, 1, 1], [0.2, 0.2, 0.9, 0.9]) == pytest.approx(0.2)
    assert expected_calibration_error([0, 1], [0.0, 1.0]) == 0.0
    assert expected_calibration_error([1, 0], [0.0, 1.0]) == 1.0


def test_steps_are_those_of_scikit_learn():
    r = np.random.default_rng(0)
    p = r.random(500)
    y = (r.random(500) < p).astype(int)
    happened, said = calibration_curve(y, p, n_bins=10)
    table = reliability(y, p)
    assert [t["said"] for t in table] == pytest.approx(said)
    assert [t["happened"] for t in table] == pytest.approx(happened)
    assert sum(t["count"] for t in table) == 500


def test_a_bent_score_becomes_a_probability():
    """Scores whose logit is half of the true one: the curve finds slope 2, and the error of held-out cases falls."""
    r = np.random.default_rng(1)
    logit = r.normal(0.5, 2.0, 4000)
    y = (r.random(4000) < 1 / (1 + np.exp(-logit))).astype(int)
    bent = 1 / (1 + np.exp(-(logit - 1.0) / 2))
    curve = fit_curve(y, bent)
    assert curve.slope == pytest.approx(2.0, abs=0.15)
    assert curve.intercept == pytest.approx(1.0, abs=0.15)
    held = cross_fitted(y, bent)
    assert expected_calibration_error(y, bent) > 0.1
    assert expected_calibration_error(y, held) < 0.03


def test_a_curve_never_falls_and_stays_finite():
    assert fit_curve([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9]).slope == 0.0
    sure = fit_curve([0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0])
    assert 0.5 < float(sure([1.0])[0]) < 1.0
    assert LogisticCurve(1.0, 0.0)([0.25]) == pytest.approx([0.25])


@pytest.mark.parametrize(("labels", "scores"), [([0, 1], [0.5]), ([0, 2], [0.1, 0.2]), ([0, 1], [0.1, 1.2]), ([], [])])
def test_what_is_no_score_is_refused(labels, scores):
    with pytest.raises(ValueError, match="must"):
        expected_calibration_error(labels, scores)
    with pytest.raises(ValueError, match="with and without"):
        fit_curve([1, 1], [0.1, 0.2])
