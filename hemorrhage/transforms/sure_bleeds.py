"""Leave out bleeds of which no voxel is sure: one probability says where a bleed is, a lower one how far it goes.

Known as a threshold with hysteresis. A single threshold low enough for the faint border of a bleed also marks what is
none; one high enough to leave that out takes the border of every bleed with it, and its volume comes out too small.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from scipy import ndimage

from hemorrhage.transforms.meta import with_meta_of

__all__ = ["TOUCHING", "SureBleedsd", "sure_bleeds"]

TOUCHING = np.ones((3, 3, 3), dtype=bool)  # faces, edges and corners, as where small bleeds are removed


def sure_bleeds(mask: np.ndarray, probability: np.ndarray, least: float) -> np.ndarray:
    """The connected components of a mask that somewhere reach a probability.

    Args:
        mask: (I, J, K), above 0 inside.
        probability: (I, J, K) of hemorrhage.
        least: what the surest voxel of a component must reach.

    Returns:
        (I, J, K) bool.
    """
    labels, count = ndimage.label(np.asarray(mask) > 0, TOUCHING)
    sure = np.zeros(count + 1, dtype=bool)
    sure[np.unique(labels[np.asarray(probability) >= least])] = True
    sure[0] = False
    return sure[labels]


class SureBleedsd(MapTransform):
    """Apply :func:`sure_bleeds`.

    Args:
        keys: (1, I, J, K) masks, cut at a threshold.
        least: what the surest voxel of a bleed must reach; at or below the threshold all bleeds stay.
        probability_key: (1, I, J, K), what was cut.
    """

    def __init__(self, keys: KeysCollection, least: float, probability_key: str = "probability") -> None:
        super().__init__(keys)
        self.least = float(least)
        self.probability_key = probability_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with masks of sure bleeds."""
        d = dict(data)
        probability = d[self.probability_key][0].cpu().numpy()
        for key in self.key_iterator(d):
            mask = d[key]
            kept = torch.from_numpy(sure_bleeds(mask[0].cpu().numpy(), probability, self.least))
            d[key] = with_meta_of(mask, kept[None].to(dtype=mask.dtype, device=mask.device))
        return d
