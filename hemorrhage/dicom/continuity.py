"""Whether neighboring slices show neighboring anatomy: the only witness when headers agree but pixels do not."""

from __future__ import annotations

import numpy as np

__all__ = ["out_of_place"]

_SOFT_HU = 200.0
_PIXELS = 3000
# Exchanged back, two slices must fit their neighbors better by this factor and by this much, and none of the four
# places worse than noise allows.
_LEAST_RATIO, _LEAST_GAIN_HU2, _WORSE_RATIO = 1.15, 200.0, 1.1
_MOST_EXCHANGES = 5


def out_of_place(hu: np.ndarray) -> list[int]:
    """Slices that would fit their neighbors better if two of them changed places.

    Nothing else can be known of two slices whose pixels were exchanged under headers that agree. Slices that are alike,
    such as two near the widest level of a head, can be exchanged unseen.

    Args:
        hu: (I, J, N) in HU, slices in order.

    Returns:
        their indices; empty for a scan in order, and for fewer than four slices.
    """
    count = hu.shape[2]
    if count < 4:
        return []
    apart = _differences(hu)
    order, found = np.arange(count), set()
    for _ in range(_MOST_EXCHANGES):
        pair = _best_exchange(apart[np.ix_(order, order)])
        if pair is None:
            break
        found |= {int(order[k]) for k in pair}
        order[list(pair)] = order[list(pair[::-1])]
    return sorted(found)


def _differences(hu: np.ndarray) -> np.ndarray:
    """(N, N) mean squared difference of any two slices in HU², bone and air cut off, on a part of the pixels."""
    step = max(1, int(np.sqrt(hu.shape[0] * hu.shape[1] / _PIXELS)))
    thinned = np.clip(hu[step // 2 :: step, step // 2 :: step], -_SOFT_HU, _SOFT_HU).reshape(-1, hu.shape[2])
    squares = (thinned.astype(np.float64) ** 2).sum(axis=0)
    return np.maximum(squares[:, None] + squares - 2.0 * (thinned.T @ thinned), 0.0) / len(thinned)


def _best_exchange(apart: np.ndarray) -> tuple[int, int] | None:
    """The two slices whose exchange shortens the way through all slices most, if it is beyond doubt."""
    count = len(apart)
    padded = np.zeros((count + 2, count + 2))  # beyond both ends nothing fits better or worse
    padded[1:-1, 1:-1] = apart
    i, j = (1 + index for index in np.triu_indices(count, 1))
    now = np.stack([padded[i - 1, i], padded[j, j + 1], padded[i, i + 1], padded[j - 1, j]])
    then = np.stack([padded[i - 1, j], padded[i, j + 1], padded[j, i + 1], padded[j - 1, i]])
    for ends in (now, then):
        ends[0, i == 1] = ends[1, j == count] = 0.0
    # What lies between the two stays as far from them as it was.
    close = j - i <= 2
    now[2:, close] = then[2:, close] = 0.0
    before, after = now.sum(axis=0), then.sum(axis=0)
    gain = before - after
    sure = (gain > _LEAST_GAIN_HU2) & (before > _LEAST_RATIO * after) & (then <= _WORSE_RATIO * now).all(axis=0)
    if not sure.any():
        return None
    best = int(np.argmax(np.where(sure, gain, -np.inf)))
    return int(i[best]) - 1, int(j[best]) - 1
