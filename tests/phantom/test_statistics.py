"""Draws follow the tables they come from."""

import numpy as np
import pytest

from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.statistics import COMBINATIONS, LEVELS, VOLUME_ML, draw_density, draw_subtypes, draw_volume
from hemorrhage.subtypes import BY_NAME


def test_each_subtype_appears_at_its_share():
    r = Draws(1)
    n = 3000
    drawn = [draw_subtypes(r) for _ in range(n)]
    total = sum(COMBINATIONS.values())
    for name in BY_NAME:
        share = sum(k for c, k in COMBINATIONS.items() if name in c) / total
        assert share > 0.1
        # four standard errors of a share of 3000
        assert np.mean([name in d for d in drawn]) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / n))


@pytest.mark.parametrize("name", VOLUME_ML)
def test_volumes_have_the_quantiles_of_the_table(name):
    r = Draws(2)
    volumes = [draw_volume(name, r) for _ in range(4000)]
    for level in (0.25, 0.5, 0.75):
        table = VOLUME_ML[name][LEVELS.index(level)]
        below = np.mean(np.array(volumes) < table)
        assert below == pytest.approx(level, abs=0.035)


def test_small_bleeds_are_less_dense_than_large_ones():
    r = Draws(3)
    for name in ("IPH", "IVH"):
        small, large = (np.median([draw_density(name, ml, r) for _ in range(400)]) for ml in (0.3, 40.0))
        assert large > small + 4
