"""From an even grid back to the slices that a scanner made, for networks that read slices one by one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import TraceKeys

from hemorrhage.reader import slice_map_of
from hemorrhage.transforms.meta import with_meta_of

__all__ = ["AcquiredSlicesd"]


class AcquiredSlicesd(MapTransform, InvertibleTransform):
    """Keep one slice of the grid for each slice of a series whose distances are unequal.

    The reader repeats acquired slices on an even grid (``blend: false``); here the copies go, and the scan's slices
    are each other's neighbors again. The new slice distance is the median of theirs. ``Invertd`` gives each slice of
    the grid the prediction of the acquired slice it repeats. Scans that came on an even grid stay as they are.

    Args:
        keys: (C, I, J, K) ``MetaTensor`` on the grid of ``image_key``, slices along the last axis, as they were read.
        image_key: the scan, whose meta data knows its slices.
        allow_missing_keys: skip keys that are missing.
    """

    def __init__(self, keys: KeysCollection, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` on the acquired slices."""
        d = dict(data)
        kept, copy_of, spacing_mm = _acquired(d[self.image_key])
        for key in self.key_iterator(d):
            image: MetaTensor = d[key]
            affine = image.affine.to(torch.float64)
            extra = {"affine": affine, "copy_of": copy_of}
            out = image
            if kept is not None:
                out = with_meta_of(image, image.as_tensor()[..., torch.from_numpy(kept)].contiguous())
                along = affine.clone()
                along[:3, 2] *= spacing_mm / along[:3, 2].norm()
                out.affine = along
            d[key] = self.push_transform(out, orig_size=tuple(image.shape[1:]), extra_info=extra)
        return d

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Repeat slices where the grid repeats them."""
        d = dict(data)
        for key in self.key_iterator(d):
            image: MetaTensor = d[key]
            extra = self.pop_transform(image)[TraceKeys.EXTRA_INFO]
            if extra["copy_of"] is not None:
                copy_of = torch.as_tensor(extra["copy_of"]).cpu().long()
                image = with_meta_of(image, image.as_tensor()[..., copy_of].contiguous())
                image.affine = torch.as_tensor(extra["affine"], dtype=torch.float64).cpu()
            d[key] = image
        return d


def _acquired(image: MetaTensor) -> tuple[np.ndarray | None, np.ndarray | None, float]:
    """Slices of the grid to keep, the kept one that each repeats, and their distance; None where all are to be kept."""
    slice_map = slice_map_of(image.meta)
    if slice_map is None or slice_map.blended or slice_map.count != image.shape[-1]:
        return None, None, 0.0
    source = slice_map.nearest()
    acquired, kept, copy_of = np.unique(source, return_index=True, return_inverse=True)
    if len(kept) == len(source):
        return None, None, 0.0
    return kept, copy_of, float(np.median(np.diff(slice_map.distances_mm[acquired]))) if len(kept) > 1 else 0.0
