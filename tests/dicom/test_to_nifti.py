"""DICOM to NIfTI: the same scan in another file, once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_phantom import series, write

from hemorrhage.dicom.importer import import_series
from hemorrhage.dicom.to_nifti import write_series
from hemorrhage.errors import ScanError
from hemorrhage.nifti import read_nifti

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/import_dicom.py"


def test_the_file_holds_the_volume_and_the_record_tells_of_its_slices(tmp_path: Path) -> None:
    folder = write(tmp_path / "ct", series((0.0, 5.0, 10.0, 15.0, 22.0, 29.0, 36.0), tilt=15))
    doubts = write_series(folder, tmp_path / "a")
    imported = import_series(folder)
    assert [d.code for d in doubts or ()] == ["W_TILT", "W_SPACING", "W_COVERAGE"]
    again = read_nifti(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(again.hu, imported.volume.hu, atol=1e-3)
    np.testing.assert_allclose(again.affine, imported.volume.affine, atol=1e-4)
    record = json.loads((tmp_path / "a.json").read_text())
    assert [s["file"] for s in record["slices"]] == list(imported.slice_map.files)
    assert record["source"]["slice_map"]["distances_mm"] == pytest.approx(imported.slice_map.distances_mm.tolist())
    assert [w["code"] for w in record["warnings"]] == ["W_TILT", "W_SPACING", "W_COVERAGE"]
    assert not any(word in (tmp_path / "a.json").read_text() for word in ("Doe", "P1", str(tmp_path)))


def test_whole_numbers_are_stored_as_such(tmp_path: Path) -> None:
    write_series(write(tmp_path / "ct", series()), tmp_path / "a")
    assert nib.load(tmp_path / "a.nii.gz").get_data_dtype() == np.int16


def test_what_is_there_is_kept_unless_it_is_of_something_else(tmp_path: Path) -> None:
    folder = write(tmp_path / "ct", series())
    assert write_series(folder, tmp_path / "a") == ()
    before = (tmp_path / "a.nii.gz").stat().st_mtime_ns
    assert write_series(folder, tmp_path / "a") is None
    assert (tmp_path / "a.nii.gz").stat().st_mtime_ns == before
    other = write(tmp_path / "other", series(tilt=5))
    with pytest.raises(ScanError, match="E_OTHER_INPUT"):
        write_series(other, tmp_path / "a")
    assert [d.code for d in write_series(other, tmp_path / "a", overwrite=True) or ()] == ["W_TILT"]


def test_the_program_imports_each_series_and_refuses_in_one_line(tmp_path: Path) -> None:
    second = series(tilt=10, SeriesInstanceUID="1.2.5")
    for dataset in second:
        dataset.SOPInstanceUID = dataset.SOPInstanceUID + ".5"
    write(tmp_path / "in/a", series())
    write(tmp_path / "in/a", second, "B{:04d}.dcm")
    write(tmp_path / "in/bad", series()[:2])

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), "in", "out", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run()
    assert done.returncode == 2
    assert "0 imported, 0 were there already, 2 refused" in done.stdout
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("a: error[E_CHOOSE] a: 2 CT series: 1.2.5 (38 images")
    assert lines[1].startswith("bad: error[E_TOO_FEW] bad: 2 slices")
    done = run("--series", "all")
    assert "2 imported, 0 were there already, 1 refused" in done.stdout
    assert "a_1: warning[W_TILT]" in done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a_1.json", "a_1.nii.gz", "a_2.json", "a_2.nii.gz"]
