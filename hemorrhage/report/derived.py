"""Measures that trials and clinics speak of, derived from a mask. Research use only; not for diagnosis.

Pure functions on arrays, and the callables that ``ScanWriter`` takes as ``measures``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import cdist

from hemorrhage.geometry import slice_axis, voxel_sizes_mm, voxel_volume_ml
from hemorrhage.report.scan_result import ScanResult
from hemorrhage.subtypes import BY_NAME, SUBTYPES

__all__ = [
    "VOLUME_FLAGS_ML",
    "DerivedMeasures",
    "abc_half",
    "compartment_volumes_ml",
    "flags_of",
    "side_volumes_ml",
    "thickness_mm",
]

# 30 mL: 30-day mortality (Broderick 1993); 60 mL: its upper class; 15 mL: residual after surgery (MISTIE III).
VOLUME_FLAGS_ML = (30.0, 60.0)
RESIDUAL_ML = 15.0
NOTICE = "derived measures are for research use only, not for diagnosis"


def side_volumes_ml(
    mask: np.ndarray, affine: np.ndarray, to_template: np.ndarray, subtypes: np.ndarray | None = None
) -> dict[str, dict[str, float]]:
    """Volume left and right of the template's midline, of all blood and of each subtype.

    Args:
        mask: (I, J, K), nonzero inside.
        affine: (4, 4) voxel index to RAS+ mm.
        to_template: (4, 4) RAS+ mm of the scan to those of the template, whose plane x = 0 is the midline.
        subtypes: (I, J, K) values of :mod:`hemorrhage.subtypes`, or None.

    Returns:
        ``{"any": {"left": mL, "right": mL}, ...}`` by abbreviation; zeros for what is not there.
    """
    index = np.argwhere(np.asarray(mask) > 0)
    x = (index @ affine[:3, :3].T + affine[:3, 3]) @ to_template[0, :3] + to_template[0, 3]
    one_ml = voxel_volume_ml(affine)

    def sides(chosen: np.ndarray) -> dict[str, float]:
        left = int(np.count_nonzero(x[chosen] < 0))
        return {"left": left * one_ml, "right": (int(np.count_nonzero(chosen)) - left) * one_ml}

    found = {"any": sides(np.ones(len(x), dtype=bool))}
    if subtypes is not None:
        kinds = np.asarray(subtypes)[tuple(index.T)]
        found |= {s.short: sides(kinds == s.index) for s in SUBTYPES}
    return found


def compartment_volumes_ml(
    mask: np.ndarray, affine: np.ndarray, to_template: np.ndarray, compartments: np.ndarray, map_affine: np.ndarray
) -> dict[str, float]:
    """Volume above and below the tentorium.

    Args:
        mask: (I, J, K), nonzero inside.
        affine: (4, 4) voxel index to RAS+ mm.
        to_template: (4, 4) RAS+ mm of the scan to those of the template.
        compartments: (A, B, C) map in the template's space, 2 for infratentorial; beyond its edge its edge counts.
        map_affine: (4, 4) its voxel index to RAS+ mm.

    Returns:
        "supratentorial" and "infratentorial" in mL.
    """
    index = np.argwhere(np.asarray(mask) > 0)
    into = np.linalg.inv(map_affine) @ to_template @ affine
    places = np.rint(index @ into[:3, :3].T + into[:3, 3]).astype(int)
    places = np.clip(places, 0, np.array(compartments.shape) - 1)
    below = int(np.count_nonzero(compartments[tuple(places.T)] == 2))
    one_ml = voxel_volume_ml(affine)
    return {"supratentorial": (len(index) - below) * one_ml, "infratentorial": below * one_ml}


def _corners(points: np.ndarray) -> np.ndarray:
    """The corners of the convex hull of points in a plane, or all of them where they lie on a line."""
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:
        return points


def abc_half(mask: np.ndarray, affine: np.ndarray) -> dict[str, float] | None:
    """ABC/2 of the largest connected bleed (Kothari et al., Stroke 1996).

    A is the largest diameter on the slice with the largest area, B the largest extent at right angles to it, C the
    number of slices times their distance, a slice counting in full from 75 % of the largest area on, half from 25 % on
    and not at all below.

    Args:
        mask: (I, J, K), nonzero inside.
        affine: (4, 4) voxel index to RAS+ mm.

    Returns:
        "a_mm", "b_mm", "c_mm" and "ml" (half their product), or None without blood.
    """
    labels, count = ndimage.label(np.asarray(mask) > 0, structure=np.ones((3, 3, 3)))
    if not count:
        return None
    axis, spacing = slice_axis(affine), voxel_sizes_mm(affine)
    sizes = np.bincount(labels.ravel())[1:]
    bleed = np.moveaxis(labels == 1 + int(sizes.argmax()), axis, -1)
    pixel = np.delete(spacing, axis)
    area = bleed.sum((0, 1))
    pixels = np.argwhere(bleed[:, :, area.argmax()])
    # From edge to edge: half a pixel beyond the centers on all sides.
    edges = np.concatenate([pixels + shift for shift in ((-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5))])
    corners = _corners(edges * pixel)
    distances = cdist(corners, corners)
    first, second = np.unravel_index(distances.argmax(), distances.shape)
    along = (corners[second] - corners[first]) / distances.max()
    across = corners @ np.array([-along[1], along[0]])
    share = area[area > 0] / area.max()
    slices = float((share >= 0.75).sum() + 0.5 * ((share >= 0.25) & (share < 0.75)).sum())
    a, b, c = float(distances.max()), float(np.ptp(across)), slices * float(spacing[axis])
    return {"a_mm": a, "b_mm": b, "c_mm": c, "ml": a * b * c / 2000.0}


def thickness_mm(mask: np.ndarray, affine: np.ndarray) -> float:
    """Largest thickness of a crescent or a lens: the diameter of the largest circle that fits into it on a slice.

    Args:
        mask: (I, J, K), nonzero inside.
        affine: (4, 4) voxel index to RAS+ mm.

    Returns:
        mm, exact for a band of whole pixels; 0 without blood.
    """
    inside = np.asarray(mask) > 0
    axis, spacing = slice_axis(affine), voxel_sizes_mm(affine)
    pixel = np.delete(spacing, axis)
    widest = 0.0
    for k in np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis))):
        part = np.take(inside, k, axis)
        where = np.argwhere(part)
        low, high = where.min(0), where.max(0) + 1
        # Half pixels make every band an even number of them wide, and its middle lies between two.
        fine = np.pad(part[low[0] : high[0], low[1] : high[1]].repeat(2, 0).repeat(2, 1), 1)
        widest = max(widest, 2 * float(ndimage.distance_transform_edt(fine, sampling=pixel / 2).max()))
    return widest


def flags_of(volume_ml: float) -> dict[str, bool]:
    """Whether a volume reaches 30 and 60 mL, and whether it is at most the 15 mL that MISTIE III aimed at."""
    reached = {f"at_least_{limit:g}_ml": bool(volume_ml >= limit) for limit in VOLUME_FLAGS_ML}
    return {**reached, f"at_most_{RESIDUAL_ML:g}_ml": bool(volume_ml <= RESIDUAL_ML)}


@lru_cache(maxsize=2)
def _map(path: str) -> tuple[np.ndarray, np.ndarray]:
    image: Any = nib.load(path)
    return np.asarray(image.dataobj).astype(np.uint8), np.asarray(image.affine, dtype=np.float64)


class DerivedMeasures:
    """Everything here as one measure of ``ScanWriter``: a dictionary under "derived" in the findings.

    What a scan cannot give is null: sides without a header that tells them, either side or compartment without a
    registration, thickness and ABC/2 of parenchymal blood without subtypes (ABC/2 is then that of the largest bleed).

    Args:
        compartments: ``models/compartments.nii.gz``.
    """

    def __init__(self, compartments: str) -> None:
        self.compartments = Path(compartments)

    def __call__(self, result: ScanResult) -> Mapping[str, object]:
        """The measures of one scan."""
        kinds, mask = result.subtypes, result.mask
        sides = above = None
        if result.to_template is not None:
            above = compartment_volumes_ml(mask, result.affine, result.to_template, *_map(str(self.compartments)))
            if result.sides_known:
                sides = side_volumes_ml(mask, result.affine, result.to_template, kinds)
        parenchymal = mask if kinds is None else kinds == BY_NAME["IPH"].index
        thickness = None
        if kinds is not None:
            thickness = {s: thickness_mm(kinds == BY_NAME[s].index, result.affine) for s in ("EDH", "SDH")}
        volume_ml = float(np.count_nonzero(mask) * voxel_volume_ml(result.affine))
        return {
            "derived": {
                "notice": NOTICE,
                "volume_ml_by_side": sides,
                "volume_ml_by_compartment": above,
                "abc_half": abc_half(parenchymal, result.affine),
                "abc_half_of": "largest bleed" if kinds is None else "largest parenchymal bleed",
                "planimetric_ml_of_it": _largest_ml(parenchymal, result.affine),
                "thickness_mm": thickness,
                "flags": flags_of(volume_ml),
            }
        }


def _largest_ml(mask: np.ndarray, affine: np.ndarray) -> float:
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    return float(np.bincount(labels.ravel())[1:].max() * voxel_volume_ml(affine)) if count else 0.0
