"""Whether a score can be read as a probability, and the curve that makes it one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

__all__ = ["LogisticCurve", "cross_fitted", "expected_calibration_error", "fit_curve", "reliability"]

LEAST = 1e-4  # a score of 0 or 1 is no infinite evidence


def _checked(labels: ArrayLike, values: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape or not len(y):
        raise ValueError(f"labels and scores must be lists of one length, got {y.shape} and {p.shape}")
    if not np.isin(y, (0, 1)).all() or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("labels must be 0 or 1, and scores lie in [0, 1]")
    return y, p


def reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> list[dict[str, float]]:
    """What happened beside what was said, in ``bins`` equal steps of what was said.

    Args:
        labels: (N,) 0 or 1.
        probabilities: (N,) in [0, 1].
        bins: number of steps.

    Returns:
        for each step that holds any: "said" (mean probability), "happened" (share of ones) and "count".
    """
    y, p = _checked(labels, probabilities)
    which = np.minimum((p * bins).astype(int), bins - 1)
    return [
        {"said": float(p[which == b].mean()), "happened": float(y[which == b].mean()), "count": int((which == b).sum())}
        for b in np.unique(which)
    ]


def expected_calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> float:
    """Mean distance between what was said and what happened, each step weighted by its count.

    Guo et al., On Calibration of Modern Neural Networks (ICML 2017), eq. 3, for a single class. Even a perfect score
    has an error above 0 in a small sample: state the number of cases with it.

    Args:
        labels: (N,) 0 or 1.
        probabilities: (N,) in [0, 1].
        bins: equal steps of the probability.
    """
    table = reliability(labels, probabilities, bins)
    return sum(r["count"] * abs(r["said"] - r["happened"]) for r in table) / sum(r["count"] for r in table)


@dataclass(frozen=True)
class LogisticCurve:
    """Probability as a logistic curve over the logit of a score (Platt scaling).

    Attributes:
        slope: never negative: a higher score is never less likely blood.
        intercept: logit at a score of one half.
    """

    slope: float
    intercept: float

    def __call__(self, scores: ArrayLike) -> np.ndarray:
        """Probabilities (N,) of scores (N,) in [0, 1]."""
        return 1.0 / (1.0 + np.exp(-(self.slope * _logit(scores) + self.intercept)))


def _logit(scores: ArrayLike) -> np.ndarray:
    s = np.clip(np.asarray(scores, dtype=np.float64), LEAST, 1 - LEAST)
    return np.log(s / (1 - s))


def fit_curve(labels: ArrayLike, scores: ArrayLike) -> LogisticCurve:
    """Fit a curve by scikit-learn's logistic regression, whose weak penalty keeps separable cases finite.

    Args:
        labels: (N,) 0 or 1, both there.
        scores: (N,) in [0, 1].

    Raises:
        ValueError: if there is one class only.
    """
    y, s = _checked(labels, scores)
    if len(np.unique(y)) < 2:
        raise ValueError("a calibration needs cases with and without blood")
    model = LogisticRegression(C=1.0).fit(_logit(s)[:, None], y)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope < 0:  # scores that say nothing: the best answer is the share of ones
        share = float(y.mean())
        return LogisticCurve(0.0, math.log(share / (1 - share)))
    return LogisticCurve(slope, intercept)


def cross_fitted(labels: ArrayLike, scores: ArrayLike, folds: int = 5, seed: int = 0) -> np.ndarray:
    """Probabilities of cases by curves that were fitted without them.

    Args:
        labels: (N,) 0 or 1, each at least ``folds`` times.
        scores: (N,) in [0, 1].
        folds: parts of equal share of ones.
        seed: of the parts.

    Returns:
        (N,) probabilities.
    """
    y, s = _checked(labels, scores)
    out = np.empty_like(s)
    parts: Sequence[tuple[np.ndarray, np.ndarray]] = list(
        StratifiedKFold(folds, shuffle=True, random_state=seed).split(s, y)
    )
    for fitted, held in parts:
        out[held] = fit_curve(y[fitted], s[fitted])(s[held])
    return out
