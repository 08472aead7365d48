"""What inference would mark from a probability that it has written, at another threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from hemorrhage.transforms.sure_bleeds import TOUCHING, sure_bleeds

__all__ = ["cuts_of", "marks_at", "seed_of"]


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


def cuts_of(
    probability: np.ndarray,
    true: np.ndarray,
    thresholds: Sequence[float],
    seeds: Sequence[float],
    voxel_mm3: float,
    smallest_mm3: float,
) -> list[dict[str, float]]:
    """What :func:`marks_at` marks at many thresholds and seed thresholds, in a fraction of the time.

    Args:
        probability: (I, J, K) of hemorrhage, 0 outside the brain.
        true: (I, J, K) bool, where there is blood.
        thresholds: from which a voxel counts.
        seeds: what the surest voxel of a bleed must reach; of each threshold those above it, and it itself.
        voxel_mm3: volume of a voxel.
        smallest_mm3: connected bleeds below this are left out.

    Returns:
        for each pair "threshold" and "seed_threshold", and the voxels that are "marked" and rightly so ("hits").
    """
    least = math.ceil(smallest_mm3 / voxel_mm3)
    rows: list[dict[str, float]] = []
    for t in thresholds:
        # Whether a component stays depends on its size and its surest voxel alone: one labeling serves all seeds.
        labels, count = ndimage.label(probability >= t, TOUCHING)
        inside = labels > 0
        own = labels[inside] - 1
        sizes, hits = (np.bincount(own, w, count) for w in (None, true[inside]))
        surest = np.zeros(count, dtype=probability.dtype)
        np.maximum.at(surest, own, probability[inside])
        for seed in (t, *(s for s in seeds if s > t)):
            kept = (sizes >= least) & (surest >= surest.dtype.type(seed))
            rows.append({
                "threshold": t, "seed_threshold": seed, "marked": int(sizes[kept].sum()), "hits": int(hits[kept].sum()),
            })  # fmt: skip
    return rows


def seed_of(findings: Mapping[str, Any]) -> float | None:
    """The seed threshold of the run that made a scan's findings; None where it asked for no more than the threshold."""
    seed = findings.get("settings", {}).get("seed_threshold")
    return None if seed is None or seed <= findings["threshold"] else float(seed)
