"""Studies on disk: the folder form, the truth beside it, DICOM that holds the same volume."""

import csv
import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from hemorrhage.geometry import voxel_volume_ml
from hemorrhage.phantom import make_case
from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.head import draw_head
from hemorrhage.phantom.recipe import Recipe
from hemorrhage.phantom.study import finish_folder, study_number, write_dicom_series, write_study

SMALL = {"spacing_mm": (3.6, 3.6, 8.0), "shape": (64, 64, 18)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantoms")
    cases = [make_case(s, subtypes=t, **SMALL) for s, t in ((1, ["IPH"]), (2, []), (3, ["SDH", "IVH"]))]
    for n, case in enumerate(cases):
        write_study(case, out, n)
    return out, cases, finish_folder(out, 3, {"seed": 1})


def test_files_hold_the_case(folder):
    out, cases, _ = folder
    for n, case in enumerate(cases):
        name = study_number(n)
        image = nib.load(out / "ct_scans" / f"{name}.nii")
        assert np.array_equal(np.asarray(image.dataobj), case.hu.numpy())
        assert np.allclose(image.affine, case.affine, atol=1e-4)
        mask = np.asarray(nib.load(out / "masks" / f"{name}.nii").dataobj)
        assert set(np.unique(mask)) <= {0, 255}
        assert np.array_equal(mask > 0, np.asarray(nib.load(out / "subtypes" / f"{name}.nii").dataobj) > 0)


def test_the_table_of_slices_agrees_with_the_label_maps(folder):
    out, _, _ = folder
    with (out / "hemorrhage_diagnosis_raw_ct.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 3 * 18
    for row in rows:
        label = np.asarray(nib.load(out / "subtypes" / f"{int(row['PatientNumber']):03d}.nii").dataobj)
        plane = label[:, :, int(row["SliceNumber"]) - 1]
        assert int(row["Intraparenchymal"]) == int((plane == 4).any())
        assert int(row["Intraventricular"]) == int((plane == 5).any())
        assert int(row["No_Hemorrhage"]) == int(not plane.any())


def test_truth_counts_subtypes_and_states_volumes(folder):
    out, _, summary = folder
    truth = json.loads((out / "truth.json").read_text())
    assert summary["with_subtype"] == {"EDH": 0, "SDH": 1, "SAH": 0, "IPH": 1, "IVH": 1}
    for name, case in truth["cases"].items():
        mask = nib.load(out / "masks" / f"{name}.nii")
        ml = int((np.asarray(mask.dataobj) > 0).sum()) * voxel_volume_ml(mask.affine)
        assert case["total_ml"] == pytest.approx(ml, rel=1e-6)


@pytest.mark.parametrize("tilt", [0.0, 18.0])
def test_a_dicom_series_places_each_voxel_where_the_affine_does(tmp_path, tilt):
    case = make_case(4, subtypes=[], tilt_degrees=tilt, sheared=True, **SMALL)
    write_dicom_series(case.hu.numpy().astype(np.int16), case.affine, tmp_path, seed=4, name="049")
    slices = [pydicom.dcmread(p) for p in sorted(tmp_path.glob("*.dcm"))]
    assert len(slices) == 18
    for k, d in enumerate(slices):
        row, column = np.split(np.array(d.ImageOrientationPatient, float), 2)
        for r, c in ((0, 0), (20, 41)):
            lps = np.array(d.ImagePositionPatient, float) + row * c * d.PixelSpacing[1] + column * r * d.PixelSpacing[0]
            i, j, at = np.linalg.inv(case.affine)[:3] @ [-lps[0], -lps[1], lps[2], 1]
            assert at == pytest.approx(k, abs=1e-3)
            got = d.pixel_array[r, c] * d.RescaleSlope + d.RescaleIntercept
            assert got == case.hu[round(i), round(j), k]
    steps = np.diff([np.array(d.ImagePositionPatient, float) for d in slices], axis=0)
    # The table moves the patient straight; the planes lean.
    assert np.allclose(steps, [0, 0, 8.0 / np.cos(np.radians(tilt))], atol=1e-4)
    assert abs(abs(float(slices[0].GantryDetectorTilt)) - tilt) < 1e-3


def test_the_script_goes_on_where_it_stopped_and_refuses_another_recipe(tmp_path):
    import importlib.util
    from pathlib import Path

    import typer

    path = Path(__file__).resolve().parents[2] / "scripts" / "make_phantoms.py"
    spec = importlib.util.spec_from_file_location("make_phantoms", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app = typer.Typer()
    app.command()(module.main)
    small = ["--spacing", "6,6,10", "--size", "40,40,14"]
    assert CliRunner().invoke(app, ["1", str(tmp_path), *small]).exit_code == 0
    first = (tmp_path / "ct_scans" / "049.nii").stat().st_mtime_ns
    assert CliRunner().invoke(app, ["2", str(tmp_path), *small]).exit_code == 0
    assert (tmp_path / "ct_scans" / "049.nii").stat().st_mtime_ns == first
    assert (tmp_path / "ct_scans" / "050.nii").exists()
    other = CliRunner().invoke(app, ["2", str(tmp_path), *small, "--seed", "7"])
    assert other.exit_code == 2


def test_unequal_slices_are_pairs_of_thin_ones_where_they_say_they_are(tmp_path):
    case = make_case(4, subtypes=[], sheared=True, **SMALL)
    write_dicom_series(case.hu.numpy().astype(np.int16), case.affine, tmp_path, seed=4, name="049", thin=9)
    slices = [pydicom.dcmread(p) for p in sorted(tmp_path.glob("*.dcm"))]
    z = [float(d.ImagePositionPatient[2]) for d in slices]
    assert len(slices) == 10 + 4
    assert [float(d.SliceThickness) for d in slices] == pytest.approx([8.0] * 10 + [16.0] * 4)
    # Ten slices 8 mm apart, 12 mm to the middle of the first pair, pairs 16 mm apart.
    assert np.diff(z) == pytest.approx([8.0] * 9 + [12.0] + [16.0] * 3, abs=1e-4)
    mean = case.hu.numpy()[:, :, 10:12].mean(-1)
    got = slices[10].pixel_array.astype(float) - 1024
    flips = [got.T, got.T[::-1], got.T[:, ::-1], got.T[::-1, ::-1]]
    assert min(np.abs(g - mean).max() for g in flips) <= 0.5


def test_the_table_names_the_slices_that_a_fracture_reaches(tmp_path):
    seed = next(s for s in range(30) if draw_head(Draws(s), Recipe(trauma=1.0)).numbers["fracture"])
    case = make_case(seed, subtypes=[], recipe=Recipe(trauma=1.0), **SMALL)
    assert case.truth["head"]["fracture"] in (0.0, 1.0)
    write_study(case, tmp_path, 0)
    finish_folder(tmp_path, 1, {})
    with (tmp_path / "hemorrhage_diagnosis_raw_ct.csv").open() as f:
        marked = [int(row["Fracture_Yes_No"]) for row in csv.DictReader(f)]
    assert [k for k, m in enumerate(marked) if m] == case.truth["fractured_slices"]
    if case.truth["head"]["fracture"]:
        assert 1 <= sum(marked) < 18
