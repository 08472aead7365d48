"""Systems beside each other on the same scans: their tables, and paired differences with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hemorrhage.errors import ScanError, first_sentence
from hemorrhage.evaluation.cases import read_run
from hemorrhage.evaluation.summary import COLUMNS, groups_of, intervals_of, statistics_of

__all__ = [
    "common_scans",
    "dice_by_combination",
    "dice_table",
    "left_out",
    "paired_differences",
    "read_runs",
    "volume_table",
]

_PAIRED = {
    "Dice": "dice",
    "surface Dice": "surface_dice",
    "absolute volume error mL": "absolute_error_ml",
    "false positive lesions": "false_positive_lesions",
}
_AGAIN = "Run the evaluation again; scans that have scores are kept."


def read_runs(folders: Sequence[Path], names: Sequence[str] = ()) -> dict[str, pd.DataFrame]:
    """The scans of several evaluations by name of the system, in the order given.

    Args:
        folders: output folders of evaluations.
        names: of the systems, in the order of the folders; empty takes those that the evaluations were given.

    Raises:
        ScanError: E_NOT_FOUND if a folder holds no finished evaluation; E_FILE_UNREADABLE if its table is damaged;
            E_NAME if two systems have one name, a folder is given twice or the names are not as many as the folders.
    """
    if names and len(names) != len(folders):
        raise ScanError(
            "E_NAME", "--name", f"{len(names)} names for {len(folders)} runs", "Give as many names as runs, or none."
        )
    runs: dict[str, pd.DataFrame] = {}
    places: dict[Path, Path] = {}
    for n, folder in enumerate(folders):
        name = names[n] if names else str(read_run(folder)["name"])
        place = folder.resolve()
        if place in places:
            raise ScanError("E_NAME", folder, "the run is given twice", "Name the folders of different runs.")
        if name in runs:
            remedy = "Tell them apart with a --name each, in the order of the runs."
            raise ScanError("E_NAME", folder, f"two systems are named {name}", remedy)
        read_run(folder)
        places[place], runs[name] = folder, _read_scans(folder / "scans.csv")
    return runs


def _read_scans(path: Path) -> pd.DataFrame:
    needed = {"name", "patient", "combination", "difference_ml", "scan_score", *COLUMNS}
    try:
        # A patient may be called NA: only an empty cell is nothing.
        text = {"name": str, "patient": str, "combination": str}
        rows = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])
    except FileNotFoundError:
        remedy = "Let the evaluation come to its end first: the same command goes on."
        raise ScanError("E_NOT_FOUND", path, "there is no such table of scans", remedy) from None
    except (OSError, ValueError) as error:
        raise ScanError("E_FILE_UNREADABLE", path, first_sentence(error), _AGAIN) from None
    if missing := sorted(needed - set(rows.columns)):
        raise ScanError("E_FILE_UNREADABLE", path, f"it lacks the columns {', '.join(missing)}", _AGAIN)
    if not len(rows):
        raise ScanError("E_NO_SCANS", path, "it holds no scan", _AGAIN)
    numbers = [c for c in sorted(needed) if c not in ("name", "patient", "combination")]
    wrong = [c for c in numbers if not pd.api.types.is_numeric_dtype(rows[c])]
    holes = [c for c in sorted(needed) if rows[c].isna().any()]
    if wrong or holes:
        said = f"{wrong[0]} holds what is no number" if wrong else f"{holes[0]} has empty cells"
        raise ScanError("E_FILE_UNREADABLE", path, f"its column {said}", _AGAIN)
    if twice := [name for name, count in Counter(rows["name"]).items() if count > 1]:
        raise ScanError("E_FILE_UNREADABLE", path, f"it holds the scan {twice[0]} more than once", _AGAIN)
    return rows


def common_scans(runs: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The scans that all systems scored, in one order, with "absolute_error_ml" added.

    Raises:
        ScanError: E_NO_SCANS if they have none in common, or none with blood; E_OTHER_INPUT if one scan has two
            reference volumes or two patients.
    """
    names = set.intersection(*(set(rows["name"]) for rows in runs.values()))
    if not names:
        counts = ", ".join(f"{system} ({len(rows)} scans)" for system, rows in runs.items())
        raise ScanError("E_NO_SCANS", counts, "they have no scan in common", "Score the same list with all systems.")
    common = {}
    for system, rows in runs.items():
        kept = rows[rows["name"].isin(names)].sort_values("name").reset_index(drop=True)
        common[system] = kept.assign(absolute_error_ml=kept["difference_ml"].abs())
    (one, first), *others = common.items()
    for system, rows in others:
        for differing, what in (
            (~np.isclose(rows["reference_ml"], first["reference_ml"], rtol=1e-6, atol=1e-6), "reference volume"),
            (rows["patient"].to_numpy() != first["patient"].to_numpy(), "patient"),
        ):
            if differing.any():
                raise ScanError(
                    "E_OTHER_INPUT",
                    first["name"][differing].iloc[0],
                    f"its {what} differs between {one} and {system}, as that of {np.count_nonzero(differing)} of "
                    f"{len(first)} scans",
                    "Score the same scans and masks with all systems.",
                )
    if not (first["reference_ml"] > 0).any():
        raise ScanError(
            "E_NO_SCANS",
            ", ".join(runs),
            f"none of the {len(first)} scans that all scored has blood in its mask",
            "Score scans with blood too: Dice and volumes are compared on those.",
        )
    return common


def left_out(runs: Mapping[str, pd.DataFrame], common: Mapping[str, pd.DataFrame]) -> dict[str, int]:
    """How many scans of each system are in no table, because another system has no scores of them; none: no entry."""
    spare = {system: len(rows) - len(common[system]) for system, rows in runs.items()}
    return {system: count for system, count in spare.items() if count}


def _with_blood(runs: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, pd.DataFrame, dict[str, float]]]:
    for system, scans in runs.items():
        blood = scans[scans["reference_ml"] > 0]
        yield system, blood, statistics_of(blood)


def _mean_interval(rows: pd.DataFrame, column: str, draws: int) -> tuple[float, float]:
    low, high = intervals_of(rows, (column,), lambda v: v.mean(0), draws)
    return float(low[0]), float(high[0])


def dice_table(runs: Mapping[str, pd.DataFrame], draws: int = 2000) -> pd.DataFrame:
    """DeepBleed's Table 1 of scans with blood: mean with its interval, SD, median, extremes and share failed.

    What needs more scans or patients than there are is NaN.
    """
    rows = []
    for system, blood, found in _with_blood(runs):
        low, high = _mean_interval(blood, "dice", draws)
        spread = {name: found[f"dice {name}"] for name in ("SD", "median", "min", "max")}
        rows.append(
            {"model": system, "mean": found["dice mean"], "mean low": low, "mean high": high, **spread,
             "failed": found["failed (dice < 0.5)"], "scans": len(blood)}
        )  # fmt: skip
    return pd.DataFrame(rows).set_index("model")


def dice_by_combination(runs: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """DeepBleed's Table 2: mean Dice, its SD and the number of scans for each combination of subtypes."""
    rows = []
    for system, scans in runs.items():
        for name, group in groups_of(scans).items():
            if name.startswith("ICH") or name == "other":
                found = statistics_of(group)
                rows.append(
                    {"model": system, "combination": name, "mean": found["dice mean"], "SD": found["dice SD"],
                     "scans": len(group)}
                )  # fmt: skip
    return pd.DataFrame(rows, columns=["model", "combination", "mean", "SD", "scans"])


def volume_table(runs: Mapping[str, pd.DataFrame], draws: int = 2000) -> pd.DataFrame:
    """DeepBleed's Table 3 of scans with blood, and concordance and limits of agreement beside it."""
    rows = []
    for system, blood, found in _with_blood(runs):
        low, high = _mean_interval(blood, "difference_ml", draws)
        rows.append(
            {
                "model": system,
                "r": found["volume r"],
                "ccc": found["volume ccc"],
                "RMSE mL": found["volume rmse_ml"],
                "within 5 mL": found["volume within_5_ml"],
                "bias mL": found["volume bias_ml"],
                "bias low": low,
                "bias high": high,
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
        "better on" (share of scans on which the model has the higher Dice or the smaller error; equal is not better).
    """
    (reference, first), *others = runs.items()
    blood = first["reference_ml"] > 0
    rows = []
    for system, scans in others:
        for measure, column in _PAIRED.items():
            difference = (scans[column] - first[column])[blood]
            table = pd.DataFrame({"patient": first["patient"][blood], "d": difference})
            low, high = _mean_interval(table, "d", draws)
            sign = 1 if "Dice" in measure else -1
            rows.append(
                {
                    "model": system,
                    "against": reference,
                    "measure": measure,
                    "difference": float(difference.mean()),
                    "low": low,
                    "high": high,
                    "better on": float((sign * difference > 0).mean()),
                    "scans": len(table),
                }
            )
    return pd.DataFrame(rows)
