"""Neighbors as channels: ends, single slices, gaps, thin slices."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientationd

from hemorrhage.errors import warnings_of
from hemorrhage.transforms.adjacent_slices import (
    AdjacentSlicesd,
    RandSingleSliced,
    ThickSlicesd,
    neighbor_indices,
    neighbor_step,
    thick_slices,
)


def scan(count: int, spacing: float = 5.0) -> MetaTensor:
    """Each slice holds its own number."""
    values = torch.arange(count, dtype=torch.float32).expand(1, 4, 3, count).clone()
    return MetaTensor(values, affine=torch.diag(torch.tensor([0.5, 0.5, spacing, 1.0], dtype=torch.float64)))


def numbers(image: torch.Tensor) -> list[list[float]]:
    return image[:, 0, 0].T.tolist()


def test_ends_repeat_themselves():
    out = AdjacentSlicesd("image")({"image": scan(4)})["image"]
    assert numbers(out) == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert warnings_of(out.meta) == []


def test_a_single_slice_is_its_own_neighbor():
    out = AdjacentSlicesd("image")({"image": scan(1)})["image"]
    assert out.shape == (3, 4, 3, 1)
    assert numbers(out) == [[0, 0, 0]]


def test_slices_too_far_apart_are_read_alone_and_said():
    out = AdjacentSlicesd("image", farthest_mm=10.0)({"image": scan(3, 12.0)})["image"]
    assert numbers(out) == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]
    (warning,) = warnings_of(out.meta)
    assert warning.code == "W_SLICE_DISTANCE"
    assert warning.numbers == {"distance_mm": 12.0}


def test_neighbors_of_thin_slices_lie_at_the_wanted_distance():
    out = AdjacentSlicesd("image", distance_mm=5.0)({"image": scan(12, 1.2)})["image"]
    assert numbers(out)[5] == [1, 5, 9]  # 4.8 mm
    assert numbers(out)[1] == [1, 1, 5]


@pytest.mark.parametrize(("spacing", "distance", "step"), [(5, None, 1), (5, 5, 1), (0.6, 5, 8), (7, 5, 1), (11, 5, 0)])
def test_neighbor_step(spacing, distance, step):
    assert neighbor_step(spacing, distance, 10.0) == step


def test_neighbor_indices_stay_within_the_scan():
    found = neighbor_indices(5, 3)
    assert found.tolist() == [[0, 0, 3], [1, 1, 4], [2, 2, 2], [0, 3, 3], [1, 4, 4]]


def test_what_was_traced_before_can_still_be_undone():
    image = MetaTensor(torch.rand(1, 4, 3, 5), affine=torch.diag(torch.tensor([-1.0, -1.0, 5.0, 1.0])))
    turned = Orientationd("image", axcodes="RAS", labels=None)({"image": image})
    out = AdjacentSlicesd("image")(ThickSlicesd("image", 15.0)(turned))["image"]
    assert len(out.applied_operations) == 1
    assert torch.equal(out.affine, turned["image"].affine)


def test_running_mean_of_slices():
    found = thick_slices(torch.tensor([[0.0, 3.0, 6.0, 30.0]]), 3)
    assert found.tolist() == [[1.5, 3.0, 13.0, 18.0]]


def test_thin_slices_are_averaged_and_thick_ones_are_not():
    thin, thick = scan(9, 1.0), scan(9, 5.0)
    noise = torch.randn(1, 64, 64, 60, generator=torch.Generator().manual_seed(0))
    out = ThickSlicesd("image", 5.0)({"image": MetaTensor(noise, affine=thin.affine)})["image"]
    assert float(out[..., 5:-5].std()) == pytest.approx(1 / np.sqrt(5), rel=0.02)
    assert torch.equal(ThickSlicesd("image", 5.0)({"image": thick})["image"], thick)
    assert torch.equal(ThickSlicesd("image")({"image": thin})["image"], thin)


def test_more_than_one_channel_is_refused():
    with pytest.raises(ValueError, match=r"\(1, I, J, K\)"):
        AdjacentSlicesd("image")({"image": torch.zeros(3, 4, 4, 2)})


def test_neighbors_are_lost_now_and_then():
    slices = torch.arange(3.0)[:, None, None].expand(3, 2, 2).clone()
    transform = RandSingleSliced("image", prob=0.5)
    transform.set_random_state(0)
    lost = sum(int((transform({"image": slices})["image"] == 1).all()) for _ in range(400))
    assert 160 < lost < 240
    assert torch.equal(RandSingleSliced("image", prob=0.0)({"image": slices})["image"], slices)
