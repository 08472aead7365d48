"""Phantoms as scans: what an item asks for is what is scanned, and a network's input is made of it once."""

import numpy as np
import pytest
import torch
from monai.transforms import Compose, CopyItemsd

from hemorrhage.datasets import cases_or_phantoms
from hemorrhage.geometry import voxel_volume_ml
from hemorrhage.phantom_scans import PhantomScand, PhantomScans, start_method

COARSE = {"pixel_mm": (3.0, 3.5), "spacing_mm": (6.0, 7.0)}


def test_a_scan_is_what_its_item_asks_for():
    items = PhantomScans(2, seed=4, positive_fraction=1.0, subtypes=["IPH"], volume_ml=(30, 60), **COARSE)
    scan = PhantomScand()(items[1])
    assert set(scan) == {"image", "label", "brain"}
    sizes = np.linalg.norm(scan["image"].affine.numpy()[:3, :3], axis=0)
    assert 3.0 <= sizes[0] <= 3.5
    assert 6.0 <= sizes[2] <= 7.0
    assert np.allclose(scan["label"].affine, scan["image"].affine)
    assert set(np.unique(scan["label"])) == {0, 4}
    # Without redraws a volume is met less exactly.
    assert 24 < float((scan["label"] > 0).sum()) * voxel_volume_ml(scan["image"].affine.numpy()) < 66


def test_an_item_is_a_scan_and_another_item_another():
    items = PhantomScans(2, seed=1, **COARSE)
    first, again, other = (PhantomScand()(items[n])["image"].as_tensor() for n in (0, 0, 1))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)
    assert items[-1] == items[1]
    with pytest.raises(IndexError):
        items[2]


def test_half_of_the_scans_have_blood_by_their_seeds():
    with_blood = [bool(PhantomScand()(item)["label"].any()) for item in PhantomScans(8, subtypes=["IPH"], **COARSE)]
    assert 1 <= sum(with_blood) <= 7


def test_mistaken_options_are_refused_at_once():
    with pytest.raises(ValueError, match="positive_fraction"):
        PhantomScans(2, positive_fraction=1.5)
    with pytest.raises(ValueError, match="needs subtypes"):
        PhantomScans(2, volume_ml=(1, 2))
    with pytest.raises(ValueError, match="less than one"):
        PhantomScans(0)
    with pytest.raises(TypeError, match="pixel"):
        PhantomScans(2, pixel=1.0)


def test_what_is_made_of_an_item_is_kept_where_asked(tmp_path):
    items = PhantomScans(2, **COARSE)
    prepare = Compose([PhantomScand(), CopyItemsd("image", names="copy")])
    kept = cases_or_phantoms([], prepare, items, prepare, str(tmp_path), kept_phantoms=2)
    first = kept[0]["copy"].as_tensor()
    made = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(made) == 2
    again = cases_or_phantoms([], prepare, items, prepare, str(tmp_path), kept_phantoms=2)
    assert torch.equal(again[0]["copy"].as_tensor(), first)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == made
    cases_or_phantoms([], prepare, items, prepare, str(tmp_path / "none"))[0]
    assert not (tmp_path / "none").exists()


def test_heads_of_another_device_are_other_items_made_by_processes_that_start_afresh(tmp_path):
    usual, other = (PhantomScans(2, device=device, **COARSE) for device in ("cpu", "cpu:0"))
    assert "device" not in usual[0]["phantom"]
    assert start_method(usual) is None
    assert other[0]["phantom"]["device"] == "cpu:0"
    assert start_method(other) == "spawn"
    prepare = Compose([PhantomScand(), CopyItemsd("image", names="copy")])
    kept = cases_or_phantoms([], prepare, other, prepare, str(tmp_path), kept_phantoms=2, num_workers=2)
    made = sorted(tmp_path.iterdir())
    assert len(made) == 2  # by the processes, before anything was asked for
    assert torch.equal(kept[1]["copy"].as_tensor(), PhantomScand()(usual[1])["image"].as_tensor())
    assert sorted(tmp_path.iterdir()) == made
