"""Batches on coarser pixels, for the first part of a training: a quarter of the work teaches what blood is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional

__all__ = ["coarse_batch"]


def coarse_batch(batch: Mapping[str, Any], factor: int) -> dict[str, Any]:
    """Average the pixels of a batch over squares.

    Args:
        batch: "image" (B, C, H, W) and "label" (B, 1, H, W) of subtypes, 0 for none; other entries stay.
        factor: sides of the squares in pixels.

    Returns:
        the batch with "image" (B, C, H / factor, W / factor) and a label that has blood where at least half of a
        square is blood, of its highest subtype.

    Raises:
        ValueError: H or W is no multiple of ``factor``.
    """
    image, label = batch["image"], batch["label"]
    if any(side % factor for side in image.shape[2:]):
        raise ValueError(f"a crop of {tuple(image.shape[2:])} pixels cannot be averaged over squares of {factor}")
    share = functional.avg_pool2d((label > 0).float(), factor)
    subtype = functional.max_pool2d(label.float(), factor)
    coarse = torch.where(share >= 0.5, subtype, 0.0).to(label.dtype)
    return {**batch, "image": functional.avg_pool2d(image, factor), "label": coarse}
