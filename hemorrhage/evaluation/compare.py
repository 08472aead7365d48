"""Systems beside each other on the same scans: their tables, and paired differences with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hemorrhage.errors import ScanError
from hemorrhage.evaluation.cases import read_run
from hemorrhage.evaluation.summary import groups_of, intervals_of, statistics_of

__all__ = ["common_scans", "dice_by_combination", "dice_table", "paired_differences", "read_runs", "volume_table"]

_PAIRED = {
    "dice": "dice",
    "surface dice": "surface_dice",
    "absolute volume error mL": "absolute_error_ml",
    "false positive lesions": "false_positive_lesions",
}


def read_runs(folders: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """The scans of several evaluations by name of the system, in the order given.

    Raises:
        ScanError: E_NOT_FOUND if a folder holds no finished evaluation; E_NAME if two systems have one name.
    """
    runs: dict[str, pd.DataFrame] = {}
    for folder in folders:
        name = str(read_run(folder)["name"])
        if name in runs:
            raise ScanError(
                "E_NAME", folder, f"two systems are named {name}", "Score them with --name of their own each."
            )
        path = folder / "scans.csv"
        if not path.exists():
            raise ScanError("E_NOT_FOUND", folder, "it holds no scans.csv", "Let the evaluation finish first.")
        runs[name] = pd.read_csv(path, dtype={"name": str, "patient": str})
    return runs


def common_scans(runs: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The scans that all systems scored, in one order, with "absolute_error_ml" added.

    Raises:
        ScanError: E_NO_SCANS if they have none in common; E_OTHER_INPUT if one scan has two reference volumes.
    """
    names = set.intersection(*(set(rows["name"]) for rows in runs.values()))
    if not names:
        raise ScanError("E_NO_SCANS", ", ".join(runs), "they have no scan in common", "Score the same list with all.")
    common = {}
    for system, rows in runs.items():
        kept = rows[rows["name"].isin(names)].sort_values("name").reset_index(drop=True)
        common[system] = kept.assign(absolute_error_ml=kept["difference_ml"].abs())
    first = next(iter(common.values()))
    for system, rows in common.items():
        differing = ~np.isclose(rows["reference_ml"], first["reference_ml"], rtol=1e-6, atol=1e-6)
        if differing.any():
            raise ScanError(
                "E_OTHER_INPUT",
                first["name"][differing].iloc[0],
                f"its reference volume differs between {next(iter(common))} and {system}",
                "Score the same masks with all systems.",
            )
    return common


def dice_table(runs: Mapping[str, pd.DataFrame], draws: int = 2000) -> pd.DataFrame:
    """DeepBleed's Table 1 of scans with blood: mean with its interval, SD, median, extremes and share failed."""
    rows = []
    for system, scans in runs.items():
        blood = scans[scans["reference_ml"] > 0]
        found = statistics_of(blood)
        low, high = intervals_of(blood, ("dice",), lambda v: v.mean(0), draws)
        rows.append(
            {
                "model": system,
                "mean": found["dice mean"],
                "mean low": low[0],
                "mean high": high[0],
                "SD": found["dice SD"],
                "median": found["dice median"],
                "min": found["dice min"],
                "max": found["dice max"],
                "failed": found["failed (dice < 0.5)"],
                "scans": len(blood),
            }
        )
    return pd.DataFrame(rows).set_index("model")


def dice_by_combination(runs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """DeepBleed's Table 2: mean Dice, its SD and the number of scans for each combination of subtypes."""
    rows = []
    for system, scans in runs.items():
        groups = groups_of(scans)
        for name, group in groups.items():
            if name.startswith("ICH") or name == "other":
                found = statistics_of(group)
                rows.append(
                    {
                        "model": system,
                        "combination": name,
                        "mean": found["dice mean"],
                        "SD": found["dice SD"],
                        "scans": len(group),
                    }
                )
    return pd.DataFrame(rows, columns=["model", "combination", "mean", "SD", "scans"])


def volume_table(runs: Mapping[str, pd.DataFrame], draws: int = 2000) -> pd.DataFrame:
    """DeepBleed's Table 3 of scans with blood, and concordance and limits of agreement beside it."""
    rows = []
    for system, scans in runs.items():
        blood = scans[scans["reference_ml"] > 0]
        found = statistics_of(blood)
        low, high = intervals_of(blood, ("difference_ml",), lambda v: v.mean(0), draws)
        rows.append(
            {
                "model": system,
                "r": found["volume r"],
                "ccc": found["volume ccc"],
                "RMSE mL": found["volume rmse_ml"],
                "within 5 mL": found["volume within_5_ml"],
                "bias mL": found["volume bias_ml"],
                "bias low": low[0],
                "bias high": high[0],
                "limit low mL": found["volume limit_low_ml"],
                "limit high mL": found["volume limit_high_ml"],
            }
        )
    return pd.DataFrame(rows).set_index("model")


def paired_differences(runs: Mapping[str, pd.DataFrame], draws: int = 2000) -> pd.DataFrame:
    """Mean differences, scan by scan, of each system to the first, on scans with blood.

    Args:
        runs: as :func:`common_scans` gives them.
        draws: of patients, behind each interval.

    Returns:
        columns "model", "against", "measure", "difference" (model minus first), "low", "high" (95 %), "scans" and
        "better on" (share of scans on which the model has the higher Dice or the smaller error).
    """
    (reference, first), *others = runs.items()
    rows = []
    for system, scans in others:
        blood = first["reference_ml"] > 0
        for measure, column in _PAIRED.items():
            difference = (scans[column] - first[column])[blood]
            table = pd.DataFrame({"patient": first["patient"][blood], "d": difference})
            low, high = intervals_of(table, ("d",), lambda v: v.mean(0), draws) if len(table) else ([np.nan], [np.nan])
            sign = 1 if "dice" in measure else -1
            rows.append(
                {
                    "model": system,
                    "against": reference,
                    "measure": measure,
                    "difference": float(difference.mean()),
                    "low": float(low[0]),
                    "high": float(high[0]),
                    "better on": float((sign * difference > 0).mean()),
                    "scans": len(table),
                }
            )
    return pd.DataFrame(rows)
