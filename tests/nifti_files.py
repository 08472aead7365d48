"""What tests of NIfTI files share: a head whose voxels are known, written rightly and wrongly."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from analytic_head import centered_affine, grid_points, hu_at

from hemorrhage.errors import ScanError
from hemorrhage.nifti import read_nifti
from hemorrhage.volume import Volume

SHAPE = (48, 56, 38)
STEPS = np.diag([4.0, 4.0, 5.0])
AFFINE = centered_affine(SHAPE, STEPS)
HEAD = hu_at(grid_points(SHAPE, AFFINE)).astype(np.int16)


def image(
    data: np.ndarray = HEAD,
    affine: np.ndarray = AFFINE,
    kind: type[nib.Nifti1Image] = nib.Nifti1Image,
    **fields: object,
) -> nib.Nifti1Image:
    made = kind(data, affine)
    made.header.set_xyzt_units("mm")
    made.set_qform(affine, 1)
    made.set_sform(affine, 1)
    for name, value in fields.items():
        made.header[name] = value
    return made


def written(folder: Path, made: nib.Nifti1Image | None = None, name: str = "head.nii.gz") -> Path:
    path = folder / name
    nib.save(made or image(), path)
    return path


def patched(folder: Path, field: str, value: object, made: nib.Nifti1Image | None = None, **more: object) -> Path:
    """An uncompressed file whose header was changed behind nibabel's back."""
    path = written(folder, made, "head.nii")
    raw = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(raw[:348]), check=False)
    for key, entry in {field: value, **more}.items():
        header[key] = entry
    raw[:348] = header.binaryblock
    path.write_bytes(raw)
    return path


def codes(volume: Volume) -> list[str]:
    return [warning.code for warning in volume.warnings]


def assert_exact(volume: Volume, affine: np.ndarray) -> None:
    """Every voxel holds what the head has where the result's own affine puts it, and that is where the file put it."""
    assert volume.hu.dtype == np.float32
    np.testing.assert_allclose(volume.affine, affine, atol=1e-4)
    np.testing.assert_array_equal(volume.hu, hu_at(grid_points(volume.hu.shape, volume.affine)).astype(np.float32))


def sampled(steps: np.ndarray, shape: tuple[int, int, int]) -> nib.Nifti1Image:
    affine = image(affine=centered_affine(shape, steps)).affine  # through float32, as a file holds it
    return image(hu_at(grid_points(shape, affine)).astype(np.int16), affine)


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def expect_error(path: Path, code: str, **options: float) -> ScanError:
    with pytest.raises(ScanError) as caught:
        read_nifti(path, **options)
    assert caught.value.code == code
    line = str(caught.value)
    assert line.startswith(f"error[{code}] ")
    assert "\n" not in line
    return caught.value
