"""How many mL of each subtype."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hemorrhage.dicom.slice_map import SliceMap
from hemorrhage.errors import ScanWarning
from hemorrhage.geometry import voxel_volume_ml
from hemorrhage.subtypes import SUBTYPES, Subtype

__all__ = ["native_volumes_ml", "subtype_volumes_ml", "volume_doubts"]

# Both beyond these, two volumes of one result are two answers.
_APART_ML, _APART_SHARE = 1.0, 0.2


def subtype_volumes_ml(labels: np.ndarray, affine: np.ndarray) -> dict[str, float]:
    """Volume of each subtype of a label map, by its abbreviation; 0.0 for those that are not there.

    Args:
        labels: (I, J, K) with the values of :mod:`hemorrhage.subtypes`.
        affine: (4, 4) voxel index to RAS+ mm.
    """
    counts = np.bincount(labels.ravel(), minlength=len(SUBTYPES) + 1)
    return {s.short: float(counts[s.index] * voxel_volume_ml(affine)) for s in SUBTYPES}


def native_volumes_ml(slice_map: SliceMap, native: np.ndarray, segments: Sequence[Subtype]) -> dict[str, float]:
    """Volume of each segment on the slices that were scanned: its area times half the distance to each neighbor.

    Args:
        slice_map: of the slices.
        native: (columns, rows, N) labels of :func:`hemorrhage.dicom.carry_back.labels_on_slices`.
        segments: whose ``index`` are the labels.

    Returns:
        mL by abbreviation.
    """
    return {s.short: slice_map.integrate_ml(native == s.index) for s in segments}


def volume_doubts(on_grid_ml: float, native_ml: float) -> list[ScanWarning]:
    """``W_VOLUMES`` if the volume on the result's grid and that on the scanned slices are far apart, else nothing.

    The grid of leaning or unequal slices is interpolated; where a network answers otherwise between two thick slices
    than on them, neither volume can be defended.

    Args:
        on_grid_ml: voxels of the mask times their volume.
        native_ml: areas on the slices times half the distance to each neighbor.
    """
    apart = abs(on_grid_ml - native_ml)
    if apart <= max(_APART_ML, _APART_SHARE * max(on_grid_ml, native_ml)):
        return []
    text = (
        f"The blood measures {on_grid_ml:.1f} mL on the result's grid and {native_ml:.1f} mL on the slices that were "
        "scanned: look at both before you use either."
    )
    return [ScanWarning("W_VOLUMES", text, (), {"volume_ml": on_grid_ml, "volume_ml_native": native_ml})]
