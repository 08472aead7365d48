"""How many mL of each subtype."""

from __future__ import annotations

import numpy as np

from hemorrhage.geometry import voxel_volume_ml
from hemorrhage.subtypes import SUBTYPES

__all__ = ["subtype_volumes_ml"]


def subtype_volumes_ml(labels: np.ndarray, affine: np.ndarray) -> dict[str, float]:
    """Volume of each subtype of a label map, by its abbreviation; 0.0 for those that are not there.

    Args:
        labels: (I, J, K) with the values of :mod:`hemorrhage.subtypes`.
        affine: (4, 4) voxel index to RAS+ mm.
    """
    counts = np.bincount(labels.ravel(), minlength=len(SUBTYPES) + 1)
    return {s.short: float(counts[s.index] * voxel_volume_ml(affine)) for s in SUBTYPES}
