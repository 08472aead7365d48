from __future__ import annotations

import pickle
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

import hemorrhage.registration as registration
from hemorrhage.geometry import rotation_angle_degrees
from hemorrhage.registration import Template, align_to_template

TEMPLATE = Path(__file__).resolve().parents[1] / "models" / "template.nii.gz"
GRIDS = {"1 mm": ((190, 210, 180), (1.0, 1.0, 1.0)), "5 mm": ((210, 230, 36), (1.0, 1.0, 5.0))}


@pytest.fixture(scope="module")
def template() -> Template:
    image = nib.load(TEMPLATE)
    return Template(np.asarray(image.dataobj), image.affine)


def moved_head(template, shape, spacing, rotation_degrees, shift_mm, size=1.0, seed=0):
    """HU, brain and affine of the template's head, and the rigid matrix that leads back from it to the template."""
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])  # left and posterior first, as DICOM has it
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    truth = np.eye(4)
    truth[:3, :3] = Rotation.from_rotvec(np.radians(rotation_degrees)).as_matrix()
    truth[:3, 3] = shift_mm
    scale = np.diag([1 / size, 1 / size, 1 / size, 1.0])
    scale[:3, 3] = (1 - 1 / size) * template.center
    pull = np.linalg.inv(template.affine) @ scale @ truth @ affine
    hu = ndimage.affine_transform(template.hu, pull[:3, :3], pull[:3, 3], output_shape=shape, order=1)
    brain = hu > 4.0
    hu = np.where(brain, hu + np.random.default_rng(seed).normal(0.0, 5.0, shape), -1000.0)
    return hu.astype(np.float32), brain, affine, truth


def errors(found, truth, template) -> tuple[float, float]:
    """Degrees, and mm at the brain's center."""
    apart = found @ np.linalg.inv(truth)
    shift = apart[:3, :3] @ template.center + apart[:3, 3] - template.center
    return rotation_angle_degrees(apart[:3, :3]), float(np.linalg.norm(shift))


def random_pose(seed, degrees=30.0):
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    return axis / np.linalg.norm(axis) * rng.uniform(0.3, 1.0) * degrees, rng.uniform(-20.0, 20.0, 3)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("seed", range(4))
def test_known_pose_is_recovered(template, name, seed):
    hu, brain, affine, truth = moved_head(template, *GRIDS[name], *random_pose(seed), seed=seed)
    found = align_to_template(hu, brain, affine, template)
    degrees, mm = errors(found.rigid, truth, template)
    assert degrees < 1.0
    assert mm < 1.0
    assert found.overlap > 0.95
    assert found.warnings == ()


@pytest.mark.parametrize("size", [0.9, 1.08])
def test_small_and_large_heads_align_to_the_middle(template, size):
    hu, brain, affine, truth = moved_head(template, *GRIDS["5 mm"], (12.0, -6.0, 9.0), (5.0, 9.0, -8.0), size)
    degrees, mm = errors(align_to_template(hu, brain, affine, template).rigid, truth, template)
    assert degrees < 1.0
    assert mm < 1.0


@pytest.mark.parametrize("kept", [slice(4, 14), slice(12, 22), slice(0, 24), slice(12, 36)])
def test_cut_heads_find_their_height(template, kept):
    hu, brain, affine, truth = moved_head(template, *GRIDS["5 mm"], (8.0, 4.0, -5.0), (3.0, -7.0, 6.0))
    affine[:3, 3] += affine[:3, 2] * kept.start
    found = align_to_template(hu[:, :, kept], brain[:, :, kept], affine, template)
    degrees, mm = errors(found.rigid, truth, template)
    assert degrees < 2.0
    assert mm < 2.0
    assert found.overlap > 0.9


def test_a_large_bleed_does_not_pull(template):
    hu, brain, affine, truth = moved_head(template, *GRIDS["5 mm"], (10.0, 0.0, 10.0), (0.0, 5.0, 0.0))
    index = np.stack(np.meshgrid(*map(np.arange, hu.shape), indexing="ij"), -1)
    middle = np.linalg.inv(affine) @ np.array([30.0, 0.0, 10.0, 1.0])
    near = np.linalg.norm((index - middle[:3]) * np.array([1.0, 1.0, 5.0]), axis=-1) < 28.0
    degrees, mm = errors(
        align_to_template(np.where(near & brain, 70.0, hu), brain, affine, template).rigid, truth, template
    )
    assert degrees < 1.0
    assert mm < 1.0


def test_result_is_rigid_and_repeats(template):
    case = moved_head(template, *GRIDS["5 mm"], *random_pose(9))
    one, two = (align_to_template(*case[:3], template).rigid for _ in range(2))
    assert np.array_equal(one, two)
    assert np.allclose(one[:3, :3] @ one[:3, :3].T, np.eye(3))
    assert np.linalg.det(one[:3, :3]) == pytest.approx(1.0)
    assert np.array_equal(one[3], [0.0, 0.0, 0.0, 1.0])


def test_what_does_not_fit_is_aligned_by_center_with_a_warning(template):
    """A rod is no brain: no pose overlaps well."""
    hu = np.full((60, 60, 60), -1000.0, dtype=np.float32)
    hu[5:55, 27:33, 27:33] = 35.0
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = (100.0, -40.0, 7.0)
    found = align_to_template(hu, hu > 0, affine, template)
    center = affine[:3, :3] @ np.array([29.5, 29.5, 29.5]) + affine[:3, 3]
    assert np.array_equal(found.rigid[:3, :3], np.eye(3))
    assert np.allclose(found.rigid[:3, 3], template.center - center, atol=0.1)
    (warning,) = found.warnings
    assert warning.code == "W_REGISTRATION"
    assert warning.numbers["overlap"] < registration.MIN_OVERLAP
    assert found.overlap == warning.numbers["overlap_by_center"]


def test_optimizer_that_throws_falls_back(template, monkeypatch):
    def throw(*_args, **_kwargs):
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr(registration.np.linalg, "solve", throw)
    hu, brain, affine, _ = moved_head(template, *GRIDS["5 mm"], (5.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    (warning,) = align_to_template(hu, brain, affine, template).warnings
    assert warning.code == "W_REGISTRATION"
    assert "Singular matrix" in warning.text


def test_empty_brain_and_empty_template_are_refused(template):
    with pytest.raises(ValueError, match="brain mask is empty"):
        align_to_template(np.zeros((4, 4, 4)), np.zeros((4, 4, 4)), np.eye(4), template)
    with pytest.raises(ValueError, match="no brain"):
        Template(np.zeros((4, 4, 4)), np.eye(4))


def test_use_does_not_change_what_a_template_is_pickled_to(template):
    """What is kept of prepared scans is found again by that."""
    fresh = Template(template.hu, template.affine)
    before = pickle.dumps(fresh)
    fresh.smoothed(3.0)
    assert pickle.dumps(fresh) == before
    blurred, gradient = pickle.loads(before).smoothed(3.0)
    assert np.array_equal(blurred, fresh.smoothed(3.0)[0])
    assert len(gradient) == 3
