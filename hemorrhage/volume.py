"""One head CT in memory: the value that every reader returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hemorrhage.errors import ScanWarning

__all__ = ["HU_MAX", "HU_MIN", "MAX_VOXELS", "Volume"]

HU_MIN = -1024
HU_MAX = 3071
# Two thousand slices of 512 x 512: ten times a thin head CT.
MAX_VOXELS = 512 * 512 * 2000


@dataclass(frozen=True)
class Volume:
    """A scan in Hounsfield units whose geometry was checked.

    Attributes:
        hu: (I, J, K) float32, within [HU_MIN, HU_MAX] (DeepBleed, "Image Processing": 12-bit range of CT).
        affine: (4, 4) float64, voxel index to RAS+ mm, orthogonal columns.
        warnings: everything that was corrected or is in doubt.
        source: plain values that the record of a result keeps (format, counts); never text from a header that could
            name a patient.
    """

    hu: np.ndarray
    affine: np.ndarray
    warnings: tuple[ScanWarning, ...] = ()
    source: dict[str, Any] = field(default_factory=dict)
