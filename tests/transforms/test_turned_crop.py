"""Crops cut at any angle, against pixels that can be named."""

import math

import pytest
import torch

from hemorrhage.transforms.turned_crop import RandTurnedCropd, turned_crop


@pytest.fixture
def plane():
    return torch.arange(63.0).reshape(1, 7, 9)


def test_an_upright_crop_is_a_slice_of_the_plane(plane):
    assert torch.allclose(turned_crop(plane, (3, 4), 3), plane[:, 2:5, 3:6], atol=1e-4)
    assert torch.allclose(turned_crop(plane, (2.5, 4.5), 4), plane[:, 1:5, 3:7], atol=1e-4)
    assert torch.equal(turned_crop(plane.to(torch.uint8), (3, 4), 3, mode="nearest"), plane[:, 2:5, 3:6].byte())


def test_a_quarter_turn_and_a_mirror_move_known_pixels(plane):
    upright = plane[:, 2:5, 3:6]
    assert torch.allclose(turned_crop(plane, (3, 4), 3, mirror=True), upright.flip(1), atol=1e-4)
    # One step along the crop's first axis is one along the plane's second.
    assert torch.allclose(turned_crop(plane, (3, 4), 3, math.pi / 2), upright.transpose(1, 2).flip(2), atol=1e-4)


def test_a_scale_of_two_takes_every_other_pixel_and_beyond_the_edges_is_nothing(plane):
    assert torch.allclose(turned_crop(plane, (3, 4), 3, scale=(2, 2)), plane[:, 1:6:2, 2:7:2], atol=1e-4)
    beyond = turned_crop(plane + 1, (0, 0), 3)
    assert torch.allclose(beyond[0, 1:, 1:], plane[0, :2, :2] + 1, atol=1e-4)
    assert not beyond[0, 0].any()


def _item():
    region = torch.ones(1, 40, 50)
    region[:, 5:8, 40:44] = 2
    return {"image": torch.rand(3, 40, 50), "label": (region == 2).byte(), "region": region}


def test_centered_crops_hold_hemorrhage_and_all_keys_stay_together():
    crop = RandTurnedCropd(["image", "label"], "region", 16, 1.0, num_samples=20, mode=["bilinear", "nearest"])
    crop.set_random_state(0)
    item = _item()
    item["image"][:] = (item["region"] == 2).float()
    crops = crop(item)
    assert len(crops) == 20
    for c in crops:
        assert c["image"].shape == (3, 16, 16)
        assert c["label"].dtype == torch.uint8
        assert c["label"].any()
        assert ((c["image"][:1] > 0.5) == c["label"]).float().mean() > 0.98
    assert len({int(c["label"].sum()) for c in crops}) > 3


def test_a_plane_without_hemorrhage_or_brain_gives_crops_too_and_a_seed_repeats_them():
    crop = RandTurnedCropd("image", "region", 64, 1.0)
    for region in (torch.ones(1, 40, 50), torch.zeros(1, 40, 50)):
        found = []
        for _ in range(2):
            crop.set_random_state(3)
            found.append(crop({"image": torch.ones(1, 40, 50), "region": region})[0]["image"])
        assert torch.equal(*found)
        assert found[0].shape == (1, 64, 64)
        assert found[0].sum() > 0.6 * 40 * 50


def test_crops_keep_within_the_plane():
    crop = RandTurnedCropd("image", "region", 30, 0.0, num_samples=30, degrees=0, scale_range=0.0, shift=0.5)
    crop.set_random_state(1)
    assert all(c["image"].min() > 0.99 for c in crop({"image": torch.ones(1, 40, 50), "region": torch.ones(1, 40, 50)}))


def test_impossible_shares_are_refused():
    with pytest.raises(ValueError, match="centered_fraction"):
        RandTurnedCropd("image", "region", 8, 1.5)
