"""Other readers put the same values at the same places, wherever they are known to be right.

Not all are: of the tilted series here SimpleITK drops the shear and highdicom makes no volume; see reliability in the
documentation of the import. These opinions are therefore asked about series that do not lean.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from analytic_head import grid_points
from dicom_folders import rotation
from dicom_phantom import EVEN, LPS_TO_RAS, series, write
from scipy.ndimage import map_coordinates

from hemorrhage.dicom.importer import read_series

FOLDERS: dict[str, Callable[[Path], Path]] = {
    "clean": lambda d: write(d, series()),
    "descending": lambda d: write(d, series(EVEN[::-1])),
    "feet first": lambda d: write(d, series(turn=rotation("y", 180))),
    "prone": lambda d: write(d, series(turn=rotation("z", 180))),
    "oblique": lambda d: write(d, series(tuple(np.arange(44) * 5.0), turn=rotation("x", 20) @ rotation("z", 10))),
    "pixels not square": lambda d: write(d, series(PixelSpacing=["3.5", "5"])),
    "corrected but tagged": lambda d: write(d, series(GantryDetectorTilt="15")),
}


def by_simpleitk(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    sitk = pytest.importorskip("SimpleITK")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine[:3] *= LPS_TO_RAS[:, None]
    return sitk.GetArrayFromImage(image).T.astype(np.float64), affine


def by_highdicom(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    volume = hd.get_volume_from_series([pydicom.dcmread(path) for path in folder.iterdir()])
    affine = np.array(volume.affine)
    affine[:3] *= LPS_TO_RAS[:, None]
    return np.asarray(volume.array, dtype=np.float64), affine


def by_dcm2niix(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    program = pytest.importorskip("dcm2niix").bin
    out = folder.parent / "niix"
    out.mkdir()
    subprocess.run([program, "-b", "n", "-z", "n", "-o", str(out), str(folder)], check=True, capture_output=True)
    (path,) = out.glob("*.nii")
    image = nib.load(path)
    return np.asarray(image.dataobj, dtype=np.float64), image.affine


@pytest.mark.parametrize(
    "reader", [by_simpleitk, by_highdicom, by_dcm2niix], ids=["SimpleITK", "highdicom", "dcm2niix"]
)
@pytest.mark.parametrize("name", FOLDERS)
def test_the_same_values_lie_at_the_same_places(
    tmp_path: Path, name: str, reader: Callable[[Path], tuple[np.ndarray, np.ndarray]]
) -> None:
    folder = FOLDERS[name](tmp_path / "ct")
    volume = read_series(folder)
    values, affine = reader(folder)
    assert sorted(values.shape) == sorted(volume.hu.shape)
    places = grid_points(volume.hu.shape, volume.affine)
    index = (places - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    np.testing.assert_allclose(index, np.rint(index), atol=0.02)  # one grid: no interpolation hides a difference
    found = map_coordinates(values, np.rint(np.moveaxis(index, -1, 0)), order=0, mode="constant", cval=np.nan)
    np.testing.assert_array_equal(found, volume.hu)
