"""The row of a scan on a grid of 0.5 x 0.5 x 5 mm."""

import numpy as np
import pytest

from hemorrhage.evaluation.combinations import combination_of
from hemorrhage.evaluation.scores import score_scan

AFFINE = np.diag([0.5, 0.5, 5.0, 1.0])  # 1.25 mm³ a voxel


@pytest.fixture
def scan():
    kinds = np.zeros((40, 40, 8), dtype=np.uint8)
    kinds[5:15, 5:15, 2:4] = 4  # 200 voxels
    kinds[25:30, 5:15, 5] = 5  # 50 voxels
    answer = np.zeros_like(kinds)
    answer[5:15, 5:15, 2] = 1  # half of the first
    answer[35:38, 35:38, 7] = 1  # 9 voxels of nothing
    return kinds, answer


def test_a_row_by_hand(scan):
    kinds, answer = scan
    row, slices = score_scan(kinds > 0, answer, answer * 0.8, AFFINE, kinds == 4, kinds)
    assert row["reference_ml"] == pytest.approx(250 * 1.25 / 1000)
    assert row["difference_ml"] == pytest.approx((109 - 250) * 1.25 / 1000)
    assert row["dice"] == pytest.approx(200 / 359)
    assert row["jaccard"] == pytest.approx(100 / 259)
    assert (row["lesions"], row["lesions_found"], row["false_positive_lesions"]) == (2, 1, 1)
    assert row["reference_outside_brain_ml"] == pytest.approx(50 * 1.25 / 1000)
    assert row["IPH_found"] == 0.5
    assert row["IVH_found"] == 0.0
    assert row["SDH_ml"] == 0.0
    assert "SDH_found" not in row
    assert row["combination"] == "ICH + IVH"
    assert row["scan_score"] == pytest.approx(0.8)  # 10 pixels of 0.5 mm fill the window of 5 mm
    assert [s["blood"] for s in slices] == [0, 0, 1, 1, 0, 1, 0, 0]
    assert slices[2]["dice"] == 1.0
    assert slices[3]["dice"] == 0.0
    assert slices[0]["dice"] == 1.0
    assert slices[7]["score"] == pytest.approx(0.8 * 9 / 100)
    assert slices[5]["reference_mm2"] == pytest.approx(50 * 0.25)


def test_slices_run_along_the_patient_whatever_the_order_of_axes(scan):
    kinds, answer = (np.moveaxis(v, 2, 0) for v in scan)
    affine = np.array([[0, 0.5, 0, 0], [0, 0, 0.5, 0], [5.0, 0, 0, 0], [0, 0, 0, 1]])
    row, slices = score_scan(kinds > 0, answer, answer * 0.8, affine)
    assert len(slices) == 8
    assert row["dice"] == pytest.approx(200 / 359)
    assert row["combination"] == "unknown"


def test_empty_masks():
    nothing = np.zeros((8, 8, 4))
    row, slices = score_scan(nothing, nothing, nothing, AFFINE, nothing, nothing)
    assert (row["dice"], row["hd95_mm"], row["surface_dice"], row["scan_score"]) == (1.0, 0.0, 1.0, 0.0)
    assert row["combination"] == "no blood"
    assert not any(s["blood"] for s in slices)


@pytest.mark.parametrize(
    ("present", "name"),
    [({"IPH"}, "ICH only"), ({"IPH", "IVH"}, "ICH + IVH"), ({"IPH", "SDH"}, "ICH + SDH"),
     ({"IPH", "SDH", "IVH"}, "ICH + IVH + SDH"), ({"SDH"}, "other"), ({"IPH", "SAH"}, "other"), (None, "unknown")],
)  # fmt: skip
def test_combinations_of_table_2(present, name):
    assert combination_of(present, True) == name
    assert combination_of(present, False) == "no blood"


def test_subtypes_of_another_shape_are_refused():
    nothing = np.zeros((8, 8, 4))
    with pytest.raises(ValueError, match="subtypes have shape"):
        score_scan(nothing, nothing, nothing, AFFINE, None, nothing[:4])
