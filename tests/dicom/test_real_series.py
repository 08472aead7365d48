"""Real heads and real headers: geometry of the import checked slice by slice against the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_phantom import pixel_points

from hemorrhage.dicom.importer import ImportedSeries, import_series
from hemorrhage.errors import ScanError
from hemorrhage.geometry import shear_degrees

DATA = Path(__file__).resolve().parents[2] / "../shared/data/dicom"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="shared/data is not beside this checkout")


def assert_geometry_of_every_slice(imported: ImportedSeries, folder: Path) -> None:
    volume, slice_map = imported.volume, imported.slice_map
    assert shear_degrees(volume.affine) < 1e-6
    to_voxel = np.linalg.inv(volume.affine)
    native = slice_map.to_native(volume.hu)
    random = np.random.default_rng(0)
    assert len(slice_map.files) == len({*slice_map.files}) == len(list(folder.glob("*.dcm")))
    for n, name in enumerate(slice_map.files):
        source = pydicom.dcmread(folder / name)
        points = pixel_points(source)
        row, column = random.integers(0, source.Rows, 50), random.integers(0, source.Columns, 50)
        voxel = points[row, column] @ to_voxel[:3, :3].T + to_voxel[:3, 3]
        # Where the map says that the pixel lies, in voxels, is where the header puts it in mm.
        stated = np.column_stack([column + slice_map.offsets[n, 0], row + slice_map.offsets[n, 1]])
        np.testing.assert_allclose(voxel[:, :2], stated, atol=0.02)
        np.testing.assert_allclose(voxel[:, 2] * slice_map.step_mm, slice_map.distances_mm[n], atol=0.02)
        stored = source.pixel_array * float(source.RescaleSlope) + float(source.RescaleIntercept)
        truth = np.where(stored < -1100, -1000, np.clip(stored, -1024, 3071)).T
        soft = (truth > -20) & (truth < 90)
        if soft.any():
            # Linear interpolation there and back smooths noise but moves nothing.
            assert abs((native[:, :, n] - truth)[soft].mean()) < 12.0
            assert np.corrcoef(native[:, :, n].ravel(), truth.ravel())[0, 1] > 0.97


def test_a_tilted_head_of_unequal_slices(tmp_path: Path) -> None:
    folder = DATA / "ge_head_tilted_variable_thickness"
    imported = import_series(folder)
    warnings = {w.code: w.numbers for w in imported.volume.warnings}
    assert set(warnings) == {"W_TILT", "W_SPACING", "W_PADDING"}
    assert abs(warnings["W_TILT"]["tilt_degrees"]) == pytest.approx(18.5, abs=0.05)
    assert warnings["W_PADDING"]["lowest_value"] == -1500
    gaps = np.diff(imported.slice_map.distances_mm)
    np.testing.assert_allclose(gaps[:13], 4.0, atol=0.02)
    np.testing.assert_allclose(gaps[14:], 7.0, atol=0.02)
    assert_geometry_of_every_slice(imported, folder)


def test_a_tilted_plastic_head() -> None:
    folder = DATA / "philips_plastic_head_tilted"
    imported = import_series(folder)
    assert [w.code for w in imported.volume.warnings] == ["W_TILT"]
    assert imported.volume.warnings[0].numbers["tag_degrees"] == -18.5
    assert imported.slice_map.step_mm == pytest.approx(2.5 * np.cos(np.radians(18.5)), abs=0.01)
    assert_geometry_of_every_slice(imported, folder)


def test_tilt_is_corrected_over_noise() -> None:
    imported = import_series(DATA / "noise_pixels_real_headers/gantrytilting/001")
    assert [w.code for w in imported.volume.warnings] == ["W_TILT", "W_COVERAGE"]
    assert abs(imported.volume.warnings[0].numbers["tilt_degrees"]) == pytest.approx(14.0, abs=0.05)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("sliceincrement/001", "E_MISSING_SLICE"),
        ("sliceincrement/002", "E_MISSING_SLICE"),
        ("notavolume/001", "E_POSITIONS"),
        ("slicecount/001", "E_NO_CT"),
    ],
)
def test_what_is_no_volume_is_refused(name: str, code: str) -> None:
    with pytest.raises(ScanError) as caught:
        import_series(DATA / "noise_pixels_real_headers" / name)
    assert caught.value.code == code
