"""The slices of an uneven series: read one by one as they were scanned, and back onto the grid that repeats them."""

import json

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, Orientationd

from hemorrhage.dicom.slice_map import SliceMap
from hemorrhage.reader import SOURCE_KEY
from hemorrhage.transforms.acquired_slices import AcquiredSlicesd

UNEVEN = np.array([0.0, 2.0, 4.0, 10.0, 16.0])


def scan(distances=UNEVEN, blended=False, step=2.0):
    """A volume on its even grid whose slices hold the number of the slice that they repeat."""
    slice_map = SliceMap((4, 3), distances, np.zeros((len(distances), 2)), step, 1.0, blended=blended)
    stack = np.broadcast_to(np.arange(len(distances), dtype=np.float32), (4, 3, len(distances)))
    volume = torch.from_numpy(np.ascontiguousarray(slice_map.resample(stack)))[None]
    affine = torch.diag(torch.tensor([-1.0, -1.0, step, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([4.0, 5.0, -9.0])
    return MetaTensor(volume, affine=affine, meta={SOURCE_KEY: json.dumps(slice_map.as_source())})


def test_each_acquired_slice_comes_once_at_the_median_distance():
    image = scan()
    assert image[0, 0, 0].tolist() == [0, 1, 2, 2, 3, 3, 3, 4, 4]  # 7 mm is as near to 4 as to 10: the lower one
    d = AcquiredSlicesd(["image", "inside"], allow_missing_keys=True)({"image": image})
    assert d["image"][0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert np.diag(d["image"].affine).tolist() == [-1, -1, 4, 1]
    assert d["image"].affine[:3, 3].tolist() == [4, 5, -9]


def test_a_mask_on_the_same_grid_follows_the_image():
    image = scan()
    label = MetaTensor((image.as_tensor() >= 3).to(torch.uint8), affine=image.affine)
    d = AcquiredSlicesd(["image", "target"])({"image": image, "target": label})
    assert d["target"][0, 0, 0].tolist() == [0, 0, 0, 1, 1]
    assert d["target"].dtype == torch.uint8


def test_a_prediction_goes_back_to_every_slice_that_repeats_its_own():
    image = scan()
    steps = Compose([AcquiredSlicesd("image"), Orientationd("image", axcodes="RAS", labels=None)])
    d = steps({"image": image})
    d["pred"] = MetaTensor(d["image"].as_tensor() * 10)
    back = Invertd("pred", steps, orig_keys="image", nearest_interp=False)(d)["pred"]
    assert back.shape == image.shape
    assert torch.equal(back.as_tensor(), image.as_tensor() * 10)
    assert torch.allclose(back.affine, image.affine)


def test_what_lies_on_an_even_grid_or_was_blended_stays():
    even = scan(np.arange(5) * 2.0)
    nifti = MetaTensor(torch.rand(1, 4, 3, 6), affine=torch.eye(4, dtype=torch.float64))
    for image in (even, scan(blended=True), nifti):
        transform = AcquiredSlicesd("image")
        d = transform({"image": image})
        assert torch.equal(d["image"].as_tensor(), image.as_tensor())
        assert torch.equal(transform.inverse(d)["image"].as_tensor(), image.as_tensor())
