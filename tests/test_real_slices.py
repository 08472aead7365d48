"""The figures of real slices, on slices whose answer is known."""

import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import real_slices


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
    row = real_slices.measure(tmp_path, scans, 0.5)
    assert row["dice"] == [1.0, 0.4]
    assert row["slice_mean_dice"] == 0.7
    assert row["pooled_dice"] == pytest.approx(2 * 125 / (125 + 200), abs=5e-4)
    assert row["false_mm2"] == [16, 25]
    assert row["clean"] == "1/2"
    assert row["found"] == "1/2"  # 100 of 400 mm2 are dense in the second
    above = real_slices.measure(tmp_path, scans, 0.7)
    assert (above["slice_mean_dice"], above["clean"], above["found"]) == (0.0, "2/2", "0/2")


def test_what_the_bundle_would_drop_is_no_mark():
    one = image(np.zeros((40, 40, 1)))  # voxels of 5 mm3
    assert real_slices.marks(one, slab(3, count=1), 0.5, None)[0].sum() == 0  # 45 mm3
    assert real_slices.marks(one, slab(4, count=1), 0.5, None)[0].sum() == 16
    assert real_slices.marks(one, slab(4, count=1), 0.5, 0.61)[0].sum() == 0  # nowhere so sure


def test_dice_counts_only_where_slices_without_blood_stay_clean():
    table = pd.DataFrame({"slice_mean_dice": [0.4, 0.3, 0.2], "clean": ["6/8", "7/8", "8/8"]})
    assert real_slices.while_clean(table) == 0.3
    assert real_slices.while_clean(table, least=8) == 0.2
    assert real_slices.while_clean(table[:1]) == 0.0


def test_precision_of_pixels_counts_slices_without_blood(tmp_path):
    folder = tmp_path / "ct_ich_v100"
    folder.mkdir()
    true = np.zeros((40, 40, 1))
    true[5:15, 5:15] = 1
    nib.save(image(true), folder / "a_mask.nii.gz")
    blood = [("a", image(true), slab(10, count=1))]
    clean = {"ct_ich_v100": blood, "cpaisd_no_blood": [("b", image(true), slab(0, count=1))]}
    assert real_slices.pixel_precision(tmp_path, clean) == 1.0
    marked = {"ct_ich_v100": blood, "cpaisd_no_blood": [("b", image(true), slab(20, count=1))]}
    assert real_slices.pixel_precision(tmp_path, marked) == pytest.approx(100 / 500)


def test_false_volume_of_whole_heads_is_their_mean():
    heads = [(slab(4, count=1), 5.0), (slab(3, count=1), 5.0)]  # 80 mm3; 45 mm3 are dropped
    assert real_slices.whole_ml(heads, 0.5, None) == 0.0  # 0.04 mL
    assert real_slices.whole_ml([(slab(20), 5.0)], 0.5, None) == 2.0
    assert real_slices.whole_ml([(slab(20), 5.0)], 0.5, 0.7) == 0.0
    assert np.isnan(real_slices.whole_ml([], 0.5, None))
