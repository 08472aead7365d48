from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch
from monai.transforms import Compose, EnsureTyped, Invertd, LoadImaged, MaskIntensityd, ScaleIntensityRanged
from scipy import ndimage
from scipy.spatial.transform import Rotation

from hemorrhage.errors import warnings_of
from hemorrhage.transforms.template import RigidToTemplated, _pooled, recorded_alignment

TEMPLATE = Path(__file__).resolve().parents[2] / "models" / "template.nii.gz"
KEYS = ("image", "label", "brain")
GRIDS = {"1 mm": ((190, 210, 180), (1.0, 1.0, 1.0)), "5 mm": ((384, 420, 36), (0.5, 0.5, 5.0))}


def scan(shape, spacing):
    """A turned head with a bleed and its rigid truth."""
    image = nib.load(TEMPLATE)
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    truth = np.eye(4)
    truth[:3, :3] = Rotation.from_rotvec(np.radians([12.0, -6.0, 8.0])).as_matrix()
    truth[:3, 3] = (5.0, -8.0, 10.0)
    pull = np.linalg.inv(image.affine) @ truth @ affine
    hu = ndimage.affine_transform(
        np.asarray(image.dataobj, dtype=np.float32), pull[:3, :3], pull[:3, 3], output_shape=shape, order=1
    )
    brain = hu > 4.0
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    label = np.square((world - np.array([25.0, 5.0, 15.0])) / np.array([18.0, 22.0, 16.0])).sum(-1) < 1.0
    label &= brain
    hu = np.where(brain, np.where(label, 60.0, hu), -1000.0).astype(np.float32)
    return {"image": hu, "label": label.astype(np.uint8), "brain": brain.astype(np.uint8)}, affine, truth


@pytest.fixture(scope="module", params=GRIDS, ids=list(GRIDS))
def study(request, tmp_path_factory):
    arrays, affine, truth = scan(*GRIDS[request.param])
    folder = tmp_path_factory.mktemp("study")
    paths = {}
    for key, array in arrays.items():
        paths[key] = str(folder / f"{key}.nii.gz")
        nib.save(nib.Nifti1Image(array, affine), paths[key])
    return request.param, paths, arrays, truth


def rigid(**kwargs):
    options = {"mode": ("bilinear", "nearest", "nearest"), "allow_missing_keys": True, **kwargs}
    return RigidToTemplated(KEYS, TEMPLATE, **options)


def pipeline():
    return Compose(
        [
            LoadImaged(KEYS, ensure_channel_first=True, dtype=None),
            EnsureTyped("image", dtype=torch.float32),
            MaskIntensityd("image", mask_key="brain"),
            rigid(),
            ScaleIntensityRanged("image", 0.0, 100.0, 0.0, 1.0),
        ]
    )


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())


def test_round_trip_through_loader_and_batch(study):
    name, paths, arrays, truth = study
    transform = pipeline()
    (batch,) = DataLoader(Dataset([paths], transform), batch_size=1)
    assert batch["image"].shape == (1, 1, 128, 128, 128)
    batch["pred"] = MetaTensor(batch["label"].as_tensor().float())  # what a network returns
    (item,) = decollate_batch(batch)
    back = Invertd("pred", transform, "image", nearest_interp=False, to_tensor=True)(item)["pred"]
    assert back.shape[1:] == arrays["label"].shape
    assert torch.allclose(back.affine, torch.from_numpy(nib.load(paths["image"]).affine))
    assert back.dtype == torch.float32
    assert float(back.min()) >= 0.0
    assert float(back.max()) <= 1.0 + 1e-6
    assert dice(back[0].numpy() > 0.5, arrays["label"] > 0) >= (0.97 if name == "1 mm" else 0.90)
    found = recorded_alignment(back.meta)
    assert found.overlap > 0.95
    assert np.allclose(found.rigid[:3, :3], truth[:3, :3], atol=0.01)


def test_every_key_takes_the_same_way(study):
    _, paths, arrays, _ = study
    out = pipeline()(paths)
    for key in KEYS:
        assert out[key].shape == (1, 128, 128, 128)
        assert torch.equal(out[key].affine, out["image"].affine)
    assert out["label"].dtype == out["brain"].dtype == torch.uint8
    assert out["image"].dtype == torch.float32
    label = out["label"][0].numpy() > 0
    assert (out["image"][0].numpy()[label] > 0.5).mean() > 0.9  # blood of 60 HU lies under its label
    here = arrays["label"].sum() * np.prod(nib.load(paths["label"]).header.get_zooms())
    assert label.sum() * 1.5**3 == pytest.approx(here, rel=0.03)


def test_label_inverts_as_a_label(study):
    _, paths, arrays, _ = study
    transform = pipeline()
    out = transform(paths)
    back = Invertd("label", transform, nearest_interp=True)(out)["label"]
    assert back.dtype == torch.uint8
    assert set(np.unique(back.numpy())) == {0, 1}
    assert dice(back[0].numpy() > 0, arrays["label"] > 0) > 0.9
    assert back.applied_operations == []


@pytest.fixture(scope="module")
def tensors():
    arrays, affine, _ = scan(*GRIDS["1 mm"])
    return {k: MetaTensor(torch.from_numpy(a[None]), affine=torch.from_numpy(affine)) for k, a in arrays.items()}


def test_input_is_left_as_it_was(tensors):
    before = tensors["image"].affine.clone()
    rigid()(tensors)
    assert torch.equal(tensors["image"].affine, before)
    assert tensors["image"].applied_operations == []
    assert recorded_alignment(tensors["image"].meta) is None


def test_missing_label_is_passed_and_missing_brain_is_not(tensors):
    out = rigid()({k: tensors[k] for k in ("image", "brain")})
    assert set(out) == {"image", "brain"}
    with pytest.raises(KeyError, match="brain"):
        rigid()({"image": tensors["image"]})
    with pytest.raises(KeyError, match="label"):
        rigid(allow_missing_keys=False)({k: tensors[k] for k in ("image", "brain")})


def test_outside_the_template_comes_back_as_zero(tensors):
    transform = rigid()
    out = transform({k: tensors[k] for k in ("image", "brain")})
    out["image"] = out["image"] * 0.0 + 1.0  # a prediction that is sure everywhere
    back = transform.inverse({"image": out["image"]})["image"]
    corner = back[0, :8, :8, :8]  # more than 96 mm from the middle
    assert float(corner.abs().max()) == 0.0
    assert float(back[0, 95, 105, 90]) == pytest.approx(1.0)


def test_several_channels_come_back_each_for_itself(tensors):
    transform = rigid()
    out = transform({k: tensors[k] for k in ("image", "brain")})
    two = torch.cat([out["brain"].float(), 1.0 - out["brain"].float()])
    out["pred"] = MetaTensor(two.as_tensor())
    back = Invertd("pred", transform, "image", nearest_interp=False)(out)["pred"]
    assert back.shape == (2, *tensors["image"].shape[1:])
    assert float(back[:, 40:150, 40:170, 40:140].sum(0).sub(1.0).abs().max()) < 1e-4


def test_poor_alignment_is_told_in_the_meta_data():
    hu = torch.zeros(1, 60, 60, 60)
    hu[0, 5:55, 27:33, 27:33] = 35.0
    image = MetaTensor(hu, affine=torch.diag(torch.tensor([3.0, 3.0, 3.0, 1.0])))
    out = rigid()({"image": image, "brain": MetaTensor((hu > 0).to(torch.uint8), affine=image.affine)})
    assert [w.code for w in warnings_of(out["image"].meta)] == ["W_REGISTRATION"]
    assert json.loads(out["image"].meta["template_alignment"])["overlap"] < 0.75


def test_image_and_mask_of_unlike_shape_are_refused(tensors):
    with pytest.raises(ValueError, match="shape"):
        rigid()({"image": tensors["image"], "brain": tensors["brain"][:, :50]})


def test_coarser_grid_covers_the_same_field(tensors):
    fine, coarse = (rigid(spacing_mm=s)({k: tensors[k] for k in ("image", "brain")}) for s in (None, 3.0))
    assert coarse["image"].shape == (1, 64, 64, 64)
    volume = [float(o["brain"].sum() * torch.det(o["brain"].affine[:3, :3]).abs()) for o in (fine, coarse)]
    assert volume[0] == pytest.approx(volume[1], rel=0.02)


def test_fine_pixels_are_averaged_on_a_coarse_grid():
    # A ramp along each axis stays the same ramp in the world, wherever the blocks of 15 x 15 pixels of 0.2 mm fall;
    # their noise shrinks to a fifteenth.
    affine = torch.diag(torch.tensor([0.2, 0.2, 5.0, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([3.0, -7.0, 11.0])
    index = torch.stack(torch.meshgrid(*[torch.arange(n, dtype=torch.float64) for n in (45, 30, 4)], indexing="ij"), -1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    pooled, coarse = _pooled(world.permute(3, 0, 1, 2), affine, 6.0)
    assert pooled.shape == (3, 3, 2, 4)
    center = torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64)
    assert torch.allclose(pooled[:, 1, 1, 2].double(), coarse[:3, :3] @ center + coarse[:3, 3], atol=1e-4)
    noise = torch.randn(1, 300, 300, 4, generator=torch.Generator().manual_seed(0))
    assert 0.06 < _pooled(noise, affine, 6.0)[0].std() < 0.075
    assert _pooled(noise, affine, 0.1)[0] is noise
