import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from hemorrhage.errors import ScanError
from hemorrhage.transforms.same_grid import CheckSameGridd

AFFINE = np.array([[-0.45, 0, 0, 110.0], [0, 0.45, 0, -120], [0, 0, 5, -60], [0, 0, 0, 1]])


def pair(label_affine=AFFINE, shape=(1, 8, 9, 5)):
    image = MetaTensor(torch.zeros(1, 8, 9, 5), affine=AFFINE, meta={"filename_or_obj": "/x/ct/7.nii"})
    label = MetaTensor(torch.zeros(shape), affine=label_affine, meta={"filename_or_obj": "/x/m/7.nii"})
    return {"image": image, "label": label}


def test_the_same_grid_passes_unchanged():
    data = pair(AFFINE.astype(np.float32))
    out = CheckSameGridd(["image", "label"])(data)
    assert out["label"] is data["label"]


@pytest.mark.parametrize(
    ("change", "millimeters"),
    [(np.array([0, 0, 5.0]), "5.00"), (np.array([3.0, 4.0, 0]), "5.00"), (np.array([0, 0, 0.02]), "0.02")],
)
def test_a_shift_is_refused_with_its_size(change, millimeters):
    moved = AFFINE.copy()
    moved[:3, 3] += change
    with pytest.raises(ScanError, match=rf"E_GRID.*7\.nii.*{millimeters} mm"):
        CheckSameGridd(["image", "label"])(pair(moved))


def test_a_mirrored_mask_is_refused():
    flipped = AFFINE.copy()
    flipped[0] = [0.45, 0, 0, 110 - 7 * 0.45]
    with pytest.raises(ScanError, match="E_GRID"):
        CheckSameGridd(["image", "label"])(pair(flipped))


def test_both_shapes_are_named():
    with pytest.raises(ScanError, match=r"\(8, 9, 6\).*\(8, 9, 5\)"):
        CheckSameGridd(["image", "label"])(pair(shape=(1, 8, 9, 6)))
