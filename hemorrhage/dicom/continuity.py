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
    if hu.shape[2] < 3:
        return []
    thinned = np.clip(hu[::3, ::3], -200.0, 200.0)
    single = np.abs(np.diff(thinned, axis=2)).mean(axis=(0, 1))
    double = np.abs(thinned[:, :, 2:] - thinned[:, :, :-2]).mean(axis=(0, 1))
    both = single[:-1] + single[1:]
    # About the widest level of a head the slices above and below are alike without being out of place: they change less
    # than elsewhere.
    much = both > 0.8 * np.median(both)
    foreign = (both > _FOREIGN_RATIO * double + _LEAST_CHANGE_HU) & (np.minimum(single[:-1], single[1:]) > 0.5 * double)
    return [int(k) + 1 for k in np.flatnonzero(foreign & much)]
