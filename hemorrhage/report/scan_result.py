"""What was found in one scan, as every measure of it is handed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hemorrhage.dicom.slice_map import SliceMap

__all__ = ["ScanResult"]


@dataclass(frozen=True)
class ScanResult:
    """One scan with what was found in it, all arrays on the scan's own grid.

    Attributes:
        name: name of the result.
        hu: (I, J, K) float32, the scan.
        brain: (I, J, K) bool, the space that was searched.
        probability: (I, J, K) float32 of any hemorrhage, before any threshold.
        mask: (I, J, K) bool, the reported hemorrhage.
        subtypes: (I, J, K) uint8 with the values of :mod:`hemorrhage.subtypes`, nonzero where ``mask`` is; None where
            the network names no subtype.
        affine: (4, 4) voxel index to RAS+ mm.
        to_template: (4, 4) RAS+ mm of the scan to those of the template; None where the scan was not registered.
        sides_known: whether the affine can tell left from right.
        slice_map: between this grid and the slices of the scanner; None for a scan that did not come as DICOM.
        data: the evaluator's batch and output, for what is not listed here.
    """

    name: str
    hu: np.ndarray
    brain: np.ndarray
    probability: np.ndarray
    mask: np.ndarray
    subtypes: np.ndarray | None
    affine: np.ndarray
    to_template: np.ndarray | None
    sides_known: bool
    slice_map: SliceMap | None
    data: Mapping[str, Any]
