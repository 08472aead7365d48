"""Whether neighboring slices show neighboring anatomy: the only witness when headers agree but pixels do not."""

from __future__ import annotations

import numpy as np

__all__ = ["out_of_place"]

# Two steps along a smooth head change it as much as the sum of both (ratio 1) or, where noise rules, half as much
# (ratio 2). A slice that is foreign to both neighbors, while they resemble each other, exceeds that.
_FOREIGN_RATIO = 2.2
_LEAST_CHANGE_HU = 2.0


def out_of_place(hu: np.ndarray) -> list[int]:
    """Slices that resemble neither neighbor although the neighbors resemble each other.

    Args:
        hu: (I, J, N) in HU, slices in order.

    Returns:
        their indices; empty for a scan in order, and for fewer than three slices.
    """
    thinned = np.clip(hu[::3, ::3], -200.0, 200.0)
    foreign = []
    for k in range(1, hu.shape[2] - 1):
        before, here, behind = thinned[:, :, k - 1], thinned[:, :, k], thinned[:, :, k + 1]
        one, two = float(np.abs(here - before).mean()), float(np.abs(behind - here).mean())
        both = float(np.abs(behind - before).mean())
        if one + two > _FOREIGN_RATIO * both + _LEAST_CHANGE_HU and min(one, two) > 0.5 * both:
            foreign.append(k)
    return foreign
