"""Intervals of confidence by resampling patients: scans of one patient are no independent witnesses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["bootstrap_interval"]


@overload
def bootstrap_interval(
    values_by_patient: Sequence[ArrayLike],
    statistic: Callable[[np.ndarray], float],
    level: float = ...,
    runs: int = ...,
    seed: int = ...,
) -> tuple[float, float]: ...
@overload
def bootstrap_interval(
    values_by_patient: Sequence[ArrayLike],
    statistic: Callable[[np.ndarray], np.ndarray],
    level: float = ...,
    runs: int = ...,
    seed: int = ...,
) -> tuple[np.ndarray, np.ndarray]: ...
def bootstrap_interval(
    values_by_patient: Sequence[ArrayLike],
    statistic: Callable[[np.ndarray], Any],
    level: float = 0.95,
    runs: int = 2000,
    seed: int = 0,
) -> tuple[Any, Any]:
    """Percentile interval of ``statistic`` when patients are drawn again with replacement, each with all of theirs.

    ``scipy.stats.bootstrap`` draws single values and has no place for those of one patient.

    Args:
        values_by_patient: for each patient the (n, ...) rows that belong to it, n at least 1.
        statistic: a number from all rows drawn, stacked along the first axis; or several at once, as an array.
        level: coverage, inside (0, 1).
        runs: how often patients are drawn.
        seed: of the draws: the same input gives the same interval.

    Returns:
        lower and upper bound, each a number or an array as ``statistic`` gives it. Draws for which ``statistic`` is NaN
        (such as an AUC of one class) are left out; both bounds are NaN where that leaves none, or without a patient. An
        infinite value counts as one.

    Raises:
        ValueError: if ``level`` or ``runs`` is out of range, or a patient has no row.
    """
    if not 0 < level < 1 or runs < 1:
        raise ValueError(f"level must lie inside (0, 1) and runs be positive, got {level} and {runs}")
    patients = [np.asarray(rows) for rows in values_by_patient]
    if any(rows.ndim == 0 or not len(rows) for rows in patients):
        raise ValueError("each patient needs a list of at least one row")
    if not patients:
        return float("nan"), float("nan")
    rows, lengths = np.concatenate(patients), np.array([len(p) for p in patients])
    first = np.cumsum(lengths) - lengths
    where = [np.arange(f, f + n) for f, n in zip(first, lengths, strict=True)]
    single = len(rows) == len(patients)
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(runs):
        drawn = generator.integers(len(patients), size=len(patients))
        found.append(statistic(rows[drawn if single else np.concatenate([where[p] for p in drawn])]))
    values = np.asarray(found, dtype=np.float64)
    if values.ndim == 1:
        return _bounds(values, level)
    columns = [_bounds(column, level) for column in values.reshape(runs, -1).T]
    low, high = (np.reshape([bounds[n] for bounds in columns], values.shape[1:]) for n in (0, 1))
    return low, high


def _bounds(found: np.ndarray, level: float) -> tuple[float, float]:
    found = found[~np.isnan(found)]
    if not found.size:
        return float("nan"), float("nan")
    # Interpolation between an infinite value and a finite one would give NaN.
    tail, method = (1 - level) / 2, "linear" if np.isfinite(found).all() else "nearest"
    low, high = np.quantile(found, [tail, 1 - tail], method=method)  # type: ignore[call-overload]
    return float(low), float(high)
