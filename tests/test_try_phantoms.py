"""The figures of real slices, on slices whose answer is known."""

import sys
from dataclasses import fields

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from typer.testing import CliRunner

from hemorrhage.phantom.recipe import Recipe

sys.path.insert(0, str(ROOT / "scripts"))
import try_phantoms


def image(hu):
    return nib.Nifti1Image(hu.astype(np.int16), np.diag([1.0, 1.0, 5.0, 1.0]))


def slab(*areas, count=2):
    """(40, 40, count) probability 0.6 in squares of the given sides, the first from corner (5, 5)."""
    p = np.zeros((40, 40, count), dtype=np.float32)
    for k, side in enumerate(areas):
        p[5 : 5 + side, 5 : 5 + side, k] = 0.6
    return p


def test_slices_are_scored_as_on_paper(tmp_path):
    folder = tmp_path / "ct_ich_v100"
    folder.mkdir()
    true = np.zeros((40, 40, 2))
    true[5:15, 5:15, 0] = true[5:15, 5:15, 1] = 1
    nib.save(image(true), folder / "a_mask.nii.gz")
    dense = np.full((40, 40, 1), 30.0)
    dense[5:15, 5:15] = 60
    one = image(true[..., :1])
    scans = {
        "ct_ich_v100": [("a", image(true), slab(10, 5))],  # 100 of 100 mm2, then 25 of 100
        "cpaisd_no_blood": [("b", one, slab(4, count=1)), ("c", one, slab(5, count=1))],
        "phe_sich_blood": [("d", image(dense), slab(10, count=1)), ("e", image(dense), slab(20, count=1))],
    }
    row = try_phantoms.measure(tmp_path, scans, 0.5)
    assert row["dice"] == [1.0, 0.4]
    assert row["slice_mean_dice"] == 0.7
    assert row["pooled_dice"] == pytest.approx(2 * 125 / (125 + 200), abs=5e-4)
    assert row["false_mm2"] == [16, 25]
    assert row["clean"] == "1/2"
    assert row["found"] == "1/2"  # 100 of 400 mm2 are dense in the second
    above = try_phantoms.measure(tmp_path, scans, 0.7)
    assert (above["slice_mean_dice"], above["clean"], above["found"]) == (0.0, "2/2", "0/2")


def test_what_the_bundle_would_drop_is_no_mark():
    one = image(np.zeros((40, 40, 1)))  # voxels of 5 mm3
    assert try_phantoms.marks(one, slab(3, count=1), 0.5, None)[0].sum() == 0  # 45 mm3
    assert try_phantoms.marks(one, slab(4, count=1), 0.5, None)[0].sum() == 16
    assert try_phantoms.marks(one, slab(4, count=1), 0.5, 0.61)[0].sum() == 0  # nowhere so sure


def rows(**dice):
    return pd.DataFrame([
        {"without": name, "seed": seed, "dice_while_7_clean": d, "clean": "8/8", "found": "3/6", "false_mm2": 5.0}
        for name, values in dice.items() for seed, d in enumerate(values)
    ])  # fmt: skip


def test_an_ingredient_is_worth_what_is_lost_without_it_seed_by_seed():
    lines = try_phantoms.effects_table(rows(nothing=[0.3, 0.2], veins=[0.1, 0.2])).splitlines()
    assert lines[2] == "| nothing | 0.250 (0.300, 0.200) |  | 5 (5, 5) | 8/8, 3/6; 8/8, 3/6 |"
    assert lines[3] == "| veins | 0.150 (0.100, 0.200) | +0.100 (+0.200, +0.000) | 5 (5, 5) | 8/8, 3/6; 8/8, 3/6 |"


def test_dice_counts_only_where_slices_without_blood_stay_clean():
    table = pd.DataFrame({"slice_mean_dice": [0.4, 0.3, 0.2], "clean": ["6/8", "7/8", "8/8"]})
    assert try_phantoms.while_clean(table) == 0.3
    assert try_phantoms.while_clean(table, least=8) == 0.2
    assert try_phantoms.while_clean(table[:1]) == 0.0


def test_precision_of_pixels_counts_slices_without_blood(tmp_path):
    folder = tmp_path / "ct_ich_v100"
    folder.mkdir()
    true = np.zeros((40, 40, 1))
    true[5:15, 5:15] = 1
    nib.save(image(true), folder / "a_mask.nii.gz")
    blood = [("a", image(true), slab(10, count=1))]
    clean = {"ct_ich_v100": blood, "cpaisd_no_blood": [("b", image(true), slab(0, count=1))]}
    assert try_phantoms.pixel_precision(tmp_path, clean) == 1.0
    marked = {"ct_ich_v100": blood, "cpaisd_no_blood": [("b", image(true), slab(20, count=1))]}
    assert try_phantoms.pixel_precision(tmp_path, marked) == pytest.approx(100 / 500)


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


def test_false_volume_of_whole_heads_is_their_mean():
    heads = [(slab(4, count=1), 5.0), (slab(3, count=1), 5.0)]  # 80 mm3; 45 mm3 are dropped
    assert try_phantoms.whole_ml(heads, 0.5, None) == 0.0  # 0.04 mL
    assert try_phantoms.whole_ml([(slab(20), 5.0)], 0.5, None) == 2.0
    assert try_phantoms.whole_ml([(slab(20), 5.0)], 0.5, 0.7) == 0.0
    assert np.isnan(try_phantoms.whole_ml([], 0.5, None))


def test_the_default_groups_hold_every_ingredient_once():
    names = [n for group in try_phantoms.GROUPS for n in group.split("+")]
    assert sorted(names) == sorted(f.name for f in fields(Recipe))


@pytest.mark.parametrize("command", ["train", "effects"])
def test_a_wrong_ingredient_is_named(tmp_path, command):
    done = CliRunner().invoke(try_phantoms.app, [command, str(tmp_path), str(tmp_path / "out"), "--without", "salt"])
    assert done.exit_code == 2
    assert "no ingredient 'salt'" in done.output
