"""Slices at another pixel size: world positions kept, averages kept, and back onto the same grid."""

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, Orientationd

from hemorrhage.transforms.pixel_size import PixelSized, resized_slices


def image(shape=(1, 40, 36, 3), pixel=0.45):
    affine = torch.diag(torch.tensor([-pixel, -pixel, 5.0, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([9.0, 8.0, -7.0])
    return MetaTensor(torch.rand(shape, generator=torch.Generator().manual_seed(0)), affine=affine)


def test_pixels_are_averaged_and_keep_their_place():
    scan = image()
    out = PixelSized("image", 0.9)({"image": scan})["image"]
    assert out.shape == (1, 20, 18, 3)
    blocks = scan.as_tensor().reshape(1, 20, 2, 18, 2, 3).mean((2, 4))
    assert torch.allclose(out.as_tensor(), blocks, atol=1e-6)
    # The first of the large pixels has its middle between those of the first two small ones.
    middle = scan.affine @ torch.tensor([0.5, 0.5, 0.0, 1.0], dtype=torch.float64)
    assert torch.allclose(out.affine[:, 3], middle)
    assert torch.allclose(out.affine[:3, :3], scan.affine[:3, :3] @ torch.diag(torch.tensor([2.0, 2, 1]).double()))


def test_a_pixel_on_the_border_is_shared_by_what_lies_in_each():
    row = torch.tensor([1.0, 4.0, 10.0])
    across = resized_slices(row.reshape(1, 3, 1, 1), (2, 1), "area").flatten()
    assert torch.allclose(across, torch.tensor([(1 + 2) / 1.5, (2 + 10) / 1.5]))
    along = resized_slices(row.reshape(1, 1, 3, 1), (1, 2), "area").flatten()
    assert torch.equal(along, across)


def test_pixels_of_nearly_the_same_size_are_hardly_blurred():
    spot = torch.zeros(1, 100, 100, 1)
    spot[0, 10, 10] = 1.0
    near = resized_slices(spot, (99, 101), "area")
    assert float(near.sum()) == pytest.approx(99 * 101 / 100**2, rel=1e-5)
    assert float(near.max()) > 0.75  # whole pixels would give a quarter
    assert torch.equal(resized_slices(spot, (100, 100), "area"), spot)


def test_world_center_of_mass_stays():
    scan = image(shape=(1, 41, 37, 2), pixel=0.5)
    scan.zero_()
    scan[0, 10:31, 12:25, 1] = 1.0
    out = PixelSized("image", 0.83)({"image": scan})["image"]

    def center(x):
        where = torch.stack(torch.meshgrid(*(torch.arange(n).double() for n in x.shape[1:]), indexing="ij"), -1)
        index = (where * x.as_tensor()[0, ..., None]).sum((0, 1, 2)) / x.as_tensor().sum()
        return (x.affine @ torch.cat([index, torch.ones(1).double()]))[:3]

    assert torch.allclose(center(out), center(scan), atol=0.05)


def test_a_prediction_returns_to_the_scans_own_grid():
    scan = image()
    before = Compose(
        [
            Orientationd(["image", "mask"], axcodes="RAS", labels=None, allow_missing_keys=True),
            PixelSized(["image", "mask"], 0.9, ["area", "nearest-exact"], allow_missing_keys=True),
        ]
    )
    item = before({"image": scan})
    smooth = torch.linspace(0, 1, 20)[:, None, None].expand(2, 20, 18, 3)
    pred = MetaTensor(smooth.clone(), meta=item["image"].meta)
    out = Invertd("pred", before, "image", nearest_interp=False)({"image": item["image"], "pred": pred})["pred"]
    assert out.shape == (2, 40, 36, 3)
    assert torch.allclose(out.affine, scan.affine)
    # RAS ran against the file's first axis; between the ends linear interpolation gives a line back.
    expected = torch.linspace(1 + 1 / 76, -1 / 76, 40)[2:-2]
    assert torch.allclose(out[0, 2:-2, 5, 1].as_tensor(), expected, atol=1e-4)


def test_labels_keep_their_values_and_type():
    label = MetaTensor((torch.arange(40) // 10 * 2).to(torch.uint8)[None, :, None, None].expand(1, 40, 36, 3).clone())
    out = PixelSized("label", 3.0, "nearest-exact")({"label": label})["label"]
    assert out.dtype == torch.uint8
    assert set(out.unique().tolist()) == {0, 2, 4, 6}


def test_no_size_changes_nothing():
    scan = image()
    d = PixelSized("image", None)({"image": scan})
    assert torch.equal(d["image"], scan)
    assert torch.equal(PixelSized("image", None).inverse(d)["image"], scan)


def test_unknown_modes_are_refused():
    with pytest.raises(ValueError, match="mode must be one of"):
        PixelSized("image", 0.9, "cubic")


def test_axes_are_not_confused():
    out = resized_slices(torch.zeros(2, 10, 20, 3), (5, 4), "area")
    assert out.shape == (2, 5, 4, 3)
