"""How well scores tell cases with blood from cases without: ROC, precision and rates, over scans, slices or pixels.

Everywhere ``labels`` are 0 or 1, ``scores`` grow with suspicion, and a case is called positive where its score is at
least the threshold. What has no value for the labels given, such as a sensitivity without a positive case, is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from sklearn import metrics

from hemorrhage.metrics.intervals import bootstrap_interval

__all__ = ["OperatingPoint", "Rates", "auc_interval", "average_precision", "operating_point", "rates", "roc_auc"]


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it gives.

    Attributes:
        threshold: cases with at least this score are called positive.
        sensitivity: share of positive cases called positive.
        specificity: share of negative cases called negative.
    """

    threshold: float
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class Rates:
    """Rates at one threshold; NaN where no case could count.

    Attributes:
        sensitivity: share of positive cases called positive.
        specificity: share of negative cases called negative.
        accuracy: share of cases called right.
        f1: 2 TP / (2 TP + FP + FN).
    """

    sensitivity: float
    specificity: float
    accuracy: float
    f1: float


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    truth, score = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if truth.shape != score.shape or truth.ndim != 1:
        raise ValueError(f"labels and scores must be two lists of one length, got {truth.shape} and {score.shape}")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("labels must be 0 or 1")
    if not np.isfinite(score).all():
        raise ValueError(f"{int((~np.isfinite(score)).sum())} of {score.size} scores are not finite")
    return truth.astype(np.int64), score


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive case scores above a negative one, ties half.

    Args:
        labels: (N,) 0 or 1.
        scores: (N,) finite.

    Returns:
        0 to 1; NaN where only one class is present.

    Raises:
        ValueError: if lengths differ, a label is neither 0 nor 1 or a score is not finite.
    """
    truth, score = _checked(labels, scores)
    return float(metrics.roc_auc_score(truth, score)) if 0 < truth.sum() < truth.size else float("nan")


def auc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    level: float = 0.95,
    method: Literal["delong", "bootstrap"] = "delong",
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of confidence of :func:`roc_auc`.

    DeLong's interval is the normal one around the area (DeLong, DeLong and Clarke-Pearson, Biometrics 1988), cut to
    0 and 1. Scores that separate the classes without an error have no variance, and an interval of no width by either
    method: that says nothing about the cases not seen.

    Args:
        labels: (N,) 0 or 1, one case a patient.
        scores: (N,) finite.
        level: coverage.
        method: "delong", or "bootstrap" over cases.
        seed: of the bootstrap.

    Returns:
        lower and upper bound; both NaN where DeLong's variance needs more than the one case that a class has, or where
        only one class is present.

    Raises:
        ValueError: as :func:`roc_auc`, or for a method of another name.
    """
    truth, score = _checked(labels, scores)
    if method == "bootstrap":
        pairs = np.stack([truth, score], axis=1)[:, None]
        return bootstrap_interval(list(pairs), lambda p: roc_auc(p[:, 0], p[:, 1]), level=level, seed=seed)
    if method != "delong":
        raise ValueError(f'method must be "delong" or "bootstrap", got {method!r}')
    positive, negative = score[truth == 1], score[truth == 0]
    m, n = positive.size, negative.size
    if min(m, n) < 2:
        return float("nan"), float("nan")
    # Ranks among all cases less ranks within the class count the cases of the other class below each score.
    ranks = stats.rankdata(np.concatenate([positive, negative]))
    of_positives = (ranks[:m] - stats.rankdata(positive)) / n
    of_negatives = 1 - (ranks[m:] - stats.rankdata(negative)) / m
    deviation = np.sqrt(of_positives.var(ddof=1) / m + of_negatives.var(ddof=1) / n)
    area, reach = of_positives.mean(), stats.norm.ppf((1 + level) / 2) * deviation
    return float(max(area - reach, 0.0)), float(min(area + reach, 1.0))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under precision over recall as a sum of steps, as scikit-learn defines it.

    Args:
        labels: (N,) 0 or 1.
        scores: (N,) finite.

    Returns:
        0 to 1; NaN without a positive case, 1 without a negative one.

    Raises:
        ValueError: as :func:`roc_auc`.
    """
    truth, score = _checked(labels, scores)
    return float(metrics.average_precision_score(truth, score)) if truth.any() else float("nan")


def operating_point(labels: ArrayLike, scores: ArrayLike, sensitivity: float = 1.0) -> OperatingPoint:
    """The highest threshold, and so the highest specificity, at which sensitivity is at least ``sensitivity``.

    Args:
        labels: (N,) 0 or 1.
        scores: (N,) finite.
        sensitivity: least share of positive cases to be called positive, above 0 and at most 1.

    Returns:
        the point; its threshold is a score of a positive case. All NaN without a positive case; specificity NaN without
        a negative one.

    Raises:
        ValueError: as :func:`roc_auc`, or if ``sensitivity`` is out of range.
    """
    if not 0 < sensitivity <= 1:
        raise ValueError(f"sensitivity must be above 0 and at most 1, got {sensitivity}")
    truth, score = _checked(labels, scores)
    positive = np.sort(score[truth == 1])[::-1]
    if not positive.size:
        return OperatingPoint(float("nan"), float("nan"), float("nan"))
    # A share such as 0.9 of 10 must not become 10 by the rounding of a product.
    needed = int(np.ceil(sensitivity * positive.size - 1e-9))
    threshold = float(positive[needed - 1])
    found = rates(truth, score, threshold)
    return OperatingPoint(threshold, found.sensitivity, found.specificity)


def rates(labels: ArrayLike, scores: ArrayLike, threshold: float) -> Rates:
    """Sensitivity, specificity, accuracy and F1 where scores of at least ``threshold`` are called positive.

    Args:
        labels: (N,) 0 or 1.
        scores: (N,) finite.
        threshold: least score of a positive call.

    Returns:
        the rates. Sensitivity is NaN without a positive case, specificity without a negative one, F1 where no case is
        positive or called so, accuracy without any case.

    Raises:
        ValueError: as :func:`roc_auc`.
    """
    truth, score = _checked(labels, scores)
    if not truth.size:
        return Rates(float("nan"), float("nan"), float("nan"), float("nan"))
    called = (score >= threshold).astype(np.int64)
    return Rates(
        sensitivity=float(metrics.recall_score(truth, called, zero_division=np.nan)),
        specificity=float(metrics.recall_score(truth, called, pos_label=0, zero_division=np.nan)),
        accuracy=float(metrics.accuracy_score(truth, called)),
        f1=float(metrics.f1_score(truth, called, zero_division=np.nan)),
    )
