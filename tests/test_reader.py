"""The reader inside MONAI: geometry, warnings and errors survive LoadImage, Dataset, DataLoader and batches."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from analytic_head import centered_affine, grid_points, hu_at
from dicom_phantom import series, write
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, MetaTensor, PersistentDataset, decollate_batch
from monai.transforms import Compose, LoadImage, LoadImaged

from hemorrhage.dicom.importer import read_series
from hemorrhage.errors import ScanError, scan_error_in, warnings_of
from hemorrhage.reader import SOURCE_KEY, HeadCTReader

SHAPE = (28, 24, 30)
AFFINE = centered_affine(SHAPE, np.array([[0.0, -8.0, 0.0], [8.0, 0.0, 0.0], [0.0, 0.0, 6.0]]))
HEAD = hu_at(grid_points(SHAPE, AFFINE)).astype(np.int16)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    nib.save(nib.Nifti1Image(HEAD, AFFINE), tmp_path / "clean.nii.gz")
    return tmp_path / "clean.nii.gz"


@pytest.fixture
def padded(tmp_path: Path) -> Path:
    data = HEAD.copy()
    data[0] = -2000
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / "padded.nii.gz")
    return tmp_path / "padded.nii.gz"


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """MONAI's own reader opens this mask without a word."""
    nib.save(nib.Nifti1Image((HEAD == 60).astype(np.uint8), AFFINE), tmp_path / "mask: a. b.nii.gz")
    return tmp_path / "mask: a. b.nii.gz"


def loader(**options: object) -> LoadImaged:
    return LoadImaged(keys="image", reader="hemorrhage.reader.HeadCTReader", ensure_channel_first=True, **options)


def codes(image: MetaTensor) -> list[str]:
    return [w.code for w in warnings_of(image.meta)]


def test_load_image_keeps_axes_affine_and_meta(padded: Path) -> None:
    image = loader()({"image": padded})["image"]
    assert image.shape == (1, *SHAPE)
    assert image.dtype == torch.float32
    np.testing.assert_array_equal(image[0].numpy(), np.where(HEAD < -1100, -1000, HEAD))
    np.testing.assert_allclose(image.affine.numpy(), AFFINE, atol=1e-4)
    np.testing.assert_allclose(np.asarray(image.meta["original_affine"]), AFFINE, atol=1e-4)
    assert list(image.meta["spatial_shape"]) == list(SHAPE)
    assert image.meta["space"] == "RAS"
    assert image.meta["filename_or_obj"] == str(padded)
    assert codes(image) == ["W_PADDING"]
    assert json.loads(image.meta[SOURCE_KEY])["format"] == "NIfTI"


def test_axes_are_those_of_monais_own_reader(clean: Path) -> None:
    ours, theirs = loader()({"image": clean})["image"], LoadImage(ensure_channel_first=True)(clean)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    np.testing.assert_array_equal(ours.affine.numpy(), theirs.affine.numpy())


def test_options_reach_the_reader_from_a_bundle_config(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(HEAD[:, :, 14:15], AFFINE), tmp_path / "slice.nii")
    config = {
        "load": {
            "_target_": "LoadImaged",
            "keys": "image",
            "reader": {"_target_": "hemorrhage.reader.HeadCTReader", "min_slices": 1},
            "ensure_channel_first": True,
        },
    }
    parser = ConfigParser(config)
    assert parser.get_parsed_content("load")({"image": tmp_path / "slice.nii"})["image"].shape == (1, 28, 24, 1)
    assert loader(min_slices=1)({"image": tmp_path / "slice.nii"})["image"].shape == (1, 28, 24, 1)
    with pytest.raises(ScanError, match="E_TOO_FEW"):
        loader()({"image": tmp_path / "slice.nii"})


@pytest.mark.parametrize("batch_size", [1, 2])
def test_warnings_survive_a_batch(clean: Path, padded: Path, batch_size: int) -> None:
    data = Dataset([{"image": clean}, {"image": padded}], loader())
    images = [d["image"] for batch in DataLoader(data, batch_size=batch_size) for d in decollate_batch(batch)]
    assert [codes(image) for image in images] == [[], ["W_PADDING"]]
    for image in images:
        np.testing.assert_allclose(image.affine.numpy(), AFFINE, atol=1e-4)


def test_warnings_survive_a_cache_on_disk(padded: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for _ in range(2):
        data = PersistentDataset([{"image": padded}], loader(), cache_dir=cache, track_meta=True, weights_only=False)
        assert codes(data[0]["image"]) == ["W_PADDING"]


def test_the_refusal_itself_leaves_load_image_and_no_other_reader_is_tried(refused: Path) -> None:
    assert LoadImage()(refused).shape == SHAPE  # what would happen in silence
    with pytest.raises(ScanError, match="E_NOT_HU"):
        loader()({"image": refused})
    with pytest.raises(ScanError, match="E_NOT_HU"):
        LoadImage(reader=HeadCTReader())(refused)


def test_the_refusal_is_found_behind_compose_and_dataset(refused: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        Dataset([{"image": refused}], Compose([loader()]))[0]
    found = scan_error_in(caught.value)
    assert found is not None
    assert found.code == "E_NOT_HU"


@pytest.mark.parametrize("workers", [0, 1])
def test_the_refusal_is_found_behind_a_data_loader(refused: Path, workers: int) -> None:
    data = Dataset([{"image": refused}], Compose([loader()]))
    with pytest.raises(RuntimeError) as caught:
        list(DataLoader(data, num_workers=workers))
    found = scan_error_in(caught.value)
    assert found is not None
    with pytest.raises(ScanError) as direct:
        loader()({"image": refused})
    assert str(found) == str(direct.value)
    assert found.code == "E_NOT_HU"


def test_nothing_is_found_in_other_errors() -> None:
    assert scan_error_in(RuntimeError("applying transform")) is None


def test_several_paths_are_not_one_scan(clean: Path) -> None:
    with pytest.raises(ScanError, match="2 paths"):
        LoadImage(reader=HeadCTReader())([clean, clean])


def test_a_folder_of_dicom_is_read_by_the_same_reader(tmp_path: Path) -> None:
    image = loader()({"image": write(tmp_path / "ct", series(tilt=10.0))})["image"]
    assert codes(image) == ["W_TILT"]
    assert json.loads(image.meta[SOURCE_KEY])["format"] == "DICOM"
    np.testing.assert_array_equal(image[0].numpy(), read_series(tmp_path / "ct").hu)


def test_a_worker_of_a_data_loader_may_read_dicom(tmp_path: Path) -> None:
    data = Dataset([{"image": write(tmp_path / "ct", series())}], loader())
    (batch,) = DataLoader(data, num_workers=1)
    assert batch["image"].shape == (1, 1, 48, 56, 38)


def test_an_empty_folder_is_refused_by_code(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="E_NO_DICOM"):
        loader()({"image": tmp_path})


def test_nifti_is_read_where_pydicom_is_too_old_and_dicom_refused(
    clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MONAI Label 0.8 holds pydicom below 3, in which ``pydicom.pixels`` is not there."""
    monkeypatch.setitem(sys.modules, "pydicom.pixels", None)
    for name in [n for n in sys.modules if n.startswith("hemorrhage.dicom.") and not n.endswith("slice_map")]:
        monkeypatch.delitem(sys.modules, name)
    assert LoadImage(reader=HeadCTReader)(clean).ndim == 3
    with pytest.raises(ScanError, match=r"DICOM cannot be read here: .*pydicom\.pixels.* Install pydicom 3") as caught:
        HeadCTReader().get_data(HeadCTReader().read(tmp_path))
    assert caught.value.code == "E_PACKAGE"
