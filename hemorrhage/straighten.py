"""Parallel slices at any positions to an orthogonal grid: shear undone by shifting, unequal gaps by interpolation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hemorrhage.errors import ScanError, ScanWarning
from hemorrhage.geometry import shear_degrees, voxel_sizes_mm
from hemorrhage.hounsfield import AIR_HU

__all__ = ["ORTHOGONAL_DEGREES", "shift_slices", "straighten_sheared"]

# 0.16 mm over the height of a head: the rounding of float32 headers, not a tilt.
ORTHOGONAL_DEGREES = 0.05
_STEEPEST_DEGREES = 50.0


def shift_slices(hu: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put every slice where its header says, on one grid that holds them all.

    Args:
        hu: (I, J, K), slices along the last axis.
        offsets: (K, 2) where voxel (0, 0) of each slice lies, in voxels along I and J, on the common grid.

    Returns:
        The shifted slices, (I', J', K), linear between voxels and air where nothing was scanned; and the (2,) whole
        numbers by which the origin of the new grid lies before the common one (at most 0).
    """
    for axis in (0, 1):
        hu, first = _shift_along(hu, offsets[:, axis], axis)
        if axis == 0:
            first_row = first
    return hu, np.array([first_row, first])


def _shift_along(hu: np.ndarray, offsets: np.ndarray, axis: int) -> tuple[np.ndarray, int]:
    # Offsets come from decimal strings: what is a whole number within a thousandth of a voxel must stay exact.
    offsets = np.where(np.abs(offsets - np.round(offsets)) < 1e-3, np.round(offsets), offsets)
    whole = np.floor(offsets).astype(int)
    part = offsets - whole
    if not whole.any() and not part.any():
        return hu, 0
    first = int(whole.min())
    size = hu.shape[axis]
    shape = list(hu.shape)
    shape[axis] = size + int(np.ceil(offsets).max()) - first
    moved = np.full(shape, AIR_HU, dtype=hu.dtype, order="F")
    for k in range(hu.shape[2]):
        source = np.moveaxis(hu[:, :, k], axis, 0)
        target = np.moveaxis(moved[:, :, k], axis, 0)
        start, weight = int(whole[k]) - first, hu.dtype.type(part[k])
        if weight == 0:
            target[start : start + size] = source
            continue
        beyond = np.full((1, source.shape[1]), AIR_HU, dtype=hu.dtype)
        padded = np.concatenate([beyond, source, beyond])
        target[start : start + size + 1] = weight * padded[:-1] + (1 - weight) * padded[1:]
    return moved, first


def straighten_sheared(
    hu: np.ndarray, affine: np.ndarray, path: Path
) -> tuple[np.ndarray, np.ndarray, list[ScanWarning]]:
    """Bring a volume with a sheared affine, such as an uncorrected gantry tilt, to an orthogonal grid.

    Args:
        hu: (I, J, K) float32 in HU.
        affine: (4, 4), voxel index to RAS+ mm.
        path: name for the error.

    Returns:
        Volume, affine and ``W_SHEAR`` with the angle; the same volume and affine if they are orthogonal already.

    Raises:
        ScanError: ``E_AFFINE`` if no two axes are at right angles, or the shear is over 50 degrees.
    """
    degrees = shear_degrees(affine)
    if degrees <= ORTHOGONAL_DEGREES:
        return hu, affine, []
    axes = affine[:3, :3] / voxel_sizes_mm(affine)
    # The slices are planes of two axes at right angles; the third axis leans. Where two planes qualify, the slices are
    # those that lie farther apart, and the last axis if the distances are equal.
    planes = {lean: tuple(axis for axis in range(3) if axis != lean) for lean in range(3)}
    off = {k: np.degrees(np.arcsin(abs(float(axes[:, a] @ axes[:, b])))) for k, (a, b) in planes.items()}
    rectangular = [k for k in planes if off[k] <= ORTHOGONAL_DEGREES]
    if not rectangular or degrees > _STEEPEST_DEGREES:
        raise ScanError(
            "E_AFFINE",
            path,
            f"the grid is sheared by {degrees:.1f} degrees; its most rectangular plane by {min(off.values()):.2f}",
            "Resample the scan onto a rectangular grid.",
        )
    sizes = voxel_sizes_mm(affine)
    lean = max(rectangular, key=lambda k: (round(float(sizes[k]), 3), k))
    one, two = planes[lean]
    step = affine[:3, lean]
    normal = np.cross(axes[:, one], axes[:, two])
    normal *= np.sign(normal @ step)
    per_slice = np.array([step @ axes[:, one] / sizes[one], step @ axes[:, two] / sizes[two]])
    offsets = np.arange(hu.shape[lean])[:, None] * per_slice
    moved, first = shift_slices(np.moveaxis(hu, (one, two, lean), (0, 1, 2)), offsets)
    straight = affine.copy()
    straight[:3, lean] = normal * (normal @ step)
    straight[:3, 3] += first[0] * affine[:3, one] + first[1] * affine[:3, two]
    warning = ScanWarning(
        "W_SHEAR",
        f"The grid leans by {degrees:.1f} degrees; its slices were shifted onto an orthogonal grid.",
        numbers={"shear_degrees": degrees},
    )
    return np.ascontiguousarray(np.moveaxis(moved, (0, 1, 2), (one, two, lean))), straight, [warning]
