"""New values under old meta data."""

from __future__ import annotations

import torch
from monai.data import MetaTensor

__all__ = ["with_meta_of"]


def with_meta_of(image: MetaTensor, values: torch.Tensor) -> MetaTensor:
    """``values`` with the meta data and the traced operations of ``image``, which MONAI's inversion needs."""
    return MetaTensor(values, meta=dict(image.meta), applied_operations=image.applied_operations)
