"""A mask drawn on another grid than its scan is refused."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform

from hemorrhage.errors import ScanError

__all__ = ["CheckSameGridd"]

# A header stores float32: positions of a large field of view differ by some micrometers after a round trip.
_TOLERANCE_MM = 1e-2


class CheckSameGridd(MapTransform):
    """Raise unless all keys share the shape and the affine of the first.

    Training tools that only warn about this train on shifted or mirrored masks.

    Args:
        keys: MetaTensors (C, I, J, K), the scan first.
        allow_missing_keys: skip masks that are missing.

    Raises:
        ScanError: E_GRID with both shapes, or the largest distance between two corners in mm.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Check ``data`` and return its items unchanged."""
        d = dict(data)
        scan = d[self.first_key(d)]
        scan_name = Path(str(scan.meta.get("filename_or_obj", "scan"))).name
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in scan.shape[1:]])).reshape(3, -1)
        for key in self.key_iterator(d):
            other = d[key]
            name = Path(str(other.meta.get("filename_or_obj", key))).name
            remedy = f"Draw the mask on the grid of {scan_name} and keep its header."
            if other.shape[1:] != scan.shape[1:]:
                raise ScanError(
                    "E_GRID",
                    name,
                    f"its shape {tuple(other.shape[1:])} is not that of {scan_name}, {tuple(scan.shape[1:])}",
                    remedy,
                )
            difference = np.asarray(other.affine - scan.affine, dtype=np.float64)
            apart = np.linalg.norm(difference[:3, :3] @ corners + difference[:3, 3:], axis=0).max()
            if not apart <= _TOLERANCE_MM:
                raise ScanError("E_GRID", name, f"it lies up to {apart:.2f} mm off {scan_name}", remedy)
        return d
