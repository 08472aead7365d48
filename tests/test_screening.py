"""Screening: effects of many things from few trainings."""

import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from screening import main_effects, screening_design


@pytest.mark.parametrize(("count", "runs"), [(1, 8), (4, 8), (5, 16), (11, 16), (12, 16), (13, 32)])
def test_each_name_is_in_half_of_the_trainings_and_each_pair_in_a_quarter(count, runs):
    design = screening_design([str(n) for n in range(count)])
    there = design.to_numpy(dtype=int)
    together = there.T @ there
    assert there.shape == (runs, count)
    assert there[0].all()
    assert (np.diag(together) == runs / 2).all()
    assert (together[~np.eye(count, dtype=bool)] == runs / 4).all()


def test_a_repeated_design_holds_each_training_twice():
    once, twice = screening_design(["a", "b"]), screening_design(["a", "b"], repeats=2)
    assert twice.equals(pd.concat([once, once], ignore_index=True))


def test_effects_are_parted_though_all_change_at_once():
    design = screening_design(["salt", "flour", "sugar"])
    dough = 1.0 + 0.5 * design["salt"] - 0.25 * design["flour"]
    found = main_effects(design, dough)
    assert found["effect"].tolist() == pytest.approx([0.5, -0.25, 0.0])
    assert found["high"].tolist() == pytest.approx(found["low"].tolist())  # nothing scatters
    assert found.loc["salt", ["with", "without"]].tolist() == pytest.approx([1.375, 0.875])


def test_the_interval_is_students():
    # One name in 4 of 8 trainings, which scatter by +-1: the means differ by 2, each group's variance is 4 / 3.
    design = pd.DataFrame({"salt": [True] * 4 + [False] * 4})
    found = main_effects(design, [3, 1, 3, 1, 1, -1, 1, -1]).loc["salt"]
    reach = 2.446912 * np.sqrt(8 / 6 * (1 / 4 + 1 / 4))  # t of 6 degrees of freedom; residual variance 8 / 6
    assert found["effect"] == pytest.approx(2.0)
    assert (found["low"], found["high"]) == pytest.approx((2.0 - reach, 2.0 + reach), abs=1e-5)


def test_intervals_hold_what_they_promise():
    rng = np.random.default_rng(0)
    design = screening_design(["a", "b", "c"])
    hits = 0
    for _ in range(400):
        found = main_effects(design, 0.3 * design["a"] + rng.normal(size=len(design))).loc["a"]
        hits += found["low"] <= 0.3 <= found["high"]
    assert 0.92 < hits / 400 < 0.98


def test_an_unfinished_screening_has_no_interval_yet_or_no_estimate():
    design = screening_design(["a", "b", "c"])
    with pytest.raises(ValueError, match="2 trainings cannot tell 3 ingredients apart"):
        main_effects(design[:2], [0.0] * 2)
    outcome = 1.0 + 0.5 * design["a"] - 0.25 * design["c"]
    found = main_effects(design[:4], outcome[:4])
    assert found["effect"].tolist() == pytest.approx([0.5, 0.0, -0.25])
    assert found["low"].isna().all()
