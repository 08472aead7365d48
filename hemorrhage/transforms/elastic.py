"""Elastic deformation within the axial plane."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Rand2DElastic, RandomizableTransform
from monai.utils import ensure_tuple_rep

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
        allow_missing_keys: skip keys that are missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        spacing: float = 16.0,
        magnitude: tuple[float, float] = (0.5, 2.0),
        prob: float = 0.5,
        mode: str | Sequence[str] = "bilinear",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        self.elastic = Rand2DElastic((spacing, spacing), magnitude, prob=1.0, padding_mode="zeros")

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
        first = d[self.first_key(d)]
        self.elastic.randomize(first.shape[1:3])
        for key, mode in self.key_iterator(d, self.mode):
            d[key] = self._deform(d[key], mode)
        return d

    def _deform(self, image: torch.Tensor, mode: str) -> torch.Tensor:
        plain = image.as_tensor() if isinstance(image, MetaTensor) else image
        channels, rows, columns, slices = plain.shape
        flat = plain.permute(0, 3, 1, 2).reshape(channels * slices, rows, columns)
        bent = torch.as_tensor(self.elastic(flat.float(), mode=mode, randomize=False))
        out = bent.as_tensor() if isinstance(bent, MetaTensor) else bent
        out = out.reshape(channels, slices, rows, columns).permute(0, 2, 3, 1).to(plain.dtype).contiguous()
        return MetaTensor(out, meta=image.meta) if isinstance(image, MetaTensor) else out
