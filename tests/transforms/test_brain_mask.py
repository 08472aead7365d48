from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from hemorrhage.dicom.importer import read_series
from hemorrhage.errors import ScanError, warnings_of
from hemorrhage.geometry import voxel_volume_ml
from hemorrhage.phantom import make_case
from hemorrhage.transforms.brain_mask import BrainMaskd, brain_mask

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
FLOOR_MM = -45.0  # of the cavity, at the skull base
FORAMEN_Y = -30.0
EYES = ((34.0, 74.0, -36.0), (-34.0, 74.0, -36.0))


def ellipsoid(points: np.ndarray, axes: tuple[float, float, float], grow: float = 0.0) -> np.ndarray:
    return np.square(points / (np.array(axes) + grow)).sum(-1) < 1.0


def ball(points: np.ndarray, center: tuple[float, float, float], radius: float) -> np.ndarray:
    return np.square(points - np.array(center)).sum(-1) < radius**2


def draw_head(points: np.ndarray, gap: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """HU and intracranial space at (..., 3) points: a skull with orbits and fissures, a foramen, spine and neck."""
    x, y, z = np.moveaxis(points, -1, 0)
    axes = (67.0, 84.0, 72.0)
    above = z > FLOOR_MM
    cavity = ellipsoid(points, axes) & above
    hu = np.full(x.shape, -1000.0)
    hu[np.hypot(x, y + 15.0) < 58.0] = 55.0  # neck
    hu[ellipsoid(points, axes, 12.0)] = -80.0  # fat of the scalp
    hu[ellipsoid(points, axes, 12.0) & ~ellipsoid(points, axes, 10.0)] = 40.0  # skin
    hu[(z > 90.0)] = -1000.0
    bone = ellipsoid(points, axes, 6.0) & (z > FLOOR_MM - 6.0)
    if gap:
        bone &= ~((x > 0) & (np.hypot(y, z - 20.0) < 38.0))
        hu[ellipsoid(points, axes, 12.0) & (x > 0) & (np.hypot(y, z - 20.0) < 38.0)] = 40.0  # skin over brain
    hu[bone] = 1200.0
    for eye in EYES:
        plate = ellipsoid(points, axes, 2.5)  # what is left of the bone between orbit and brain
        hu[ball(points, eye, 20.0) & ~cavity] = 1000.0
        hu[ball(points, eye, 18.0) & ~plate] = -80.0
        hu[ball(points, eye, 12.0) & ~plate] = 20.0
        way = np.array([np.sign(eye[0]) * 18.0, 38.0, -38.0])  # through the superior orbital fissure
        along = np.clip(((points - eye) @ (way - eye)) / np.square(way - eye).sum(), 0.0, 1.0)[..., None]
        hu[(np.linalg.norm(points - eye - along * (way - eye), axis=-1) < 3.0) & ~cavity] = 40.0
    canal = np.hypot(x, y - FORAMEN_Y)
    below = z <= FLOOR_MM
    hu[below & (canal < 24.0) & (np.mod(z, 20.0) < 15.0)] = 600.0  # vertebrae, with gaps between them
    hu[below & (canal < 15.0)] = 20.0
    hu[cavity] = 35.0
    hu[ellipsoid(points - np.array([12.0, 0.0, 10.0]), (8.0, 30.0, 10.0))] = 8.0  # a ventricle
    return hu, cavity


def grid(spacing: tuple[float, float, float], low: float = -100.0, high: float = 95.0) -> tuple[np.ndarray, np.ndarray]:
    shape = [int(170 / spacing[0]), int(210 / spacing[1]), max(1, round((high - low) / spacing[2]))]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-85.0, -105.0, low + spacing[2] / 2.0)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    return index @ affine[:3, :3].T + affine[:3, 3], affine


@pytest.fixture(scope="module")
def head() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    points, affine = grid((1.0, 1.0, 4.0))
    hu, cavity = draw_head(points)
    hu += np.random.default_rng(0).normal(0.0, 6.0, hu.shape)
    return hu, cavity, affine, points


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())


def codes(warnings) -> set[str]:
    return {w.code for w in warnings}


@pytest.mark.parametrize(("spacing", "tilt"), [((0.5, 0.5, 5.0), 0.0), ((1.0, 1.0, 1.0), 0.0), ((0.5, 0.5, 5.0), 20.0)])
def test_phantom_brain_is_found(spacing, tilt):
    case = make_case(2, spacing_mm=spacing, tilt_degrees=tilt)
    mask, _ = brain_mask(case.hu.numpy(), case.affine)
    truth = case.brain.numpy() > 0
    assert dice(mask, truth) >= 0.97
    assert (mask & ~truth).sum() * voxel_volume_ml(case.affine) < 15.0  # no eye, no neck, no scalp


def test_skull_base_and_neck_stay_outside(head):
    hu, cavity, affine, points = head
    mask, warnings = brain_mask(hu, affine)
    assert dice(mask, cavity) >= 0.97
    assert warnings == []
    for eye in EYES:
        fissure_ml = (mask & ball(points, eye, 18.0) & ~cavity).sum() * voxel_volume_ml(affine)
        assert fissure_ml < 0.3  # of 24 mL
    assert not mask[points[..., 2] < FLOOR_MM - 4.0].any()


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0), (0, 2, 1)])
def test_axis_order_and_direction_do_not_matter(head, order):
    hu, _, affine, _ = head
    mask, _ = brain_mask(hu, affine)
    turned = hu.transpose(order)[::-1, :, ::-1]
    step = np.zeros((4, 4))
    for new, old in enumerate(order):
        sign = -1 if new in (0, 2) else 1
        step[old, new] = sign
        step[old, 3] = hu.shape[old] - 1 if sign < 0 else 0
    step[3, 3] = 1
    found, _ = brain_mask(turned, affine @ step)
    assert np.array_equal(found, mask.transpose(order)[::-1, :, ::-1])


def test_head_upside_down_has_the_same_mask(head):
    hu, _, affine, _ = head
    mask, _ = brain_mask(hu, affine)
    # Stored feet up and face down, with a header that says so.
    flipped, _ = brain_mask(hu[:, ::-1, ::-1], affine @ _reversal(hu.shape, (1, 2)))
    assert np.array_equal(flipped[:, ::-1, ::-1], mask)


def _reversal(shape, axes) -> np.ndarray:
    matrix = np.eye(4)
    for axis in axes:
        matrix[axis, axis] = -1.0
        matrix[axis, 3] = shape[axis] - 1
    return matrix


def test_dense_blood_at_the_inner_table_is_inside(head):
    hu, cavity, affine, points = head
    blood = cavity & ~ellipsoid(points, (67.0, 84.0, 72.0), -9.0) & (points[..., 0] > 20) & (points[..., 2] > -20)
    bleeding = np.where(blood, 90.0, hu) + np.random.default_rng(1).normal(0.0, 5.0, hu.shape)
    mask, _ = brain_mask(bleeding, affine)
    assert (mask & blood).sum() >= 0.99 * blood.sum()


def test_saturated_blood_and_calcification_leave_no_hole(head):
    hu, cavity, affine, points = head
    blood = ball(points, (-25.0, 10.0, 15.0), 18.0)
    mask, _ = brain_mask(np.where(blood, 1000.0, hu), affine)
    assert mask[blood & cavity].all()


def test_exported_window_loses_nothing(head):
    hu, cavity, affine, _ = head
    shown = np.where(hu < 0.0, -1000.0, np.where(hu > 80.0, 1000.0, hu))
    mask, _ = brain_mask(shown, affine)
    assert dice(mask, cavity) >= 0.96


@pytest.mark.parametrize(("low", "high"), [(20.0, 25.0), (10.0, 20.0), (0.0, 50.0), (-100.0, 30.0), (0.0, 95.0)])
def test_part_of_a_head_is_enough_and_said(low, high):
    points, affine = grid((1.0, 1.0, 5.0), low, high)
    hu, cavity = draw_head(points)
    mask, warnings = brain_mask(hu, affine)
    assert dice(mask, cavity) >= 0.96
    assert "W_COVERAGE" in codes(warnings)
    (warning,) = (w for w in warnings if w.code == "W_COVERAGE")
    assert warning.numbers["vertex_cut"] == (high < 70.0)
    assert warning.numbers["base_cut"] == (low > -90.0)


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 8.0), (2.0, 2.0, 0.7)])
def test_thick_and_thin_slices(spacing):
    points, affine = grid(spacing)
    hu, cavity = draw_head(points)
    mask, _ = brain_mask(hu, affine)
    assert dice(mask, cavity) >= 0.96


def test_craniectomy_adds_no_scalp_and_is_said():
    points, affine = grid((1.0, 1.0, 4.0))
    hu, cavity = draw_head(points, gap=True)
    mask, warnings = brain_mask(hu, affine)
    assert "W_SKULL_DEFECT" in codes(warnings)
    assert dice(mask, cavity) >= 0.96
    closed, _ = draw_head(points)
    scalp = (closed != hu) & ~cavity  # lies where the bone was
    assert (mask & scalp).sum() <= 0.25 * scalp.sum()


def test_field_of_view_that_cuts_the_head_is_said(head):
    hu, cavity, affine, _ = head
    mask, warnings = brain_mask(hu[20:], affine @ np.array([[1, 0, 0, 20], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    assert "W_FOV" in codes(warnings)
    assert dice(mask, cavity[20:]) >= 0.95


def water_bottle(points):
    return np.where(ellipsoid(points, (70.0, 70.0, 80.0)), 0.0, -1000.0)


def hollow_skull(points):
    hu, cavity = draw_head(points)
    return np.where(cavity | (hu < 500.0), -1000.0, hu)


def chest(points):
    x, y, z = np.moveaxis(points, -1, 0)
    hu = np.where(np.hypot(x, y) < 82.0, 50.0, -1000.0)
    ribs = (np.abs(np.hypot(x, y) - 74.0) < 4.0) & (np.mod(z + 0.5 * y, 25.0) < 9.0)
    hu[ribs] = 400.0
    hu[ball(points / [1, 1, 2], (35.0, 10.0, 0.0), 30.0) | ball(points / [1, 1, 2], (-35.0, 10.0, 0.0), 30.0)] = -850.0
    hu[np.hypot(x, y + 55.0) < 14.0] = 400.0
    return hu


@pytest.mark.parametrize("thing", [water_bottle, hollow_skull, chest])
def test_what_is_no_head_is_refused(thing):
    points, affine = grid((1.0, 1.0, 5.0))
    with pytest.raises(ScanError, match="E_NOT_HEAD"):
        brain_mask(thing(points), affine)


def test_transform_adds_a_mask_on_the_images_grid(head):
    hu, _, affine, _ = head
    image = MetaTensor(torch.from_numpy(hu[None, :, :, 25:31]).float(), affine=torch.from_numpy(affine))
    image.meta["filename_or_obj"] = "a.nii.gz"
    out = BrainMaskd("image")({"image": image})
    assert out["brain"].dtype == torch.uint8
    assert out["brain"].shape == image.shape
    assert torch.equal(out["brain"].affine, image.affine)
    assert out["brain"].applied_operations == image.applied_operations == []
    assert codes(warnings_of(out["image"].meta)) == {"W_COVERAGE"}
    assert torch.equal(out["image"].as_tensor(), image.as_tensor())


def test_transform_keeps_the_users_own_mask():
    image = MetaTensor(torch.zeros(1, 4, 5, 6))
    own = torch.zeros(1, 4, 5, 6)
    own[0, 1:3, 2, 2] = 255.0
    out = BrainMaskd("image")({"image": image, "brain": own})
    assert out["brain"].dtype == torch.uint8
    assert torch.equal(out["brain"], (own > 0).to(torch.uint8))
    with pytest.raises(ScanError, match="E_MASK_GRID"):
        BrainMaskd("image")({"image": image, "brain": own[:, :2]})


def test_transform_passes_a_missing_image():
    assert BrainMaskd("image", allow_missing_keys=True)({"other": 1}) == {"other": 1}
    with pytest.raises(KeyError):
        BrainMaskd("image")({"other": 1})


def test_real_slices_have_no_skull_and_no_hole_at_the_bleed():
    if not DATA.exists():
        pytest.skip("real data are not here")
    image = nib.load(DATA / "ct_ich_v100" / "b_ct.nii.gz")
    hu = np.asarray(image.dataobj).astype(np.float32)
    blood = np.asarray(nib.load(DATA / "ct_ich_v100" / "b_mask.nii.gz").dataobj) > 0
    mask, warnings = brain_mask(hu, image.affine)
    assert (mask & blood).sum() >= 0.99 * blood.sum()
    assert (hu[mask] >= 1000).mean() < 0.02
    assert codes(warnings) == {"W_COVERAGE"}
    assert 600.0 < mask.sum() * voxel_volume_ml(image.affine) < 750.0


def test_whole_real_head_holds_a_brain_and_no_face():
    folder = DATA / "dicom" / "ge_head_tilted_variable_thickness"
    if not folder.exists():
        pytest.skip("real data are not here")
    volume = read_series(folder)
    mask, _ = brain_mask(volume.hu, volume.affine)
    assert 1100.0 < mask.sum() * voxel_volume_ml(volume.affine) < 1700.0
    air = (volume.hu < -200.0) & mask
    assert air.sum() < 0.002 * mask.sum()  # no sinus, no ear


def test_hollow_plastic_head_is_refused():
    folder = DATA / "dicom" / "philips_plastic_head_tilted"
    if not folder.exists():
        pytest.skip("real data are not here")
    volume = read_series(folder)
    with pytest.raises(ScanError, match="E_NOT_HEAD"):
        brain_mask(volume.hu, volume.affine)
