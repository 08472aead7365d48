"""Elastic deformation within the axial plane."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Rand2DElasticd, RandomizableTransform

__all__ = ["RandElasticInPlaned"]


class RandElasticInPlaned(RandomizableTransform, MapTransform):
    """The same smooth deformation of every slice, none across slices.

    DeepBleed ("Training"): random elastic deformation without a z component. MONAI's ``Rand3DElasticd`` always has
    one; its 2D form does the work here, with the slices as channels.

    Args:
        keys: (C, I, J, K) tensors on one grid, K the slices.
        spacing: distance of the control points in voxels.
        magnitude: least and largest standard deviation of their displacement in voxels.
        prob: share of cases that are deformed.
        mode: interpolation of each key, "bilinear" for images and "nearest" for masks.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spacing: float = 16.0,
        magnitude: tuple[float, float] = (0.5, 2.0),
        prob: float = 0.5,
        mode: str | Sequence[str] = "bilinear",
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)  # MONAI's would resample the cases that it does not deform too
        self.elastic = Rand2DElasticd(keys, (spacing, spacing), magnitude, prob=1.0, mode=mode, padding_mode="zeros")

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandElasticInPlaned:
        """Seed this transform and the one that it uses."""
        super().set_random_state(seed, state)
        self.elastic.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Deform all keys alike."""
        d = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return d
        bent = self.elastic({key: _slices_as_channels(d[key]) for key in self.key_iterator(d)})
        for key in self.key_iterator(d):
            out = _channels_as_slices(torch.as_tensor(bent[key]), d[key])
            d[key] = MetaTensor(out, meta=d[key].meta) if isinstance(d[key], MetaTensor) else out
        return d


def _slices_as_channels(image: torch.Tensor) -> torch.Tensor:
    plain = image.as_tensor() if isinstance(image, MetaTensor) else image
    return plain.permute(0, 3, 1, 2).flatten(0, 1).float()


def _channels_as_slices(flat: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    plain = flat.as_tensor() if isinstance(flat, MetaTensor) else flat
    channels, rows, columns, slices = like.shape
    return plain.reshape(channels, slices, rows, columns).permute(0, 2, 3, 1).to(like.dtype).contiguous()
