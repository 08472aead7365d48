"""Curves and rates that can be counted by hand, and the same from other implementations."""

import warnings

import numpy as np
import pytest
import torch
from monai.metrics import compute_roc_auc
from scipy.stats import mannwhitneyu

from hemorrhage.metrics.detection import auc_interval, average_precision, operating_point, rates, roc_auc

# Four positives and five negatives. Of 20 pairs, 16 are in order and 1 is tied.
LABELS = [1, 1, 1, 1, 0, 0, 0, 0, 0]
SCORES = [0.9, 0.8, 0.6, 0.3, 0.7, 0.4, 0.3, 0.2, 0.1]


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def drawn():
    generator = np.random.default_rng(3)
    labels = np.repeat([0, 1], [60, 40])
    return labels, np.round(generator.normal(size=100) + 0.8 * labels, 1)  # rounded: with ties


def test_area_is_the_share_of_pairs_in_order():
    assert roc_auc(LABELS, SCORES) == pytest.approx(16.5 / 20)


def test_area_against_mann_whitney_and_monai(drawn):
    labels, scores = drawn
    statistic = mannwhitneyu(scores[labels == 1], scores[labels == 0]).statistic
    assert roc_auc(labels, scores) == pytest.approx(statistic / (40 * 60))
    assert roc_auc(labels, scores) == pytest.approx(compute_roc_auc(torch.tensor(scores), torch.tensor(labels)))


def test_average_precision_by_hand():
    # Positives at ranks 1, 2, 4, and one tied with a negative at ranks 6 and 7.
    assert average_precision(LABELS, SCORES) == pytest.approx((1 / 1 + 2 / 2 + 3 / 4 + 4 / 7) / 4)


def test_delong_by_hand():
    # Shares of negatives below each positive: 1, 1, 0.8, 0.5; of positives above each negative: .5, .75, .875, 1, 1.
    variance = np.var([1, 1, 0.8, 0.5], ddof=1) / 4 + np.var([0.5, 0.75, 0.875, 1, 1], ddof=1) / 5
    low, high = auc_interval(LABELS, SCORES)
    assert low == pytest.approx(0.825 - 1.959964 * np.sqrt(variance), abs=1e-6)
    assert high == 1.0
    low, high = auc_interval(LABELS, SCORES, level=0.5)
    assert (high - low) / 2 == pytest.approx(0.674490 * np.sqrt(variance), abs=1e-6)


def test_delong_against_all_pairs_and_against_the_bootstrap(drawn):
    labels, scores = drawn
    positive, negative = scores[labels == 1][:, None], scores[labels == 0][None]
    order = (positive > negative) + 0.5 * (positive == negative)
    deviation = np.sqrt(order.mean(1).var(ddof=1) / 40 + order.mean(0).var(ddof=1) / 60)
    low, high = auc_interval(labels, scores)
    assert (high - low) / 2 == pytest.approx(1.959964 * deviation, abs=1e-6)
    assert auc_interval(labels, scores, method="bootstrap") == pytest.approx((low, high), abs=0.03)


def test_operating_points_by_hand():
    every = operating_point(LABELS, SCORES)
    assert (every.threshold, every.sensitivity) == (0.3, 1.0)
    assert every.specificity == pytest.approx(2 / 5)  # 0.7, 0.4 and the tied 0.3 are called too
    most = operating_point(LABELS, SCORES, sensitivity=0.75)
    assert (most.threshold, most.sensitivity, most.specificity) == (0.6, 0.75, 0.8)
    assert operating_point([1] * 10 + [0], [*range(10, 0, -1), 0], sensitivity=0.9).threshold == 2


def test_no_other_threshold_is_more_specific(drawn):
    labels, scores = drawn
    found = operating_point(labels, scores, sensitivity=0.8)
    others = [rates(labels, scores, t) for t in np.unique(scores)]
    assert found.specificity == max(r.specificity for r in others if r.sensitivity >= 0.8)


def test_rates_by_hand():
    found = rates(LABELS, SCORES, 0.6)  # TP 3, FN 1, FP 1, TN 4
    assert (found.sensitivity, found.specificity) == (0.75, 0.8)
    assert found.accuracy == pytest.approx(7 / 9)
    assert found.f1 == pytest.approx(6 / 8)
    assert rates(LABELS, SCORES, 0.9).sensitivity == 0.25  # a score at the threshold is called


def test_what_has_no_value_is_nan():
    nan = pytest.approx(float("nan"), nan_ok=True)
    for labels in ([0, 0, 0], [1, 1, 1]):
        assert roc_auc(labels, [1, 2, 3]) == nan
        assert np.isnan(auc_interval(labels, [1, 2, 3])).all()
        assert np.isnan(auc_interval(labels, [1, 2, 3], method="bootstrap")).all()
    assert average_precision([0, 0, 0], [1, 2, 3]) == nan
    assert average_precision([1, 1, 1], [1, 2, 3]) == 1.0
    assert operating_point([0, 0], [1, 2]).threshold == nan
    assert operating_point([1, 1], [1, 2]).specificity == nan
    assert rates([0, 0], [1, 2], 5).sensitivity == nan
    assert rates([0, 0], [1, 2], 5).f1 == nan
    assert rates([1, 1], [1, 2], 5).specificity == nan
    assert rates([1, 1], [1, 2], 5).f1 == 0.0
    assert rates([], [], 0.5).accuracy == nan


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [([0, 1], [1.0], "one length"), ([0, 2], [1.0, 2.0], "0 or 1"), ([0, 1], [np.nan, 1.0], "1 of 2 scores")],
)
def test_what_cannot_be_scored_is_refused(labels, scores, message):
    for function in (roc_auc, average_precision, operating_point, auc_interval):
        with pytest.raises(ValueError, match=message):
            function(labels, scores)
