"""The pool of slices: what it keeps, neighbors, balance; from phantoms and from files."""

import json

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, get_track_meta
from monai.transforms import Compose, CopyItemsd, MaskIntensityd, RandFlipd, ScaleIntensityRanged

from hemorrhage.errors import ScanError
from hemorrhage.phantom_scans import PhantomSlabd, phantom_slabs
from hemorrhage.slice_pool import SlicePool, balanced_slices


class Slab:
    """Stands for reading and masking: five slices, the last one without brain, blood in the second."""

    made = 0

    def __call__(self, item):
        Slab.made += 1
        image = torch.zeros(1, 20, 20, 5)
        image[:, 2:18, 2:18, :4] = torch.tensor([0.2, 0.4, 0.6, 0.8])
        target = torch.zeros(1, 20, 20, 5, dtype=torch.uint8)
        target[:, 5:8, 5:8, 1] = item["subtype"]
        target[:, 0, 0, 0] = 3  # where the mask hides it
        affine = torch.diag(torch.tensor([1.5, 1.5, item.get("spacing", 5.0), 1.0]).double())
        return {"image": MetaTensor(image, affine=affine), "target": MetaTensor(target, affine=affine)}


class Lopsided(Slab):
    def __call__(self, item):
        made = super().__call__(item)
        made["asymmetry"] = made["image"] * 0
        made["asymmetry"][:, 4, 5, 1] = -0.3
        made["asymmetry"][:, 6, 7, 1] = 1.7  # beyond what tissue can differ
        return made


class Both(Lopsided):
    def __call__(self, item):
        made = super().__call__(item)
        return {**made, "excess": made["asymmetry"] * 0 + 0.5}


def pool(tmp_path, *items, **options):
    return SlicePool(list(items), Compose([Slab()]), cache_dir=str(tmp_path / "cache"), **options)


def test_slices_come_between_their_neighbors_in_eight_bits(tmp_path):
    slices = pool(tmp_path, {"subtype": 4})
    assert len(slices) == 4  # the slice without brain is left out
    item = slices[3]
    assert item["image"].shape == (3, 20, 20)
    assert item["image"][:, 10, 10].tolist() == pytest.approx([0.6, 0.8, 0.0], abs=1 / 510)
    assert slices[0]["image"][:, 10, 10].tolist() == pytest.approx([0.2, 0.2, 0.4], abs=1 / 510)
    assert slices.positive.tolist() == [False, True, False, False]
    assert slices[0]["label"].max() == 0


def test_asymmetry_is_kept_where_it_was_made(tmp_path):
    slices = SlicePool([{"subtype": 4}], Compose([Lopsided()]), cache_dir=str(tmp_path / "cache"))
    found = slices[1]["asymmetry"]
    assert found.shape == (1, 20, 20)
    assert float(found[0, 4, 5]) == pytest.approx(-0.3, abs=1 / 254)
    assert float(found[0, 6, 7]) == 1.0
    assert int((found != 0).sum()) == 2  # what is even stays exactly so
    assert not slices[0]["asymmetry"].any()
    assert not {"asymmetry", "excess"} & set(pool(tmp_path, {"subtype": 4})[1])
    assert "excess" not in slices[1]


def test_each_channel_that_was_made_comes_back_under_its_name(tmp_path):
    item = SlicePool([{"subtype": 4}], Compose([Both()]), cache_dir=str(tmp_path / "both"))[1]
    assert float(item["excess"].min()) == float(item["excess"].max()) == pytest.approx(0.5, abs=1 / 254)
    assert float(item["asymmetry"][0, 4, 5]) == pytest.approx(-0.3, abs=1 / 254)


def test_labels_and_regions(tmp_path):
    item = pool(tmp_path, {"subtype": 4})[1]
    assert item["label"].unique().tolist() == [0, 4]
    assert (item["region"] == 2).sum() == 9
    assert (item["region"] == 1).sum() == 16 * 16 - 9


def test_scans_do_not_lend_each_other_neighbors(tmp_path):
    slices = pool(tmp_path, {"subtype": 4}, {"subtype": 2})
    assert slices[4]["image"][:, 10, 10].tolist() == pytest.approx([0.2, 0.2, 0.4], abs=1 / 510)


def test_slices_far_apart_are_alone(tmp_path):
    item = pool(tmp_path, {"subtype": 4, "spacing": 12.0}, farthest_mm=10.0)[2]
    assert item["image"][:, 10, 10].tolist() == pytest.approx([0.6] * 3, abs=1 / 510)


def test_each_scan_is_prepared_once(tmp_path):
    Slab.made = 0
    first = pool(tmp_path, {"subtype": 4}, {"subtype": 2})
    again = pool(tmp_path, {"subtype": 4}, {"subtype": 2})
    assert Slab.made == 2
    assert torch.equal(first[1]["label"], again[1]["label"])
    pool(tmp_path, {"subtype": 5})
    assert Slab.made == 3


def test_a_stopped_preparation_is_done_again(tmp_path):
    pool(tmp_path, {"subtype": 4})
    (record,) = (tmp_path / "cache").glob("*.json")
    (tmp_path / "cache" / json.loads(record.read_text())[0]).write_bytes(b"")
    record.unlink()  # the record is written last
    Slab.made = 0
    assert len(pool(tmp_path, {"subtype": 4})) == 4
    assert Slab.made == 1


def test_masks_that_name_no_subtypes_do_not_teach_them(tmp_path):
    pool(tmp_path, {"subtype": 1}, {"subtype": 4}, names_subtypes=True)
    pool(tmp_path, {"subtype": 1})
    with pytest.raises(ScanError, match=r"E_DATALIST.*no mask holds a value above 1.*1 EDH, 2 SDH.*slice_unet.yaml"):
        pool(tmp_path, {"subtype": 1}, names_subtypes=True)
    with pytest.raises(ScanError, match="the value 255, which is no subtype's"):
        pool(tmp_path, {"subtype": 255}, names_subtypes=True)


def test_random_steps_are_refused_in_preparation(tmp_path):
    with pytest.raises(ValueError, match="random steps"):
        SlicePool([], Compose([Slab(), RandFlipd("image")]), cache_dir=str(tmp_path))


def test_crops_are_plain_tensors_and_meta_data_stays_on_elsewhere(tmp_path):
    slices = pool(tmp_path, {"subtype": 4}, transform=Compose([RandFlipd("image", prob=1.0, spatial_axis=0)]))
    assert type(slices[1]["image"]) is torch.Tensor
    assert get_track_meta()

    def fails(item):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        pool(tmp_path, {"subtype": 4}, transform=fails)[1]
    assert get_track_meta()


def test_balance(tmp_path):
    slices = pool(tmp_path, {"subtype": 4}, {"subtype": 2})
    torch.manual_seed(0)
    drawn = list(balanced_slices(slices, 4000, 0.3))
    assert slices.positive[drawn].mean() == pytest.approx(0.3, abs=0.03)
    drawn = list(balanced_slices(slices, 4000, None))
    assert slices.positive[drawn].mean() == pytest.approx(0.25, abs=0.03)


def test_balance_needs_both_kinds(tmp_path):
    with pytest.raises(ScanError, match="E_DATALIST"):
        balanced_slices(pool(tmp_path, {"subtype": 0}), 10, 0.3)


def test_phantoms_become_slices(tmp_path):
    options = {"size": 64, "pixel_mm": (3.4, 3.5), "slices_per_head": 22, "scans_per_head": 2, "positive_fraction": 1.0}
    data = phantom_slabs(2, seed=5, device="cpu:0", **options)
    prepare = Compose(
        [
            PhantomSlabd(),
            ScaleIntensityRanged("image", -40, 90, 1 / 255, 1, clip=True),
            MaskIntensityd("image", mask_key="brain"),
            CopyItemsd("label", names="target"),
        ]
    )
    slices = SlicePool(data, prepare, cache_dir=str(tmp_path), num_workers=1)  # started afresh, as beside a GPU
    assert 40 <= len(slices) <= 96  # two scans each of two heads, 22 slices with an outer one at each end
    assert slices.positive.any()
    stack = np.stack([slices[n]["image"].numpy() for n in range(len(slices))])
    assert stack.max() <= 1.0
    assert 0.2 < np.median(stack[stack > 0]) < 0.8
    assert (stack[:, 1] == 0).mean() > 0.2  # no skull, no scalp
