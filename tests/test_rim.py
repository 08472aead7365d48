"""Brain against brain as near to bone: what the whole rim shares is taken away, what lies in one place is kept."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from hemorrhage.rim import REACH_MM, rim_excess
from hemorrhage.transforms.brain_margin import BrainMargind
from hemorrhage.transforms.rim_excess import RimExcessd

PIXEL_MM = 0.9


def head(rim, slices=1, size=120, radius=45):
    """Slices of a round head with a skull of 6 pixels: brain at 0.4 plus ``rim`` of its depth in mm, and its inside."""
    i, j = np.indices((size, size)) - (size - 1) / 2
    inside = np.hypot(i, j) < radius
    skull = (np.hypot(i, j) < radius + 6) & ~inside
    depth_mm = PIXEL_MM * ndimage.distance_transform_edt(~skull)
    plane = np.where(skull, 1.0, np.where(inside, 0.4 + rim(depth_mm), 0.0))
    return np.repeat(plane[..., None], slices, 2).astype(np.float32), np.repeat(inside[..., None], slices, 2)


@pytest.mark.parametrize("height", [0.0, 0.1, 0.5])
def test_what_depends_on_depth_alone_is_taken_away(height):
    image, inside = head(lambda mm: height * np.exp(-mm / 3.0))
    found = rim_excess(image, inside, PIXEL_MM, bone=0.985)
    # Within one step of depth brightness changes by no more than its steepest slope.
    assert np.abs(found).max() < height * (1 - np.exp(-PIXEL_MM / 3.0)) + 0.01
    assert not found[~inside].any()


def test_a_lens_beside_bone_keeps_its_contrast_whatever_the_rim_is():
    lenses = {}
    for height in (0.0, 0.3):
        image, inside = head(lambda mm, h=height: h * np.exp(-mm / 3.0), slices=3)
        lens = np.zeros_like(inside)
        lens[54:66, 16:22, 1] = True
        lens &= inside
        image[lens] += 0.15
        found = rim_excess(image, inside, PIXEL_MM, bone=0.985)
        lenses[height] = float(np.median(found[lens]))
        assert abs(float(np.median(found[inside & ~lens]))) < 0.01
    assert lenses[0.0] == pytest.approx(0.15, abs=0.01)
    assert lenses[0.3] == pytest.approx(0.15, abs=0.04)


def test_beyond_the_reach_of_bone_all_depths_are_one():
    image, inside = head(lambda mm: np.where(mm > REACH_MM + 8.0, 0.1, 0.0))
    found = rim_excess(image, inside, PIXEL_MM, bone=0.985)
    middle = found[60, 60, 0]
    edge = found[60, int(60 - (45 - (REACH_MM + 4.0) / PIXEL_MM)), 0]
    assert middle - edge == pytest.approx(0.1, abs=1e-6)


def test_without_bone_the_median_of_all_brain_is_what_is_usual_and_few_pixels_are_not_asked():
    image, inside = head(lambda mm: 0.0 * mm)
    image[~inside] = 0
    image[55:60, 55:60] = 0.6
    assert rim_excess(image, inside, PIXEL_MM, bone=0.985)[57, 57, 0] == pytest.approx(0.2, abs=1e-6)
    few = np.zeros_like(inside)
    few[57, 57:60] = True
    assert np.allclose(rim_excess(image, few, PIXEL_MM, bone=0.985), 0, atol=1e-6)
    assert not rim_excess(image, np.zeros_like(inside), PIXEL_MM, bone=0.985).any()


def test_the_transform_takes_the_margin_off_and_may_be_left_out():
    image, inside = head(lambda mm: 0.2 * np.exp(-mm / 3.0), slices=2)
    affine = torch.diag(torch.tensor([PIXEL_MM, PIXEL_MM, 5.0, 1.0], dtype=torch.float64))
    tensors = {"image": image, "inside": inside.astype(np.float32)}
    data = {key: MetaTensor(torch.from_numpy(array)[None], affine=affine) for key, array in tensors.items()}
    wide = BrainMargind("inside", 12.0)(data)
    found = RimExcessd("image", margin_mm=12.0)(wide)["excess"]
    assert found.shape == data["image"].shape
    assert torch.equal(found.affine, affine)
    # A margin put on and taken off again fills no more than the corners between pixels.
    expected = rim_excess(image, inside, PIXEL_MM, bone=0.985)
    assert (np.abs(found[0].numpy() - expected) > 1e-3).mean() < 0.01
    assert "excess" not in RimExcessd("image", neighbors=None)(data)
    with pytest.raises(ValueError, match="one key"):
        RimExcessd(["image", "label"])
