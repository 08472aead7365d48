"""Slices are drawn as often as their share of the blood says."""

import numpy as np
import pytest
import torch

from hemorrhage.transforms.slices_by_area import RandSlicesByAread, slice_weights


@pytest.fixture
def volume():
    label = torch.zeros(1, 8, 8, 5)
    label[0, :4, :4, 1] = 1  # 16
    label[0, :6, :8, 3] = 1  # 48
    image = torch.arange(5.0).expand(1, 8, 8, 5).clone()
    return {"image": image, "label": label, "name": "a"}


def test_weights_are_shares_of_area(volume):
    assert slice_weights(volume["label"]).tolist() == [0, 0.25, 0, 0.75, 0]
    assert slice_weights(torch.zeros(1, 4, 4, 4)).tolist() == [0.25] * 4


def test_draws_follow_the_weights(volume):
    transform = RandSlicesByAread(["image", "label"], num_samples=400)
    transform.set_random_state(seed=0)
    drawn = transform(volume)
    slices = np.array([int(d["image"][0, 0, 0]) for d in drawn])
    assert set(slices) == {1, 3}
    assert (slices == 3).mean() == pytest.approx(0.75, abs=0.06)
    assert drawn[0]["image"].shape == (1, 8, 8)
    assert drawn[0]["name"] == "a"
    assert all(d["label"].sum() == {1: 16, 3: 48}[int(d["image"][0, 0, 0])] for d in drawn[:20])


def test_the_same_seed_draws_the_same(volume):
    transform = RandSlicesByAread(["image", "label"], num_samples=20)
    first = [d["image"] for d in transform.set_random_state(seed=3)(volume)]
    again = [d["image"] for d in transform.set_random_state(seed=3)(volume)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    with pytest.raises(ValueError, match="at least 1"):
        RandSlicesByAread("image", num_samples=0)
