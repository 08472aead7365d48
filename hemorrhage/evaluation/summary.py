"""Many scans in a few numbers, each with an interval from resampling patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from hemorrhage.evaluation.combinations import COMBINATIONS
from hemorrhage.metrics.detection import average_precision, operating_point, roc_auc
from hemorrhage.metrics.intervals import bootstrap_interval
from hemorrhage.metrics.volume import volume_agreement
from hemorrhage.subtypes import SUBTYPES

__all__ = [
    "COLUMNS",
    "FAILED_BELOW",
    "FEWEST_PATIENTS",
    "SLICES",
    "THRESHOLDS",
    "VOLUME_BANDS_ML",
    "groups_of",
    "intervals_of",
    "statistics_of",
    "summarize",
    "value_of",
]

SLICES = "slices with blood"
FAILED_BELOW = 0.5  # DeepBleed, "Results"
FEWEST_PATIENTS = 5  # so few can be drawn in so few ways that an interval would only look like one
VOLUME_BANDS_ML = (5.0, 30.0, 60.0)
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)  # Hssayeni et al. 2020

# Of the row of a scan, what summaries are made of.
COLUMNS = (
    "dice", "jaccard", "surface_dice", "hd95_mm", "reference_ml", "automatic_ml", "lesions", "lesions_found",
    "false_positive_lesions",
)  # fmt: skip
_AGREEMENT = ("r", "ccc", "rmse_ml", "within_5_ml", "bias_ml", "limit_low_ml", "limit_high_ml")
_SPREAD = ("mean", "SD", "median", "min", "max")
_OF_SPREAD = (("dice", ""), ("jaccard", ""), ("surface dice", ""), ("absolute volume error", " mL"))
_STATISTICS = (
    *(f"{measure} {name}{unit}" for measure, unit in _OF_SPREAD for name in _SPREAD), "failed (dice < 0.5)",
    "hd95 mean mm, where finite", "hd95 SD mm, where finite", "hd95 median mm", "hd95 min mm", "hd95 max mm",
    "hd95 infinite", *(f"volume {name}" for name in _AGREEMENT), "lesion sensitivity", "false positive lesions a scan",
)  # fmt: skip
# Extremes have no interval: no resampling of patients can find a worse one.
_WITHOUT_INTERVAL = tuple(n for n in _STATISTICS if " min" in n or " max" in n or n == "hd95 infinite")
_RATES = ("sensitivity", "specificity", "accuracy", "f1")


def _spread(values: np.ndarray) -> list[float]:
    """Mean, SD, median, least and largest of (N,) finite values; NaN where there are too few."""
    if not values.size:
        return [np.nan] * len(_SPREAD)
    deviation = values.std(ddof=1) if values.size > 1 else np.nan
    return [values.mean(), deviation, np.median(values), values.min(), values.max()]


def _statistics(values: np.ndarray) -> np.ndarray:
    """Those of ``_STATISTICS`` from rows of ``COLUMNS``, at least one."""
    dice, jaccard, surface, distance, manual, automatic, lesions, found, invented = values.T
    finite = distance[np.isfinite(distance)]
    agreement = volume_agreement(manual, automatic)
    return np.array(
        [
            *_spread(dice),
            *_spread(jaccard),
            *_spread(surface),
            *_spread(np.abs(automatic - manual)),
            (dice < FAILED_BELOW).mean(),
            *_spread(finite)[:2],
            np.sort(distance)[distance.size // 2],  # the upper middle: half of an infinite distance is none
            distance.min(),
            distance.max(),
            1 - finite.size / distance.size,
            *(getattr(agreement, name) for name in _AGREEMENT),
            found.sum() / lesions.sum() if lesions.sum() else np.nan,
            invented.mean(),
        ]
    )


def _by_patient(rows: pd.DataFrame, columns: Sequence[str]) -> list[np.ndarray]:
    values = rows[list(columns)].to_numpy(dtype=np.float64)
    return [values[where] for where in rows.groupby("patient", sort=True).indices.values()]


def intervals_of(
    rows: pd.DataFrame, columns: Sequence[str], statistic: Callable[[np.ndarray], np.ndarray], runs: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals of statistics when patients are drawn again, each with all rows of theirs.

    Args:
        rows: at least one, with a column "patient".
        columns: those that ``statistic`` gets.
        statistic: numbers from an (N, columns) array.
        runs: how often patients are drawn.
        seed: of the draws.

    Returns:
        lower and upper bounds; NaN with fewer than FEWEST_PATIENTS patients.
    """
    if rows["patient"].nunique() < FEWEST_PATIENTS:
        nothing = np.full(np.shape(statistic(rows[list(columns)].to_numpy(dtype=np.float64))), np.nan)
        return nothing, nothing.copy()
    return bootstrap_interval(_by_patient(rows, columns), statistic, runs=runs, seed=seed)


def statistics_of(rows: pd.DataFrame) -> dict[str, float]:
    """Every statistic of a group of at least one scan, without intervals, by name."""
    found = _statistics(rows[list(COLUMNS)].to_numpy(dtype=np.float64))
    return dict(zip(_STATISTICS, found.tolist(), strict=True))


def groups_of(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Groups of scans by name: all, with blood, and of those each combination, subtype and band of volume that occurs.

    Args:
        rows: a row a scan, as :func:`hemorrhage.evaluation.scores.score_scan` gives it.
    """
    blood = rows[rows["reference_ml"] > 0]
    groups = {"all": rows, "with blood": blood}
    groups |= {
        name: blood[blood["combination"] == name] for name in COMBINATIONS if name not in ("unknown", "no blood")
    }
    for subtype in SUBTYPES:
        if f"{subtype.short}_ml" in blood:
            groups[f"with {subtype.short}"] = blood[blood[f"{subtype.short}_ml"].fillna(0) > 0]
    edges = (0.0, *VOLUME_BANDS_ML, np.inf)
    for low, high in pairwise(edges):
        name = f"{low:g} to {high:g} mL" if np.isfinite(high) else f"from {low:g} mL"
        groups[name] = blood[(blood["reference_ml"] >= low) & (blood["reference_ml"] < high)]
    return {name: group for name, group in groups.items() if len(group)}


def _detection_names() -> list[str]:
    return ["AUC", "average precision", *(f"{rate} at {t:g}" for t in THRESHOLDS for rate in _RATES)]


def _detection(values: np.ndarray) -> np.ndarray:
    """AUC, average precision and the rates at each threshold, from rows of label and score."""
    truth, score = values[:, 0] > 0, values[:, 1]
    found = [roc_auc(values[:, 0], score), average_precision(values[:, 0], score)]
    for threshold in THRESHOLDS:
        called = score >= threshold
        tp, fp = np.count_nonzero(truth & called), np.count_nonzero(~truth & called)
        fn, tn = np.count_nonzero(truth & ~called), np.count_nonzero(~truth & ~called)
        shares = ((tp, tp + fn), (tn, tn + fp), (tp + tn, truth.size), (2 * tp, 2 * tp + fp + fn))
        found += [above / below if below else np.nan for above, below in shares]
    return np.array(found)


def _table(
    group: str, scans: int, names: Sequence[str], values: np.ndarray, low: np.ndarray, high: np.ndarray
) -> list[dict[str, Any]]:
    return [
        {"group": group, "statistic": n, "value": float(v), "low": float(a), "high": float(b), "scans": scans}
        for n, v, a, b in zip(names, values, low, high, strict=True)
    ]


def _detection_table(rows: pd.DataFrame, label: str, score: str, runs: int, group: str) -> list[dict[str, Any]]:
    # Sorting all slices of a large study 2000 times takes minutes; 500 draws place a bound well enough.
    low, high = intervals_of(rows, (label, score), _detection, min(runs, 500))
    values = _detection(rows[[label, score]].to_numpy(dtype=np.float64))
    found = _table(group, len(rows), _detection_names(), values, low, high)
    nothing = float("nan")
    if rows[label].nunique() == 2:
        for wanted in (1.0, 0.95):
            point = operating_point(rows[label].to_numpy(), rows[score].to_numpy(), wanted)
            for name, value in (("threshold", point.threshold), ("specificity", point.specificity)):
                statistic = f"{name} at sensitivity {wanted:g}"
                found.append(
                    {"group": group, "statistic": statistic, "value": value, "low": nothing, "high": nothing,
                     "scans": len(rows)}
                )  # fmt: skip
    return found


def _slice_table(marked: pd.DataFrame, runs: int) -> list[dict[str, Any]]:
    """Mean overlap over slices with blood: Hssayeni et al. 2020 state slice-level Dice and Jaccard."""
    if not len(marked):
        return []
    columns = ("dice", "jaccard")
    low, high = intervals_of(marked, columns, lambda v: v.mean(0), runs)
    names = [f"{column} mean" for column in columns]
    return _table(SLICES, len(marked), names, marked[list(columns)].to_numpy(dtype=np.float64).mean(0), low, high)


def summarize(rows: pd.DataFrame, slices: pd.DataFrame, runs: int = 2000) -> pd.DataFrame:
    """All summaries of an evaluation.

    Args:
        rows: a row a scan, at least one, with "name" and "patient".
        slices: a row a slice, with "patient", "blood", "score", "dice" and "jaccard".
        runs: draws of patients for each interval.

    Returns:
        columns "group", "statistic", "value", "low", "high" (95 % interval, NaN where none is given) and "scans" (rows
        behind the value).
    """
    found: list[dict[str, Any]] = []
    hidden = np.array([name in _WITHOUT_INTERVAL for name in _STATISTICS])
    for group, part in groups_of(rows).items():
        low, high = intervals_of(part, COLUMNS, _statistics, runs)
        low[hidden], high[hidden] = np.nan, np.nan
        values = np.array(list(statistics_of(part).values()))
        found += _table(group, len(part), _STATISTICS, values, low, high)
        for subtype in SUBTYPES:
            if group == f"with {subtype.short}":
                column = f"{subtype.short}_found"
                share = part[[column]].to_numpy(dtype=np.float64).mean(0)
                bounds = intervals_of(part, (column,), lambda v: v.mean(0), runs)
                found += _table(group, len(part), [f"share of {subtype.short} marked"], share, *bounds)
    scans = rows.assign(blood=(rows["reference_ml"] > 0).astype(int))
    found += _detection_table(scans, "blood", "scan_score", runs, "scan detection")
    if len(slices):
        found += _detection_table(slices, "blood", "score", runs, "slice detection")
        found += _slice_table(slices[slices["blood"] > 0], runs)
    return pd.DataFrame(found)


def value_of(summary: pd.DataFrame, group: str, statistic: str) -> Mapping[str, Any] | None:
    """The row of one statistic of one group, or None."""
    rows = summary[(summary["group"] == group) & (summary["statistic"] == statistic)]
    return rows.iloc[0].to_dict() if len(rows) else None
