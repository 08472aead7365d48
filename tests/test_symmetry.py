"""The line between left and right, and what differs across it."""

import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from hemorrhage.symmetry import SymmetryLines, asymmetry, mirrored, symmetry_lines
from hemorrhage.transforms.asymmetry import Asymmetryd

PIXEL = (0.9, 0.9)


def head(angle: float = 0.0, places: np.ndarray | float = 0.0, count: int = 1) -> torch.Tensor:
    """(240, 240, count): an egg of 0.4 in a shell of bone, its axis at ``angle`` and ``places`` mm from the middle."""
    x, y = np.meshgrid(*[(np.arange(240) - 119.5) * 0.9] * 2, indexing="ij")
    across = math.cos(angle) * x + math.sin(angle) * y - np.broadcast_to(places, count)[:, None, None]
    along = -math.sin(angle) * x + math.cos(angle) * y
    radius = np.hypot(across / (62 + 0.08 * along), along / 78)
    image = np.where(radius < 1, 0.4, np.where(radius < 1.08, 1.0, 0.0))
    return torch.from_numpy(image).permute(1, 2, 0).float().contiguous()


def test_a_mirror_in_the_middle_is_a_flip():
    slices = torch.rand(3, 2, 11, 8, generator=torch.Generator().manual_seed(0))
    seen = mirrored(slices, SymmetryLines(0.0, np.zeros(3)), PIXEL)
    assert torch.allclose(seen, slices.flip(2), atol=1e-6)
    along = mirrored(slices, SymmetryLines(math.pi / 2, np.zeros(3)), (0.5, 1.5))
    assert torch.allclose(along, slices.flip(3), atol=1e-6)


def test_a_mirror_beside_the_middle_shifts_and_shows_nothing_beyond_the_slice():
    slices = torch.rand(1, 1, 11, 8, generator=torch.Generator().manual_seed(0))
    seen = mirrored(slices, SymmetryLines(0.0, np.array([0.9])), PIXEL)  # a pixel to the right
    assert torch.allclose(seen[:, :, 2:], slices.flip(2)[:, :, :-2], atol=1e-5)
    assert not seen[:, :, :2].any()


@pytest.mark.parametrize("degrees", [-25.0, -3.0, 0.0, 11.0, 22.0])
def test_a_turned_head_is_found_on_a_single_slice(degrees):
    lines = symmetry_lines(head(math.radians(degrees), 7.0), PIXEL)
    assert math.degrees(lines.angle) == pytest.approx(degrees, abs=0.7)
    assert lines.places == pytest.approx([7.0], abs=0.5)


def test_a_leaning_head_is_found_from_slice_to_slice():
    places = np.linspace(-6.0, 9.0, 16)
    lines = symmetry_lines(head(math.radians(5), places, 16), PIXEL)
    assert math.degrees(lines.angle) == pytest.approx(5, abs=0.7)
    assert lines.places == pytest.approx(places, abs=0.6)


def test_empty_slices_have_lines_too():
    full = head(0.1, 5.0, 8)
    image = torch.cat([torch.zeros_like(full), full], -1)
    lines = symmetry_lines(image, PIXEL)
    assert lines.places[8:] == pytest.approx(np.full(8, 5.0), abs=0.6)
    assert len(lines.places) == 16
    assert symmetry_lines(torch.zeros(20, 20, 3), PIXEL).places.tolist() == [0, 0, 0]


def test_what_is_brighter_on_one_side_is_darker_on_the_other():
    image = head(math.radians(8), 4.0)
    lines = SymmetryLines(math.radians(8), np.array([4.0]))
    x, y = np.meshgrid(*[(np.arange(240) - 119.5) * 0.9] * 2, indexing="ij")
    spot = torch.from_numpy(np.hypot(x - 35, y) < 12)
    image[..., 0][spot] += 0.2
    found = asymmetry(image, PIXEL, 2.5)[..., 0]
    other = mirrored(spot.float()[None, None], lines, PIXEL)[0, 0] > 0.9
    inner = torch.from_numpy(np.hypot(x - 35, y) < 6)
    assert found[inner].numpy() == pytest.approx(np.full(int(inner.sum()), 0.2), abs=0.02)
    assert float(found[other].min()) == pytest.approx(-0.2, abs=0.03)
    assert float(found[other].mean()) < -0.15
    elsewhere = torch.from_numpy(np.hypot(x - 35, y) > 25) & ~other & torch.from_numpy(np.hypot(x + 35, y) > 30)
    assert float(found[elsewhere].abs().quantile(0.99)) < 0.03
    assert not found[image[..., 0] == 0].any()


def test_bone_counts_on_neither_side():
    image = head()
    thick = image.clone()
    x, y = np.meshgrid(*[(np.arange(240) - 119.5) * 0.9] * 2, indexing="ij")
    thick[..., 0][torch.from_numpy((x > 50) & (np.abs(y) < 20)) & (image[..., 0] > 0)] = 1.0
    assert float(asymmetry(thick, PIXEL, 2.5).abs().max()) < 0.02


def test_the_transform_keeps_the_image_and_its_place():
    affine = torch.diag(torch.tensor([0.9, 0.9, 5.0, 1.0], dtype=torch.float64))
    image = MetaTensor(head()[None], affine=affine)
    d = Asymmetryd("image", blur_mm=2.5)({"image": image})
    assert d["asymmetry"].shape == image.shape
    assert torch.equal(d["asymmetry"].affine, affine)
    assert torch.equal(d["image"], image)
    assert "asymmetry" not in Asymmetryd("image", blur_mm=None)({"image": image})
