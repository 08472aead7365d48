"""Precision over recall of pixels, from counts by score, so that scans can be added up and drawn again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["BINS", "mean_and_sd", "pooled_dice", "precision_of_histogram", "score_histogram"]

BINS = 1000


def score_histogram(label: np.ndarray, probability: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """(2, BINS) counts of negative and positive pixels by probability.

    Args:
        label: any shape, above 0 is positive.
        probability: the same shape, 0 to 1.
        where: the same shape; pixels to count, by default all.
    """
    positive = np.asarray(label) > 0
    score = np.clip((np.asarray(probability) * BINS).astype(np.int64), 0, BINS - 1)
    chosen = np.ones(positive.shape, dtype=bool) if where is None else np.asarray(where) > 0
    return np.stack([np.bincount(score[chosen & (positive == kind)], minlength=BINS) for kind in (False, True)])


def precision_of_histogram(histogram: np.ndarray) -> float:
    """Average precision as a sum of steps over thresholds a thousandth apart; NaN without a positive pixel.

    Within a step order is unknown, and the step counts as one threshold, as equal scores do in scikit-learn's
    ``average_precision_score``.

    Args:
        histogram: (2, BINS) of :func:`score_histogram`, or a sum of such.
    """
    negative, positive = np.asarray(histogram, dtype=np.float64)[:, ::-1].cumsum(1)
    if positive[-1] == 0:
        return float("nan")
    precision = np.divide(positive, positive + negative, out=np.zeros_like(positive), where=positive + negative > 0)
    return float((np.diff(positive, prepend=0.0) / positive[-1] * precision).sum())


def pooled_dice(histogram: np.ndarray, threshold: float = 0.5) -> float:
    """Dice of all pixels together at a threshold, the papers' way; 1 where nothing is positive or called so.

    Args:
        histogram: (2, BINS).
        threshold: pixels of at least this probability are called positive.
    """
    first = round(threshold * BINS)
    fp, tp = np.asarray(histogram, dtype=np.float64)[:, first:].sum(1)
    total = tp + fp + float(np.asarray(histogram)[1].sum())
    return float(2 * tp / total) if total else 1.0


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) over folds; the SD of a single fold is NaN.

    Args:
        values: one a fold.
    """
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else float("nan")
