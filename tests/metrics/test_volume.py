"""Agreement of volumes on lists that can be worked out by hand, and against scipy."""

import numpy as np
import pytest
from scipy import stats

from hemorrhage.metrics.volume import local_regression, volume_agreement

MANUAL = [10.0, 20.0, 30.0, 40.0]


def test_a_constant_bias_by_hand():
    found = volume_agreement(MANUAL, [13.0, 23.0, 33.0, 43.0])
    assert found.r == pytest.approx(1)
    assert found.ccc == pytest.approx(2 * 125 / (125 + 125 + 9))
    assert (found.bias_ml, found.rmse_ml) == (3.0, 3.0)
    assert (found.limit_low_ml, found.limit_high_ml) == (3.0, 3.0)
    assert found.within_5_ml == 1.0


def test_scattered_differences_by_hand():
    found = volume_agreement(MANUAL, [4.0, 20.0, 35.0, 41.0])  # -6, 0, 5, 1
    assert found.bias_ml == 0.0
    assert found.rmse_ml == pytest.approx(np.sqrt(62 / 4))
    assert found.within_5_ml == 0.75  # 5 mL itself is within
    assert found.limit_high_ml == pytest.approx(1.96 * np.sqrt(62 / 3))
    assert found.limit_low_ml == pytest.approx(-found.limit_high_ml)


def test_correlation_against_scipy():
    generator = np.random.default_rng(0)
    x = generator.gamma(2, 20, size=50)
    y = 0.9 * x + generator.normal(0, 4, size=50)
    found = volume_agreement(x, y)
    assert found.r == pytest.approx(stats.pearsonr(x, y).statistic)
    assert abs(found.ccc) < abs(found.r)


def test_too_few_scans_and_no_variance_are_nan():
    assert np.isnan(list(volume_agreement([], []).__dict__.values())).all()
    one = volume_agreement([5.0], [7.0])
    assert np.isnan([one.r, one.ccc, one.limit_low_ml]).all()
    assert (one.bias_ml, one.rmse_ml) == (2.0, 2.0)
    two = volume_agreement([5.0, 10.0], [5.0, 30.0])  # any two dots lie on a line
    assert np.isnan([two.r, two.ccc]).all()
    assert two.limit_high_ml == pytest.approx(10 + 1.96 * np.sqrt(200))
    assert np.isnan(volume_agreement(MANUAL, [0.0] * 4).r)  # a method that never answers has no correlation
    assert volume_agreement([0.0, 0.0], [0.0, 0.0]).rmse_ml == 0.0


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="one length"):
        volume_agreement([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="finite"):
        volume_agreement([np.nan], [1.0])


def test_local_regression_keeps_a_line_and_follows_a_bend():
    x = np.linspace(0, 10, 40)
    at = np.array([0.0, 3.3, 10.0, 12.0])
    assert local_regression(x, 2 * x - 1, at) == pytest.approx(2 * at - 1)
    bend = local_regression(x, np.abs(x - 5), at=np.array([1.0, 9.0]), share=0.25)
    assert bend == pytest.approx([4.0, 4.0], abs=0.05)
    assert np.isnan(local_regression([1.0, 2.0], [1.0, 2.0], [1.5])).all()


def test_local_regression_against_weighted_least_squares():
    generator = np.random.default_rng(0)
    x, y = generator.uniform(0, 10, 30), generator.normal(size=30)
    distance = np.abs(x - 4)
    reach = np.sort(distance)[14] * 1.0001
    weight = np.clip(1 - (distance / reach) ** 3, 0, None) ** 3
    line = np.polyfit(x, y, 1, w=np.sqrt(weight))
    assert local_regression(x, y, [4.0], share=0.5)[0] == pytest.approx(np.polyval(line, 4.0))


def test_equal_places_give_their_mean():
    assert local_regression([3.0] * 4, [1.0, 2.0, 3.0, 6.0], [3.0])[0] == pytest.approx(3.0)
