"""Which of a NIfTI header's statements about space is believed, and what is doubted aloud."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from hemorrhage.errors import ScanError, ScanWarning
from hemorrhage.geometry import rotation_angle_degrees, voxel_sizes_mm

__all__ = ["read_affine"]

_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_UNIT_NAMES = {1: "meters", 3: "micrometers"}
_SMALLEST_MM, _LARGEST_MM, _LONGEST_MM = 0.05, 30.0, 2500.0


def read_affine(
    header: nib.AnalyzeHeader, shape: tuple[int, int, int], path: Path, *, assume_ras: bool
) -> tuple[np.ndarray, list[ScanWarning]]:
    """The affine of a checked header, in mm.

    The sform is used where its code is set, else the qform, else the voxel sizes alone (NIfTI-1 standard, methods 3,
    2 and 1), always with a warning when the choice matters.

    Args:
        header: NIfTI-1, NIfTI-2 or Analyze header.
        shape: sizes of the volume.
        path: name for the errors.
        assume_ras: believe right, anterior, superior where no orientation is given.

    Returns:
        (4, 4) float64, voxel index to RAS+ mm, possibly sheared; and ``W_XFORM``, ``W_NO_ORIENTATION``, ``W_UNITS``.

    Raises:
        ScanError: ``E_AFFINE`` (not finite, no volume), ``E_UNITS`` (sizes that no CT has).
    """
    warnings = []
    pixdim = np.asarray(header["pixdim"][1:4], dtype=np.float64)
    if not np.isfinite(pixdim).all() or (pixdim == 0.0).any():
        raise _bad_affine(path, f"the header's voxel sizes are {_shown(pixdim)}")
    if (pixdim < 0.0).any():
        warnings.append(ScanWarning("W_XFORM", f"Negative voxel sizes {_shown(pixdim)} were taken as positive."))
        pixdim = np.abs(pixdim)
    if isinstance(header, nib.Nifti1Header):
        affine, choice_warnings = _stated_affine(header, pixdim, shape, path, assume_ras)
        units = int(header["xyzt_units"]) & 7
    else:
        affine, units = np.diag([*pixdim, 1.0]), 0
        choice_warnings = [_no_orientation(assume_ras)]
    warnings += choice_warnings
    affine[:3] *= _MM_PER_UNIT.get(units, 1.0)
    if units in _UNIT_NAMES:
        warnings.append(ScanWarning("W_UNITS", f"The header counts in {_UNIT_NAMES[units]}; converted to mm."))
    _check_sizes(affine, shape, path)
    return affine, warnings


def _stated_affine(
    header: nib.Nifti1Header, pixdim: np.ndarray, shape: tuple[int, int, int], path: Path, assume_ras: bool
) -> tuple[np.ndarray, list[ScanWarning]]:
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    qform = _qform(header, pixdim) if qform_code > 0 else None
    if sform_code > 0:
        sform = np.asarray(header.get_sform(), dtype=np.float64)
        if not np.isfinite(sform).all():
            raise _bad_affine(path, "the sform holds NaN or infinity")
        _check_volume(sform, path, "sform")
        return sform, _disagreement(sform, qform, qform_code, pixdim, shape)
    if qform_code > 0:
        if qform is None:
            raise _bad_affine(path, "the qform's quaternion is not a rotation")
        return qform, [ScanWarning("W_XFORM", "The header has no sform; its qform was used.")]
    return np.diag([*pixdim, 1.0]), [_no_orientation(assume_ras)]


def _qform(header: nib.Nifti1Header, pixdim: np.ndarray) -> np.ndarray | None:
    """The qform with mended voxel sizes, or None if its quaternion is not one."""
    mended = header.copy()
    mended["pixdim"][1:4] = pixdim
    if mended["pixdim"][0] not in (-1.0, 1.0):
        mended["pixdim"][0] = 1.0  # the standard: a qfac that is not set counts as 1
    try:
        qform = np.asarray(mended.get_qform(), dtype=np.float64)
    except (ValueError, nib.spatialimages.HeaderDataError):
        return None
    return qform if np.isfinite(qform).all() else None


def _disagreement(
    sform: np.ndarray, qform: np.ndarray | None, qform_code: int, pixdim: np.ndarray, shape: tuple[int, int, int]
) -> list[ScanWarning]:
    warnings = []
    sizes = voxel_sizes_mm(sform)
    if not np.allclose(sizes, pixdim, rtol=0.01):
        warnings.append(
            ScanWarning(
                "W_XFORM",
                f"Voxels are {_shown(sizes)} mm by the sform, {_shown(pixdim)} by pixdim; the sform was used.",
            )
        )
    if qform_code <= 0:
        return warnings
    if qform is None:
        return [*warnings, ScanWarning("W_XFORM", "The qform is not a rotation; the sform was used.")]
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), axis=-1).reshape(-1, 3)
    apart = np.linalg.norm(nib.affines.apply_affine(sform - qform, corners), axis=1).max()
    if apart > 0.5:
        turn = np.linalg.inv(qform[:3, :3] / voxel_sizes_mm(qform)) @ (sform[:3, :3] / sizes)
        # A mirrored pair is no rotation: its angle is then that of the mirror seen as a half turn.
        angle = 180.0 if np.linalg.det(turn) < 0 else rotation_angle_degrees(turn)
        warnings.append(
            ScanWarning(
                "W_XFORM",
                f"sform and qform place a corner {apart:.1f} mm apart (angle {angle:.1f} degrees); the sform was used.",
                numbers={"angle_degrees": angle, "corner_mm": float(apart)},
            )
        )
    return warnings


def _no_orientation(assume_ras: bool) -> ScanWarning:
    if assume_ras:
        text = "The header names no orientation; the axes were taken as right, anterior, superior, as asked."
    else:
        text = (
            "The header names no orientation: left and right are unknown and not reported "
            "(--assume_ras True takes right, anterior, superior)."
        )
    return ScanWarning("W_NO_ORIENTATION", text, numbers={"assumed_ras": float(assume_ras)})


def _check_volume(affine: np.ndarray, path: Path, name: str) -> None:
    sizes = voxel_sizes_mm(affine)
    if (sizes == 0.0).any() or abs(np.linalg.det(affine[:3, :3])) < 1e-3 * float(np.prod(sizes)):
        raise _bad_affine(path, f"the voxels of the {name} have edges of {_shown(sizes)} and no volume")


def _check_sizes(affine: np.ndarray, shape: tuple[int, int, int], path: Path) -> None:
    sizes = voxel_sizes_mm(affine)
    lengths = sizes * shape
    if sizes.min() < _SMALLEST_MM or sizes.max() > _LARGEST_MM or lengths.max() > _LONGEST_MM:
        raise ScanError(
            "E_UNITS",
            path,
            f"voxels of {_shown(sizes)} mm, {_shown(lengths)} mm in all, are not those of a head CT",
            "Correct the header's units or voxel sizes.",
        )


def _shown(numbers: np.ndarray) -> str:
    return " x ".join(f"{n:.4g}" for n in numbers)


def _bad_affine(path: Path, cause: str) -> ScanError:
    return ScanError("E_AFFINE", path, cause, "Export the scan again, or correct its header.")
