"""Whether subtypes are named right: volumes of each against the truth, and what its blood was called."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from hemorrhage.metrics.intervals import bootstrap_interval
from hemorrhage.metrics.overlap import dice
from hemorrhage.subtypes import SUBTYPES

__all__ = ["called_table", "certainty_table", "name_scores", "names_table"]

CERTAINTIES = (0.0, 0.6, 0.8, 0.9, 0.95, 1.0)  # edges of what is told apart: most names are sure
LEAST_ML = 1.0  # of a subtype, for its Dice to count: a smaller one is right or wrong by a few voxels


def name_scores(true: np.ndarray, named: np.ndarray, one_ml: float) -> dict[str, float]:
    """The row of one scan.

    Args:
        true: (I, J, K) values of :mod:`hemorrhage.subtypes`, 0 without blood.
        named: (I, J, K) likewise, as a system answers.
        one_ml: volume of a voxel.

    Returns:
        for each subtype S mL in truth ("S_ml") and answer ("S_named_ml") and their Dice ("S_dice", 1 where both are
        empty); and for each pair of them the mL of blood of S that was called T ("S_as_T_ml").

    Raises:
        ValueError: if shapes differ or a value is no subtype's.
    """
    truth, answer = np.asarray(true).astype(int), np.asarray(named).astype(int)
    if truth.shape != answer.shape:
        raise ValueError(f"truth has shape {truth.shape}, the answer has {answer.shape}")
    n = len(SUBTYPES) + 1
    for what, values in (("truth", truth), ("answer", answer)):
        if values.min() < 0 or values.max() >= n:
            raise ValueError(
                f"the {what} holds values from {values.min()} to {values.max()}, subtypes are 1 to {n - 1}"
            )
    pairs = confusion_matrix(truth.ravel(), answer.ravel(), labels=range(n)) * one_ml
    row = {}
    for s in SUBTYPES:
        row[f"{s.short}_ml"] = float(pairs[s.index].sum())
        row[f"{s.short}_named_ml"] = float(pairs[:, s.index].sum())
        row[f"{s.short}_dice"] = dice(truth == s.index, answer == s.index)
        row |= {f"{s.short}_as_{t.short}_ml": float(pairs[s.index, t.index]) for t in SUBTYPES}
    return row


def names_table(scans: pd.DataFrame) -> pd.DataFrame:
    """How well each subtype is named, a row each.

    Args:
        scans: rows of :func:`name_scores`, one a scan.

    Returns:
        by subtype: "scans" with it; "mL" of it in these and "mL named", their means; "mL elsewhere", the mean that is
        named in the other scans; "r" of true and named volume over all scans; "Dice" of scans with at least 1 mL of it;
        "named right", the share by volume of its blood that was marked at all. Each of the last three with its 95 %
        interval from drawing scans again, as "r low", "r high" and so on; NaN where nothing can be said.
    """
    rows = {}
    for s in SUBTYPES:
        volumes = scans[[f"{s.short}_ml", f"{s.short}_named_ml"]].to_numpy(dtype=np.float64)
        called = scans[[f"{s.short}_as_{t.short}_ml" for t in SUBTYPES]].to_numpy(dtype=np.float64)
        present = volumes[:, 0] > 0
        row: dict[str, Any] = {
            "scans": int(present.sum()),
            "mL": _mean(volumes[present, 0]),
            "mL named": _mean(volumes[present, 1]),
            "mL elsewhere": _mean(volumes[~present, 1]),
        }
        large = scans.loc[volumes[:, 0] >= LEAST_ML, [f"{s.short}_dice"]].to_numpy(dtype=np.float64)
        right = np.stack([called[:, s.index - 1], called.sum(1)], 1)
        for name, values, statistic in (
            ("r", volumes, _correlation),
            ("Dice", large, _mean),
            ("named right", right, _share),
        ):
            row[name] = statistic(values)
            row[f"{name} low"], row[f"{name} high"] = bootstrap_interval(list(values[:, None]), statistic)
        rows[s.short] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def called_table(scans: pd.DataFrame) -> pd.DataFrame:
    """What blood of each subtype was called, in mL over all scans: a row each, "missed" for what was not marked.

    Args:
        scans: rows of :func:`name_scores`.
    """
    total = scans.sum(numeric_only=True)
    rows = {}
    for s in SUBTYPES:
        row = {t.short: float(total[f"{s.short}_as_{t.short}_ml"]) for t in SUBTYPES}
        rows[s.short] = {**row, "missed": float(total[f"{s.short}_ml"]) - sum(row.values())}
    return pd.DataFrame.from_dict(rows, orient="index")


def certainty_table(scans: pd.DataFrame) -> pd.DataFrame:
    """Whether names are as right as they are sure: a row for each range of certainty that occurs.

    Args:
        scans: rows of :func:`name_scores` with "S_certainty" of each subtype that a scan's answer names.

    Returns:
        by range: "names" in it, of a scan's subtypes; "mL" of blood that bears them; and of that blood the mean
        "certainty" and the share "named right". Names where there is no blood are none of it.
    """
    given = []
    for s in SUBTYPES:
        called = scans[[f"{t.short}_as_{s.short}_ml" for t in SUBTYPES]].sum(axis=1)
        given.append(pd.DataFrame({
            "sure": scans[f"{s.short}_certainty"], "mL": called, "right": scans[f"{s.short}_as_{s.short}_ml"],
        }))  # fmt: skip
    names = pd.concat(given).query("mL > 0").dropna()
    rows = {}
    for low, high in pairwise(CERTAINTIES):
        part = names[(names["sure"] > low) & (names["sure"] <= high)]
        if len(part):
            rows[f"{low:g} to {high:g}"] = {
                "names": len(part),
                "mL": float(part["mL"].sum()),
                "certainty": float(np.average(part["sure"], weights=part["mL"])),
                "named right": float(part["right"].sum() / part["mL"].sum()),
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _share(values: np.ndarray) -> float:
    part, whole = np.sum(values, axis=0)
    return float(part / whole) if whole > 0 else float("nan")


def _correlation(values: np.ndarray) -> float:
    spread: Sequence[float] = np.std(values, axis=0).tolist()
    return float(np.corrcoef(values.T)[0, 1]) if len(values) > 2 and min(spread) > 0 else float("nan")
