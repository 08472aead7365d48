"""How much brighter each place is than the one opposite, as a channel for networks that read slices."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from hemorrhage.geometry import voxel_sizes_mm
from hemorrhage.symmetry import asymmetry
from hemorrhage.transforms.meta import with_meta_of

__all__ = ["Asymmetryd"]


class Asymmetryd(MapTransform):
    """Put :func:`hemorrhage.symmetry.asymmetry` of an image under a new key.

    Args:
        keys: (1, I, J, K) ``MetaTensor`` in [0, 1], RAS, 0 outside the head.
        name: of the new key, a tensor like the image.
        blur_mm: standard deviation of the blur before both sides are compared; None leaves the new key out.
        allow_missing_keys: skip keys that are missing.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        name: str = "asymmetry",
        blur_mm: float | None = 2.5,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"one key is compared with itself, got {self.keys}")
        self.name = name
        self.blur_mm = blur_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the asymmetry of the image."""
        d = dict(data)
        for key in self.key_iterator(d):
            image: MetaTensor = d[key]
            if self.blur_mm is not None:
                sizes = voxel_sizes_mm(np.asarray(image.affine))[:2].tolist()
                found = asymmetry(image.as_tensor()[0].cpu(), sizes, self.blur_mm)
                d[self.name] = with_meta_of(image, found[None].to(image.device))
        return d
