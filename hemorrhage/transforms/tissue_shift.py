"""An error of the scale's zero, for what is inside the head."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform

__all__ = ["RandTissueShiftd"]


class RandTissueShiftd(RandomizableTransform, MapTransform):
    """Add one random number to all that is not 0: scanners err in the zero, and brains differ.

    MONAI's ``RandShiftIntensityd`` moves what is outside the mask too, and ``RandStdShiftIntensityd`` takes several
    times as long, because it measures the spread of each image first.

    Args:
        keys: tensors.
        offset: largest shift to either side.
        prob: share of items that are shifted.
    """

    def __init__(self, keys: KeysCollection, offset: float, prob: float = 0.5) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.offset = offset

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Shift all keys alike."""
        d = dict(data)
        self.randomize(None)
        if self._do_transform:
            offset = self.R.uniform(-self.offset, self.offset)
            for key in self.key_iterator(d):
                d[key] = torch.where(d[key] == 0, d[key], d[key] + offset)
        return d
