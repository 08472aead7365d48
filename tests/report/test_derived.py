"""Derived measures on boxes of 0.5 x 0.5 x 5 mm voxels, counted by hand."""

import nibabel as nib
import numpy as np
import pytest
from conftest import ROOT

from hemorrhage.report.derived import (
    DerivedMeasures,
    abc_half,
    compartment_volumes_ml,
    flags_of,
    side_volumes_ml,
    thickness_mm,
)
from hemorrhage.report.scan_result import ScanResult

AFFINE = np.diag([0.5, 0.5, 5.0, 1.0])
AFFINE[:3, 3] = (-20.0, -20.0, -20.0)  # voxel 40 of the first axis at the midline
SHAPE = (80, 80, 10)
COMPARTMENTS = ROOT / "models/compartments.nii.gz"


def box(*edges):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[tuple(slice(*e) for e in edges)] = True
    return mask


def test_abc_half_of_a_box():
    # 20 x 10 pixels are 10 x 5 mm: A is the diagonal, B the extent across it.
    found = abc_half(box((10, 30), (10, 20), (2, 6)), AFFINE)
    assert found["a_mm"] == pytest.approx(np.hypot(10, 5))
    assert found["b_mm"] == pytest.approx(2 * 10 * 5 / np.hypot(10, 5))
    assert found["c_mm"] == 20.0
    assert found["ml"] == pytest.approx(10 * 5 * 2 * 20 / 2000)


def test_abc_half_of_a_ball_is_its_volume_but_for_the_constant():
    grid = np.indices((60, 60, 60)) - 29.5
    ball = (grid**2).sum(0) <= 25**2
    found = abc_half(ball, np.diag([1.0, 1.0, 1.0, 1.0]))
    assert found["a_mm"] == pytest.approx(50, abs=1.5)
    assert found["b_mm"] == pytest.approx(50, abs=1.5)
    # Slices below a quarter of the largest area count nothing, those below three quarters half.
    heights = np.sqrt(1 - np.array([0.25, 0.75])) * 25
    assert found["c_mm"] == pytest.approx(heights[0] + heights[1], abs=1.5)


def test_abc_half_counts_slices_by_their_area_and_takes_the_largest_bleed():
    mask = box((10, 30), (10, 30), (3, 5))  # 400 pixels twice
    mask |= box((10, 30), (10, 20), (5, 6))  # half of that: half a slice
    mask |= box((10, 14), (10, 14), (2, 3))  # a twenty-fifth: none
    mask |= box((50, 60), (50, 60), (0, 2))  # another bleed, smaller
    assert abc_half(mask, AFFINE)["c_mm"] == 12.5
    assert abc_half(np.zeros(SHAPE, dtype=bool), AFFINE) is None


def test_a_line_of_voxels_has_an_abc_half():
    assert abc_half(box((10, 20), (10, 11), (2, 3)), AFFINE)["c_mm"] == 5.0


@pytest.mark.parametrize("pixels", [1, 2, 5, 8])
def test_thickness_of_a_band(pixels):
    band = box((10, 70), (30, 30 + pixels), (2, 6))
    assert thickness_mm(band, AFFINE) == pytest.approx(pixels * 0.5)
    assert thickness_mm(band.transpose(1, 0, 2), AFFINE) == pytest.approx(pixels * 0.5)


def test_thickness_is_the_widest_slice_and_none_without_blood():
    mask = box((10, 70), (30, 33), (2, 3)) | box((10, 70), (30, 36), (7, 8))
    assert thickness_mm(mask, AFFINE) == pytest.approx(3.0)
    assert thickness_mm(np.zeros(SHAPE, dtype=bool), AFFINE) == 0.0


def test_sides_by_subtype():
    kinds = np.zeros(SHAPE, dtype=np.uint8)
    kinds[20:30, 10:20, 2:4] = 4  # left of the midline: 200 voxels of 1.25 mm³
    kinds[50:60, 10:20, 2:3] = 2
    found = side_volumes_ml(kinds > 0, AFFINE, np.eye(4), kinds)
    assert found["any"] == pytest.approx({"left": 0.25, "right": 0.125})
    assert found["IPH"] == pytest.approx({"left": 0.25, "right": 0.0})
    assert found["SDH"] == pytest.approx({"left": 0.0, "right": 0.125})
    assert found["EDH"] == {"left": 0.0, "right": 0.0}
    moved = np.eye(4)
    moved[0, 3] = -20.0  # the scan lies 20 mm to the right of the template
    assert side_volumes_ml(kinds > 0, AFFINE, moved, kinds)["any"] == pytest.approx({"left": 0.375, "right": 0.0})


def test_compartments_split_at_their_border():
    halves = np.ones((4, 4, 4), dtype=np.uint8)
    halves[:, :, :2] = 2  # below z = 0
    grid = np.diag([20.0, 20.0, 20.0, 1.0])
    grid[:3, 3] = -30.0
    mask = box((0, 80), (0, 80), (2, 4)) | box((0, 80), (0, 80), (5, 6))  # slices at -10, -5 and 5 mm: 8 mL each
    found = compartment_volumes_ml(mask, AFFINE, np.eye(4), halves, grid)
    assert found == pytest.approx({"infratentorial": 16.0, "supratentorial": 8.0})
    far = np.eye(4)
    far[2, 3] = -500.0  # beyond the map, its edge counts
    assert compartment_volumes_ml(mask, AFFINE, far, halves, grid)["supratentorial"] == 0.0


def test_the_shipped_map_knows_cerebellum_from_cerebrum():
    image = nib.load(COMPARTMENTS)
    template = nib.load(ROOT / "models/template.nii.gz")
    inverse = np.linalg.inv(image.affine)
    # Millimeters of the template: cerebellum, pons; basal ganglia, thalamus, occipital pole, temporal pole.
    for place, value in (
        ((20, -42, -38), 2), ((0, -9, -34), 2), ((24, 14, -1), 1), ((11, -1, 3), 1), ((12, -75, 5), 1),
        ((35, 22, -30), 1), ((0, 0, 60), 1),
    ):  # fmt: skip
        index = np.rint(inverse @ np.append(place, 1)).astype(int)[:3]
        assert image.get_fdata()[tuple(index)] == value, place
    brain = np.asarray(template.dataobj) > 0
    below = np.repeat(np.repeat(np.repeat(np.asarray(image.dataobj), 2, 0), 2, 1), 2, 2) == 2
    assert 0.10 < (brain & below).sum() / brain.sum() < 0.18  # posterior fossa of a 1.5 L brain


def test_flags_at_their_limits():
    assert flags_of(30.0) == {"at_least_30_ml": True, "at_least_60_ml": False, "at_most_15_ml": False}
    assert flags_of(29.99)["at_least_30_ml"] is False
    assert flags_of(60.0)["at_least_60_ml"] is True
    assert flags_of(15.0)["at_most_15_ml"] is True


def result(mask, **changes):
    values = {
        "name": "a", "hu": mask * 60.0, "brain": np.ones_like(mask), "probability": mask.astype(np.float32),
        "mask": mask, "subtypes": None, "affine": AFFINE, "to_template": np.eye(4), "sides_known": True,
        "slice_map": None, "data": {},
    }  # fmt: skip
    return ScanResult(**{**values, **changes})


def test_what_a_scan_cannot_give_is_null():
    measure = DerivedMeasures(str(COMPARTMENTS))
    mask = box((10, 30), (10, 30), (2, 5))
    full = measure(result(mask, subtypes=mask.astype(np.uint8) * 2))["derived"]
    assert full["thickness_mm"] == pytest.approx({"EDH": 0.0, "SDH": 10.0})
    assert full["abc_half"] is None  # no parenchymal blood
    assert full["volume_ml_by_side"]["SDH"]["left"] == pytest.approx(mask.sum() * 1.25 / 1000)
    bare = measure(result(mask, to_template=None))["derived"]
    assert bare["volume_ml_by_side"] is None
    assert bare["volume_ml_by_compartment"] is None
    assert bare["thickness_mm"] is None
    assert bare["abc_half"]["c_mm"] == 15.0
    assert "research use" in bare["notice"]
    assert measure(result(mask, sides_known=False))["derived"]["volume_ml_by_side"] is None
    nothing = measure(result(np.zeros(SHAPE, dtype=bool)))["derived"]
    assert nothing["volume_ml_by_compartment"] == {"supratentorial": 0.0, "infratentorial": 0.0}
    assert nothing["planimetric_ml_of_it"] == 0.0
