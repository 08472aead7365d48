"""Slices at another pixel size, and back by MONAI's own tracing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import TraceKeys, ensure_tuple_rep
from torch.nn import functional

from hemorrhage.geometry import voxel_sizes_mm
from hemorrhage.transforms.meta import with_meta_of

__all__ = ["PixelSized", "resized_slices"]

_MODES = ("area", "nearest-exact", "bilinear")


def resized_slices(image: torch.Tensor, size: Sequence[int], mode: str) -> torch.Tensor:
    """Resize the first two spatial axes.

    Args:
        image: (C, I, J, K).
        size: new I and J.
        mode: "area" averages what a pixel covers, each old one by the share that lies within, "nearest-exact" for
            labels, "bilinear" to enlarge.

    Returns:
        (C, *size, K) of the same type.
    """
    slices = image.permute(3, 0, 1, 2).float()
    if mode == "area":
        first, second = (_coverage(old, new).to(slices) for old, new in zip(image.shape[1:3], size, strict=True))
        small = first @ slices @ second.T
    else:
        small = functional.interpolate(slices, size=tuple(size), mode=mode)
    return small.permute(1, 2, 3, 0).to(image.dtype).contiguous()


def _coverage(old: int, new: int) -> torch.Tensor:
    """(new, old) share that each of ``old`` pixels has of each of ``new`` on the same length; rows add up to 1.

    ``functional.interpolate`` averages whole pixels alone, any that a larger one touches: three instead of two for one
    of twice their size and a little, two instead of one for one of nearly the same.
    """
    edges = torch.arange(new + 1, dtype=torch.float64) * old / new
    pixels = torch.arange(old, dtype=torch.float64)
    upper = torch.minimum(edges[1:, None], pixels + 1)
    lower = torch.maximum(edges[:-1, None], pixels)
    return (upper - lower).clamp(min=0) * new / old


class PixelSized(MapTransform, InvertibleTransform):
    """Bring slices to one pixel size; the slice axis keeps its own.

    The field of view stays; its sides are rounded to whole pixels. ``Invertd`` brings a prediction back, linearly.

    Args:
        keys: (C, I, J, K) ``MetaTensor``, slices along the last axis.
        pixel_mm: wanted pixel size; None leaves everything as it is.
        mode: of each key, see :func:`resized_slices`.
        allow_missing_keys: skip keys that are missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        pixel_mm: float | None = None,
        mode: str | Sequence[str] = "area",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.pixel_mm = pixel_mm
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        if any(m not in _MODES for m in self.mode):
            raise ValueError(f"mode must be one of {_MODES}, got {self.mode}")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` at the wanted pixel size."""
        d = dict(data)
        if self.pixel_mm is None:
            return d
        for key, mode in self.key_iterator(d, self.mode):
            image: MetaTensor = d[key]
            affine = image.affine.to(torch.float64)
            old = tuple(image.shape[1:3])
            sizes = voxel_sizes_mm(affine.numpy())
            new = tuple(max(1, round(n * mm / self.pixel_mm)) for n, mm in zip(old, sizes[:2], strict=True))
            out = with_meta_of(image, resized_slices(image.as_tensor(), new, mode))
            out.affine = affine @ torch.from_numpy(_rescaling(old, new))
            d[key] = self.push_transform(out, orig_size=old, extra_info={"affine": affine})
        return d

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Bring what has the wanted pixel size back to its own."""
        d = dict(data)
        if self.pixel_mm is None:
            return d
        for key in self.key_iterator(d):
            image = d[key]
            traced = self.pop_transform(image)
            size = [int(n) for n in traced[TraceKeys.ORIG_SIZE]]
            out = with_meta_of(image, resized_slices(image.as_tensor(), size, "bilinear"))
            out.affine = torch.as_tensor(traced[TraceKeys.EXTRA_INFO]["affine"], dtype=torch.float64).cpu()
            d[key] = out
        return d


def _rescaling(old: Sequence[int], new: Sequence[int]) -> np.ndarray:
    """Index of the new grid to index of the old, both covering the same field."""
    matrix = np.eye(4)
    for axis in (0, 1):
        ratio = old[axis] / new[axis]
        matrix[axis, axis] = ratio
        matrix[axis, 3] = (ratio - 1) / 2
    return matrix
