"""A brain mask with a margin, for networks that want to see the skull that blood lies against."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from scipy import ndimage

from hemorrhage.geometry import voxel_sizes_mm
from hemorrhage.transforms.meta import with_meta_of

__all__ = ["BrainMargind", "widened_in_plane"]


def widened_in_plane(mask: np.ndarray, pixel_mm: tuple[float, float], margin_mm: float) -> np.ndarray:
    """Add every pixel within ``margin_mm`` of the mask on its own slice.

    Args:
        mask: (I, J, K) bool.
        pixel_mm: size of a pixel along I and J.
        margin_mm: a distance between centers of pixels; 0 adds nothing.

    Returns:
        (I, J, K) bool.
    """
    out = mask.copy()
    for k in np.flatnonzero(mask.any((0, 1))):
        out[..., k] = ndimage.distance_transform_edt(~mask[..., k], sampling=pixel_mm) <= margin_mm
    return out


class BrainMargind(MapTransform):
    """Widen masks by a margin within each slice; slices without brain stay empty.

    Args:
        keys: (1, I, J, K) ``MetaTensor`` masks, slices along the last axis.
        margin_mm: width of the margin.
        allow_missing_keys: skip keys that are missing.
    """

    def __init__(self, keys: KeysCollection, margin_mm: float, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        if margin_mm < 0:
            raise ValueError(f"margin_mm must not be negative, got {margin_mm}")
        self.margin_mm = margin_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with wider masks."""
        d = dict(data)
        if self.margin_mm == 0:
            return d
        for key in self.key_iterator(d):
            mask: MetaTensor = d[key]
            first, second, _ = voxel_sizes_mm(np.asarray(mask.affine))
            wide = widened_in_plane(mask.as_tensor()[0].cpu().numpy() > 0, (first, second), self.margin_mm)
            d[key] = with_meta_of(mask, torch.from_numpy(wide)[None].to(dtype=mask.dtype, device=mask.device))
        return d
