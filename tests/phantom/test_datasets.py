"""Data sets made on the fly: shapes, spaces, shares, order."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch.utils.data import DataLoader

from hemorrhage.phantom import SlicePhantoms, TemplatePhantoms
from hemorrhage.phantom.draws import Draws
from hemorrhage.subtypes import BY_NAME

SMALL = {"size": 48, "spacing_mm": 4.0}


def test_items_are_channel_first_meta_tensors_in_template_space():
    item = TemplatePhantoms(2, **SMALL, seed=3)[0]
    for key, kind in (
        ("image", torch.float32),
        ("label", torch.uint8),
        ("subtype", torch.uint8),
        ("brain", torch.uint8),
    ):
        assert isinstance(item[key], MetaTensor)
        assert item[key].shape == (1, 48, 48, 48)
        assert item[key].dtype == kind
        assert np.allclose(item[key].affine[:3, :3], np.diag([4, 4, 4]))
    assert torch.equal(item["label"].as_tensor(), (item["subtype"].as_tensor() > 0).to(torch.uint8))


def test_the_brain_lies_at_the_origin_as_in_the_template():
    for seed in range(3):
        item = TemplatePhantoms(1, **SMALL, seed=seed)[0]
        inside = item["brain"][0].nonzero().float()
        middle = (inside.amin(0) + inside.amax(0)) / 2
        world = item["brain"].affine[:3, :3].float() @ middle + item["brain"].affine[:3, 3].float()
        assert float(world.abs().max()) < 20.0


def test_an_index_is_a_case():
    data = TemplatePhantoms(3, **SMALL, seed=9)
    assert torch.equal(data[1]["image"], data[1]["image"])
    assert not torch.equal(data[0]["image"], data[1]["image"])
    with pytest.raises(IndexError):
        data[3]


def test_share_with_blood_and_asked_subtype():
    bled = TemplatePhantoms(4, **SMALL, positive_fraction=1.0, subtypes=["IVH"])
    assert [int(bled[n]["subtype"].max()) for n in range(2)] == [5, 5]
    empty = TemplatePhantoms(2, **SMALL, positive_fraction=0.0)
    assert int(empty[0]["label"].sum()) == 0


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="positive_fraction"):
        TemplatePhantoms(2, positive_fraction=1.5)


def test_slices_come_with_their_neighbors():
    source = SlicePhantoms(size=96, pixel_mm=(2.4, 2.5), slices_per_head=8, scans_per_head=1, epoch_length=5, seed=1)
    samples = list(source)
    assert len(samples) == 5
    assert samples[0]["image"].shape == (3, 96, 96)
    assert samples[0]["label"].shape == samples[0]["subtype"].shape == samples[0]["brain"].shape == (1, 96, 96)


def test_every_subtype_is_taught_at_its_share():
    source, r, n = SlicePhantoms(positive_fraction=0.8, single_fraction=1.0), Draws(0), 2000
    drawn = [source.wanted_subtypes(r) for _ in range(n)]
    assert np.mean([d == () for d in drawn]) == pytest.approx(0.2, abs=0.04)
    for name in BY_NAME:
        assert np.mean([d == (name,) for d in drawn]) == pytest.approx(0.16, abs=0.035)


def test_subtypes_that_come_alone_are_weighted():
    weights = {"EDH": 3.0, "IPH": 1.0}
    source, r, n = SlicePhantoms(positive_fraction=1.0, single_fraction=1.0, single_weights=weights), Draws(0), 2000
    drawn = [source.wanted_subtypes(r) for _ in range(n)]
    assert set(drawn) == {("EDH",), ("IPH",)}
    assert np.mean([d == ("EDH",) for d in drawn]) == pytest.approx(0.75, abs=0.04)
    with pytest.raises(ValueError, match="XYZ"):
        SlicePhantoms(single_weights={"XYZ": 1.0})


def test_workers_share_an_epoch_without_repeating_a_sample():
    source = SlicePhantoms(size=48, pixel_mm=(4.9, 5.0), slices_per_head=4, scans_per_head=1, epoch_length=10, seed=2)
    loader = DataLoader(source, batch_size=None, num_workers=2, multiprocessing_context="fork")
    images = [s["image"] for s in loader]
    assert len(images) == 10
    assert len({i.numpy().tobytes() for i in images}) == 10


def test_volumes_can_be_asked_for_in_a_range():
    data = TemplatePhantoms(3, size=64, spacing_mm=3.0, positive_fraction=1.0, subtypes=["IPH"], volume_ml=(30, 40))
    for n in range(3):
        item = data[n]
        assert 29 < float(item["label"].sum()) * 0.027 < 41
    with pytest.raises(ValueError, match="needs subtypes"):
        TemplatePhantoms(1, volume_ml=(1, 2))


def test_paired_cases_are_one_head_with_and_without_blood():
    data = TemplatePhantoms(4, **SMALL, seed=20, paired=True)
    for n in (0, 2):
        bled, bare = data[n], data[n + 1]
        assert int(bled["label"].sum()) > 0
        assert int(bare["label"].sum()) == 0
        both = (bled["brain"] > 0) & (bare["brain"] > 0)
        assert float(both.sum()) > 0.98 * float(bled["brain"].sum())
    with pytest.raises(ValueError, match="half of the cases"):
        TemplatePhantoms(2, paired=True, positive_fraction=0.9)


def test_paired_slabs_come_with_their_twin():
    source = SlicePhantoms(
        size=48, pixel_mm=(4.9, 5.0), slices_per_head=4, scans_per_head=1, positive_fraction=1.0, paired_fraction=1.0
    )
    bled, bare = source.scans_of(3)
    assert np.allclose(bled.affine, bare.affine)
    assert bare.truth["subtypes"] == {}
    assert bled.truth["subtypes"] != {}


def test_a_sample_knows_its_pixel_and_slice_distance():
    source = SlicePhantoms(size=48, pixel_mm=(4.9, 5.0), spacing_mm=(4.0, 4.1), slices_per_head=4, scans_per_head=1)
    for sample in source.samples_of(1)[:2]:
        step = np.linalg.norm(sample["image"].affine[:3, :3].numpy(), axis=0)
        assert 4.9 <= step[0] <= 5.0
        assert 4.0 <= step[2] <= 4.1
