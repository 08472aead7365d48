"""Slices of a volume for a 2D network, drawn by how much blood they show."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable

__all__ = ["RandSlicesByAread", "slice_weights"]


def slice_weights(label: np.ndarray | torch.Tensor) -> np.ndarray:
    """Chance of each slice: its share of all labeled area; the same for all where there is none.

    Args:
        label: (C, I, J, K), nonzero inside.

    Returns:
        (K,) float64 that sums to 1.
    """
    area = (torch.as_tensor(label) > 0).sum(dim=(0, 1, 2)).double().cpu().numpy()
    return area / area.sum() if area.any() else np.full(area.size, 1.0 / area.size)


class RandSlicesByAread(MapTransform, Randomizable):
    """Draw slices, with replacement, each in proportion to its labeled area.

    DeepBleed, "Models": the likelihood of sampling a slice was determined by the proportion of pixels inside the label.
    MONAI's ``RandWeightedCropd`` looks, for a crop as wide as the slice, at the weight of its middle pixel alone.

    Args:
        keys: (C, I, J, K), slices along the last axis.
        label_key: the labels that weigh the slices.
        num_samples: slices from each volume.
    """

    def __init__(self, keys: KeysCollection, label_key: str = "label", num_samples: int = 8) -> None:
        super().__init__(keys)
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}")
        self.label_key = label_key
        self.num_samples = num_samples

    def __call__(self, data: Mapping[Hashable, Any]) -> list[dict[Hashable, Any]]:
        """One dictionary a slice, with (C, I, J) under each of ``keys``."""
        weights = slice_weights(data[self.label_key])
        chosen = self.R.choice(weights.size, size=self.num_samples, p=weights)
        return [
            {key: torch.as_tensor(data[key])[..., int(k)] if key in self.keys else data[key] for key in data}
            for k in chosen
        ]
