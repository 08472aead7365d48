import numpy as np
import pytest

from hemorrhage.report.findings import measure

# 0.5 x 0.5 x 5 mm, the first axis running to the patient's left: one voxel is 1.25 mm3.
AFFINE = np.array([[-0.5, 0, 0, 20.0], [0, 0.5, 0, -20], [0, 0, 5, 0], [0, 0, 0, 1]])
SHAPE = (80, 80, 6)


def scan_with(*boxes):
    mask = np.zeros(SHAPE, dtype=np.uint8)
    for box in boxes:
        mask[box] = 1
    hu = np.where(mask > 0, 60.0, 30.0).astype(np.float32)
    return hu, mask.astype(np.float32) * 0.9, mask


def test_volumes_of_boxes_add_up():
    left = np.s_[50:70, 10:30, 1:3]  # x = 20 - 0.5 i < 0: the patient's left; 800 voxels, 1.0 mL
    right = np.s_[10:20, 10:18, 1:2]  # 80 voxels, 0.1 mL
    found = measure(*scan_with(left, right), AFFINE)
    assert found.volume_ml == pytest.approx(1.1)
    assert found.volume_left_ml == pytest.approx(1.0)
    assert found.volume_right_ml == pytest.approx(0.1)
    assert found.side == "left"
    assert [c.volume_ml for c in found.components] == pytest.approx([1.0, 0.1])
    assert found.components[0].mean_hu == pytest.approx(60.0)
    assert found.components[0].mean_probability == pytest.approx(0.9)
    assert found.components[0].center_mm == pytest.approx((20 - 0.5 * 59.5, -20 + 0.5 * 19.5, 7.5))
    assert found.volume_ml_at == pytest.approx({"0.3": 1.1, "0.5": 1.1, "0.7": 1.1})


def test_side_is_judged_in_template_space():
    box = np.s_[50:70, 10:30, 1:3]
    half_turn = np.diag([-1.0, -1, 1, 1])
    assert measure(*scan_with(box), AFFINE, half_turn).side == "right"


def test_a_bleed_across_the_midline_has_both_sides():
    # Voxels 20 to 60 along x: centers from 10 to -9.5 mm, so index 40 (x = 0) and below are the right half.
    found = measure(*scan_with(np.s_[20:60, 0:10, 0:1]), AFFINE)
    assert found.side == "both"
    assert found.volume_left_ml == pytest.approx(found.volume_right_ml, rel=0.1)


def test_a_side_that_is_not_known_is_not_stated():
    found = measure(*scan_with(np.s_[50:70, 10:30, 1:3]), AFFINE, sides_known=False)
    assert (found.side, found.volume_left_ml, found.volume_right_ml) == ("unknown", None, None)
    assert found.volume_ml == pytest.approx(1.0)
    assert measure(*scan_with(), AFFINE, sides_known=False).side == "none"


def test_no_blood_is_zero_and_none():
    found = measure(*scan_with(), AFFINE)
    record = found.as_record()
    assert (found.volume_ml, found.side, found.scan_score, found.components) == (0.0, "none", 0.0, ())
    assert (record["number_of_components"], record["largest_component_ml"]) == (0, 0.0)


def test_score_sees_a_bleed_and_not_a_speck():
    hu, probability, mask = scan_with(np.s_[20:50, 20:50, 1:4])
    sure = measure(hu, probability, mask, AFFINE).scan_score
    assert sure == pytest.approx(0.9, abs=1e-5)
    speck = np.zeros(SHAPE, dtype=np.float32)
    speck[40, 40, 3] = 1.0
    # One voxel in the window of 10 x 10 x 1 voxels that 5 mm make here.
    assert measure(hu, speck, mask * 0, AFFINE).scan_score == pytest.approx(0.01)


def test_one_voxel_counts():
    found = measure(*scan_with(np.s_[3:4, 3:4, 3:4]), AFFINE)
    assert found.volume_ml == pytest.approx(0.00125)


def test_shapes_must_agree():
    hu, probability, mask = scan_with()
    with pytest.raises(ValueError, match="shapes differ"):
        measure(hu, probability[1:], mask, AFFINE)
