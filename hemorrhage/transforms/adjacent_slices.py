"""Neighboring slices as channels, for 2D networks that see a little of the third dimension.

Kuo et al. 2018, "Implementation Details": the slice between its upper and lower neighbors; slices at the ends repeat
themselves.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, RandomizableTransform

from hemorrhage.errors import ScanWarning, add_warnings
from hemorrhage.geometry import voxel_sizes_mm
from hemorrhage.transforms.meta import with_meta_of

__all__ = ["AdjacentSlicesd", "RandSingleSliced", "ThickSlicesd", "neighbor_indices", "neighbor_step", "thick_slices"]


def neighbor_step(spacing_mm: float, distance_mm: float | None, farthest_mm: float) -> int:
    """How many slices away the neighbors of a slice are.

    Args:
        spacing_mm: distance between slices.
        distance_mm: wanted distance of the neighbors; None takes the adjacent slices.
        farthest_mm: beyond this a slice says nothing about its neighbor.

    Returns:
        a number of slices, 0 where even adjacent slices are too far apart.
    """
    if spacing_mm > farthest_mm:
        return 0
    return 1 if distance_mm is None else max(1, round(distance_mm / spacing_mm))


def neighbor_indices(count: int, step: int) -> np.ndarray:
    """(count, 3) indices of the slice ``step`` before, the slice itself and the slice ``step`` after.

    A neighbor that would lie beyond the scan is replaced by the slice itself.
    """
    k = np.arange(count)
    before, after = k - step, k + step
    return np.stack([np.where(before < 0, k, before), k, np.where(after >= count, k, after)], 1)


def thick_slices(volume: torch.Tensor, count: int) -> torch.Tensor:
    """Running mean of ``count`` slices (odd) along the last axis; fewer at the ends, where slices are missing."""
    reach = count // 2
    total = torch.zeros_like(volume)
    weight = volume.new_zeros(volume.shape[-1])
    for shift in range(-reach, reach + 1):
        low, high = max(0, -shift), min(volume.shape[-1], volume.shape[-1] - shift)
        if low < high:
            total[..., low:high] += volume[..., low + shift : high + shift]
            weight[low:high] += 1
    return total / weight


def _spacing_mm(image: MetaTensor) -> float:
    return float(voxel_sizes_mm(np.asarray(image.affine))[2])


class ThickSlicesd(MapTransform):
    """Average thin slices over about ``slab_mm``, on the same grid, so that they are as noisy as thick ones.

    Args:
        keys: (C, I, J, K) ``MetaTensor``, slices along the last axis.
        slab_mm: length of the mean along the slice axis; None leaves slices as they are.
        allow_missing_keys: skip keys that are missing.
    """

    def __init__(
        self, keys: KeysCollection = "image", slab_mm: float | None = None, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.slab_mm = slab_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with thick slices."""
        d = dict(data)
        for key in self.key_iterator(d):
            reach = 0 if self.slab_mm is None else round((self.slab_mm / _spacing_mm(d[key]) - 1) / 2)
            if reach > 0:
                d[key] = with_meta_of(d[key], thick_slices(d[key].as_tensor(), 2 * reach + 1))
        return d


class AdjacentSlicesd(MapTransform):
    """Put the neighbors of each slice beside it as channels: (1, I, J, K) becomes (3, I, J, K).

    A single slice is its own neighbor. Slices too far apart are as well, and the image's meta data says so
    (``W_SLICE_DISTANCE``). Not a spatial change: nothing is traced.

    Args:
        keys: ``MetaTensor`` with slices along the last axis.
        distance_mm: wanted distance of the neighbors, for thin slices; None takes the adjacent ones, as in the paper.
        farthest_mm: spacing beyond which a slice is its own neighbor.
        allow_missing_keys: skip keys that are missing.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        distance_mm: float | None = None,
        farthest_mm: float = 10.0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.distance_mm = distance_mm
        self.farthest_mm = farthest_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with three channels under each key.

        Raises:
            ValueError: if an image does not have one channel and three axes.
        """
        d = dict(data)
        for key in self.key_iterator(d):
            image: MetaTensor = d[key]
            if image.ndim != 4 or image.shape[0] != 1:
                raise ValueError(f"neighbors need an image of shape (1, I, J, K), got {tuple(image.shape)}")
            spacing, count = _spacing_mm(image), image.shape[-1]
            step = neighbor_step(spacing, self.distance_mm, self.farthest_mm)
            columns = torch.from_numpy(neighbor_indices(count, step).T)
            d[key] = with_meta_of(image, torch.cat([image.as_tensor()[..., column] for column in columns]))
            if step == 0 and count > 1:
                text = f"Slices lie {spacing:.1f} mm apart: each was read without its neighbors."
                add_warnings(
                    d[key].meta, [ScanWarning("W_SLICE_DISTANCE", text, numbers={"distance_mm": round(spacing, 2)})]
                )
        return d


class RandSingleSliced(RandomizableTransform, MapTransform):
    """Now and then replace the neighbors of a slice by the slice itself, as a single slice comes to the network.

    Args:
        keys: (3, I, J), the slice in the middle.
        prob: how often.
        allow_missing_keys: skip keys that are missing.
    """

    def __init__(self, keys: KeysCollection = "image", prob: float = 0.1, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data``, perhaps without neighbors."""
        d = dict(data)
        self.randomize(None)
        if self._do_transform:
            for key in self.key_iterator(d):
                d[key] = d[key][len(d[key]) // 2][None].expand_as(d[key]).clone()
        return d
