"""What is written for one scan, from arrays whose answer is plain."""

import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from dicom_phantom import series, write
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.transforms import LoadImaged

from hemorrhage.dicom.slice_map import SliceMap
from hemorrhage.errors import ScanError
from hemorrhage.handlers import ScanWriter
from hemorrhage.reader import SOURCE_KEY, HeadCTReader

SHAPE = (20, 18, 6)
AFFINE = np.diag([2.0, 2.0, 5.0, 1.0])


@pytest.fixture
def scan(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"scan")
    (tmp_path / "w.pt").write_bytes(b"weights")
    pred = np.zeros(SHAPE, np.float32)
    pred[4:9, 4:8, 2:4] = 1  # 40 voxels of 0.02 mL
    brain = np.zeros(SHAPE, np.float32)
    brain[2:-2, 2:-2, 1:-1] = 1
    arrays = {"scan": 30 * brain, "image": 30 * brain, "brain": brain, "probability": 0.9 * pred, "pred": pred}
    data = {k: MetaTensor(torch.from_numpy(v[None]), affine=torch.from_numpy(AFFINE)) for k, v in arrays.items()}
    data["image"].meta["filename_or_obj"] = str(tmp_path / "a.nii.gz")
    return {**data, "name": "a"}


def written(tmp_path, scan, **options):
    writer = ScanWriter(str(tmp_path / "out"), str(tmp_path / "w.pt"), 0.5, **options)
    writer(SimpleNamespace(state=SimpleNamespace(batch=[scan], output=[{}])))
    return json.loads((tmp_path / "out/a/findings.json").read_text())


def test_a_binary_system_writes_a_mask_and_its_volume(tmp_path, scan):
    findings = written(tmp_path, scan)["findings"]
    assert findings["volume_ml"] == pytest.approx(0.8)
    assert "volume_ml_by_subtype" not in findings
    assert set(np.unique(nib.load(tmp_path / "out/a/hemorrhage.nii.gz").dataobj)) == {0, 1}


def test_subtypes_are_written_as_labels_and_measured_one_by_one(tmp_path, scan):
    scan["pred"][:, 4:6] *= 4
    scan["pred"][:, 6:9] *= 2
    findings = written(tmp_path, scan, subtypes=True)["findings"]
    assert findings["volume_ml"] == pytest.approx(0.8)
    expected = {"EDH": 0.0, "SDH": 0.48, "SAH": 0.0, "IPH": 0.32, "IVH": 0.0}
    assert findings["volume_ml_by_subtype"] == pytest.approx(expected)
    assert set(np.unique(nib.load(tmp_path / "out/a/hemorrhage.nii.gz").dataobj)) == {0, 2, 4}


def test_a_label_that_names_no_subtype_is_refused(tmp_path, scan):
    scan["pred"] *= 6
    with pytest.raises(ScanError, match="E_LABEL"):
        written(tmp_path, scan, subtypes=True)
    assert not (tmp_path / "out/a").exists()


def test_measures_see_the_whole_result_and_become_findings(tmp_path, scan):
    slice_map = SliceMap((20, 18), np.arange(6) * 5.0, np.zeros((6, 2)), 5.0, 4.0)
    scan["image"].meta[SOURCE_KEY] = json.dumps(slice_map.as_source())
    seen = []

    def voxels(result):
        seen.append(result)
        return {"voxels": int(result.mask.sum())}

    assert written(tmp_path, scan, measures=[voxels])["findings"]["voxels"] == 40
    (result,) = seen
    assert result.name == "a"
    assert result.hu.dtype == result.probability.dtype == np.float32
    assert result.mask.dtype == result.brain.dtype == bool
    assert result.subtypes is None
    assert result.to_template is None
    assert result.sides_known
    np.testing.assert_array_equal(result.affine, AFFINE)
    np.testing.assert_array_equal(result.slice_map.distances_mm, slice_map.distances_mm)


def test_one_name_is_measured_once(tmp_path, scan):
    with pytest.raises(ValueError, match="volume_ml is measured twice"):
        written(tmp_path, scan, measures=[lambda result: {"volume_ml": 0.0}])


def test_channels_that_were_not_joined_are_refused(tmp_path, scan):
    scan["probability"] = torch.cat([scan["probability"]] * 2)
    with pytest.raises(ScanError, match=r"E_GRID.*\(2, 20, 18, 6\)"):
        written(tmp_path, scan)


def test_a_dicom_scan_gets_native_volumes_and_dicom_files(tmp_path, scan):
    folder = write(tmp_path / "ct", series((0.0, 5.0, 10.0, 15.0, 22.0, 29.0)))
    load = LoadImaged("image", reader=HeadCTReader(isolate=False), image_only=True, ensure_channel_first=True)
    (loaded,) = decollate_batch(list_data_collate([load({"image": str(folder), "name": "a"})]))
    scan["image"] = loaded["image"]
    for key in ("scan", "brain", "probability", "pred"):
        array = torch.zeros(loaded["image"].shape)
        if key in ("pred", "probability"):
            array[:, 20:30, 20:30] = 1  # through all slices: 100 pixels of 16 mm2 over 5 + 5 + 5 + 6 + 7 + 7 mm
        scan[key] = MetaTensor(array, affine=loaded["image"].affine)
    findings = written(tmp_path, scan, dicom_out=True)
    assert findings["findings"]["volume_ml_native"] == pytest.approx(0.1 * 16 * (5 + 5 + 5 + 6 + 7 + 7))
    assert "volume_ml_native_by_subtype" not in findings["findings"]
    assert "W_VOLUMES" not in [w["code"] for w in findings["warnings"]]
    assert pydicom.dcmread(tmp_path / "out/a/hemorrhage.seg.dcm").NumberOfFrames == 6
    assert (tmp_path / "out/a/measurements.sr.dcm").exists()

    (folder / "IM0003.dcm").unlink()  # gone since it was read
    findings = written(tmp_path, scan, dicom_out=True)
    assert [w["code"] for w in findings["warnings"]] == ["W_SPACING", "W_COVERAGE", "W_DICOM_OUT"]
    assert not list((tmp_path / "out/a").glob("*.dcm"))
