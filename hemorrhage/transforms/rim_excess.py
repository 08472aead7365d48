"""How much brighter each place is than its depth below bone usually is, as a channel for networks that read slices."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from hemorrhage.geometry import voxel_sizes_mm
from hemorrhage.rim import rim_excess
from hemorrhage.transforms.brain_margin import widened_in_plane
from hemorrhage.transforms.meta import with_meta_of

__all__ = ["RimExcessd"]


class RimExcessd(MapTransform):
    """Put :func:`hemorrhage.rim.rim_excess` of an image under a new key.

    Args:
        keys: (1, I, J, K) ``MetaTensor`` in [0, 1], slices along the last axis.
        inside_key: (1, I, J, K) ``MetaTensor``, the brain with a margin around it.
        margin_mm: that margin (:class:`hemorrhage.transforms.brain_margin.BrainMargind`), which is taken off again.
        name: of the new key, a tensor like the image.
        neighbors: slices on each side that are asked how bright a depth is; None leaves the new key out.
        bone: what is at least this bright is bone.
        allow_missing_keys: skip keys that are missing.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        inside_key: str = "inside",
        margin_mm: float = 0.0,
        name: str = "excess",
        neighbors: int | None = 1,
        bone: float = 0.985,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"one key is compared with itself, got {self.keys}")
        self.inside_key = inside_key
        self.margin_mm = margin_mm
        self.name = name
        self.neighbors = neighbors
        self.bone = bone

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the excess of the image."""
        d = dict(data)
        for key in self.key_iterator(d):
            if self.neighbors is None:
                continue
            image: MetaTensor = d[key]
            sizes = voxel_sizes_mm(np.asarray(image.affine))[:2]
            inside = d[self.inside_key][0].cpu().numpy() > 0
            if self.margin_mm:
                inside &= ~widened_in_plane(~inside, (sizes[0], sizes[1]), self.margin_mm)
            found = rim_excess(image[0].cpu().numpy(), inside, float(sizes.mean()), self.bone, self.neighbors)
            d[self.name] = with_meta_of(image, torch.from_numpy(found)[None].to(image.device))
        return d
