"""Trials of phantoms: their tables, and what they refuse."""

import sys
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from typer.testing import CliRunner

from hemorrhage.phantom.recipe import Recipe

sys.path.insert(0, str(ROOT / "scripts"))
import try_phantoms


def rows(**dice):
    return pd.DataFrame([
        {
            "without": name, "seed": seed, "dice_while_7_clean": d, "pixel_ap": 2 * d, "clean": "8/8", "found": "3/6",
            "false_mm2": 5.0, "ml": 1.5,
        }
        for name, values in dice.items() for seed, d in enumerate(values)
    ])  # fmt: skip


def test_an_ingredient_is_worth_what_is_lost_without_it_seed_by_seed():
    made = rows(nothing=[0.3, 0.2], veins=[0.1, 0.2])
    lines = try_phantoms.effects_table(made).splitlines()
    at_one_cut = "| 5 (5, 5) | 1.5 (1.5, 1.5) | 8/8, 3/6; 8/8, 3/6 |"
    assert lines[2] == f"| nothing | 0.250 (0.300, 0.200) |  | 0.500 (0.600, 0.400) |  {at_one_cut}"
    # Student's t of one degree of freedom is 12.706, the standard errors 0.1 and 0.2.
    gain = (
        "| +0.100 (+0.200, +0.000) -1.171 to +1.371 | 0.300 (0.200, 0.400) | +0.200 (+0.400, +0.000) -2.341 to +2.741 "
    )
    assert lines[3] == f"| veins | 0.150 (0.100, 0.200) {gain}{at_one_cut}"
    without_heads = try_phantoms.effects_table(made.assign(ml=float("nan"))).splitlines()
    assert without_heads[3] == lines[3].replace("| 1.5 (1.5, 1.5) ", "")
    assert all(line.count("|") == without_heads[0].count("|") for line in without_heads)


def test_a_screening_is_tabulated():
    design = try_phantoms.screening_design(["veins", "dura"])
    gain = 0.1 * design["veins"]
    figures = pd.DataFrame({"dice_while_7_clean": 0.2 + gain, "pixel_ap": 0.5 + gain, "ml": 3.0 - 10 * gain})
    whole = "| veins | 0.300, 0.200 | +0.100 (+0.100 to +0.100) | 0.600, 0.500 | +0.100 (+0.100 to +0.100) |"
    lines = try_phantoms.screening_table(design, figures).splitlines()
    assert lines[2] == whole + " 2.0, 3.0 | -1.0 (-1.0 to -1.0) |"
    assert try_phantoms.screening_table(design, figures.assign(ml=np.nan)).splitlines()[2] == whole
    first = try_phantoms.screening_table(design[:3], figures[:3].assign(ml=np.nan)).splitlines()
    assert first[2] == "| veins | 0.300, 0.200 | +0.100 | 0.600, 0.500 | +0.100 |"  # no interval yet


def test_the_default_groups_hold_every_ingredient_once():
    names = [n for group in try_phantoms.GROUPS for n in group.split("+")]
    assert sorted(names) == sorted(f.name for f in fields(Recipe))


@pytest.mark.parametrize("command", ["train", "effects"])
def test_a_wrong_ingredient_is_named(tmp_path, command):
    done = CliRunner().invoke(try_phantoms.app, [command, str(tmp_path), str(tmp_path / "out"), "--without", "salt"])
    assert done.exit_code == 2
    assert "no ingredient 'salt'" in done.output
