"""Precision from counts equals precision from the pixels themselves."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from hemorrhage.metrics.pixel_precision import BINS, mean_and_sd, pooled_dice, precision_of_histogram, score_histogram


def pixels(n=5000, seed=0):
    r = np.random.default_rng(seed)
    label = r.random(n) < 0.05
    score = np.floor(np.clip(r.normal(0.3 + 0.3 * label, 0.2), 0, 0.999) * BINS) / BINS + 0.5 / BINS
    return label, score


def test_equals_scikit_learn_where_scores_are_thousandths():
    label, score = pixels()
    assert precision_of_histogram(score_histogram(label, score)) == pytest.approx(average_precision_score(label, score))


def test_histograms_of_scans_add_up():
    (a, x), (b, y) = pixels(seed=1), pixels(seed=2)
    together = precision_of_histogram(score_histogram(a, x) + score_histogram(b, y))
    assert together == pytest.approx(average_precision_score(np.concatenate([a, b]), np.concatenate([x, y])))


def test_perfect_and_uninformed_scores():
    label = np.array([0, 0, 1, 1])
    assert precision_of_histogram(score_histogram(label, label * 0.9)) == 1.0
    assert precision_of_histogram(score_histogram(label, np.full(4, 0.2))) == 0.5
    assert math.isnan(precision_of_histogram(score_histogram(np.zeros(4), np.zeros(4))))


def test_pooled_dice_counts_pixels_of_at_least_the_threshold():
    label, score = np.array([1, 1, 1, 0, 0]), np.array([0.5, 0.9, 0.1, 0.7, 0.499])
    assert pooled_dice(score_histogram(label, score)) == pytest.approx(2 * 2 / (3 + 3))
    assert pooled_dice(score_histogram(np.zeros(3), np.zeros(3))) == 1.0


def test_only_the_pixels_asked_for_count():
    label, score = pixels()
    where = np.arange(len(label)) < 100
    assert np.array_equal(score_histogram(label, score, where), score_histogram(label[:100], score[:100]))
    assert score_histogram(label, np.ones(len(label)))[:, -1].sum() == len(label)


def test_mean_and_sd_of_folds():
    assert mean_and_sd([1, 2, 3, 4]) == pytest.approx((2.5, math.sqrt(5 / 3)))
    assert math.isnan(mean_and_sd([0.5])[1])
