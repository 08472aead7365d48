"""The patient-level bootstrap against theory, scipy and cases that leave no freedom."""

import numpy as np
import pytest
from scipy import stats

from hemorrhage.metrics.intervals import bootstrap_interval


def test_single_values_against_scipy():
    values = np.random.default_rng(0).normal(10, 2, size=80)
    expected = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    found = bootstrap_interval(values[:, None], np.mean, runs=4000)
    assert found == pytest.approx((expected.low, expected.high), abs=0.04)
    assert found[1] - found[0] == pytest.approx(2 * 1.96 * values.std() / np.sqrt(80), rel=0.06)


def test_copies_of_a_patients_scan_add_nothing():
    values = np.random.default_rng(0).normal(size=40)
    once = bootstrap_interval([[v] for v in values], np.mean)
    assert bootstrap_interval([[v] * 9 for v in values], np.mean) == pytest.approx(once)
    alone = bootstrap_interval([[v] for v in np.repeat(values, 9)], np.mean)  # what ignoring the patient would claim
    assert (once[1] - once[0]) / (alone[1] - alone[0]) == pytest.approx(3, rel=0.1)


def test_patients_with_many_scans_weigh_more():
    low, high = bootstrap_interval([[0.0], [1.0, 1.0, 1.0]], np.mean)
    assert (low, high) == (0.0, 1.0)  # both from one patient alone are a quarter of the draws each
    rows = bootstrap_interval([[0.0], [1.0, 1.0, 1.0]], len)
    assert rows == (2.0, 6.0)


def test_several_statistics_at_once_are_those_one_by_one():
    values = np.random.default_rng(0).normal(size=(30, 1))
    low, high = bootstrap_interval(values, lambda v: np.array([v.mean(), np.median(v)]), runs=200)
    for n, statistic in enumerate((np.mean, np.median)):
        assert (low[n], high[n]) == bootstrap_interval(values, statistic, runs=200)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).normal(size=(20, 1))
    assert bootstrap_interval(values, np.mean) == bootstrap_interval(values, np.mean)
    assert bootstrap_interval(values, np.mean) != bootstrap_interval(values, np.mean, seed=1)


def test_what_leaves_nothing_is_nan_and_infinity_counts():
    assert np.isnan(bootstrap_interval([], np.mean)).all()
    assert np.isnan(bootstrap_interval([[np.nan]], np.mean)).all()
    low, high = bootstrap_interval([[1.0], [np.inf]], np.mean)
    assert (low, high) == (1.0, np.inf)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval([[1.0]], np.mean, level=95)
    with pytest.raises(ValueError, match="at least one row"):
        bootstrap_interval([[1.0], []], np.mean)
