"""What inference would mark from a probability that it has written, at another threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from hemorrhage.transforms.sure_bleeds import TOUCHING, sure_bleeds

__all__ = ["marks_at", "seed_of"]


def marks_at(
    probability: np.ndarray, threshold: float, voxel_mm3: float, smallest_mm3: float, seed: float | None = None
) -> np.ndarray:
    """The mask of a scan, as the configs' postprocessing makes it.

    Args:
        probability: (I, J, K) of hemorrhage, 0 outside the brain.
        threshold: from which a voxel counts.
        voxel_mm3: volume of a voxel.
        smallest_mm3: connected bleeds below this are left out.
        seed: what the surest voxel of a bleed must reach; None asks for no more than the threshold.

    Returns:
        (I, J, K) bool.
    """
    marked = np.asarray(probability) >= threshold
    if seed is not None and seed > threshold:
        marked = sure_bleeds(marked, probability, seed)
    least = math.ceil(smallest_mm3 / voxel_mm3)  # voxels
    if least <= 1:
        return marked
    labels, _ = ndimage.label(marked, TOUCHING)
    large = np.bincount(labels.ravel()) >= least
    large[0] = False
    return large[labels]


def seed_of(findings: Mapping[str, Any]) -> float | None:
    """The seed threshold of the run that made a scan's findings; None where it asked for no more than the threshold."""
    seed = findings.get("settings", {}).get("seed_threshold")
    return None if seed is None or seed <= findings["threshold"] else float(seed)
