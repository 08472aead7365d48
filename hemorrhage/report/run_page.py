"""The page of an evaluation: tables, figures, and the scans one should look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from hemorrhage.evaluation.combinations import COMBINATIONS
from hemorrhage.evaluation.summary import SLICES, THRESHOLDS, value_of
from hemorrhage.report.figures import FEWEST_FOR_CURVES, bland_altman, dice_boxes, roc, volume_scatter
from hemorrhage.report.pages import render

if TYPE_CHECKING:
    from hemorrhage.datasets import Failure

__all__ = ["figures_of", "run_page", "scans_to_show"]

_NOTHING = {"value": float("nan"), "low": float("nan"), "high": float("nan"), "scans": 0}


def scans_to_show(rows: pd.DataFrame, worst: int = 4) -> list[tuple[str, str]]:
    """Why and which scans to look at: the median by Dice, then the worst, of those with blood.

    Args:
        rows: a row a scan.
        worst: how many of the worst.

    Returns:
        pairs of "median" or "worst" and the scan's name; of scans without blood the one with most false volume.
    """
    blood = rows[rows["reference_ml"] > 0].sort_values(["dice", "name"])
    chosen = []
    if len(blood):
        chosen.append(("median", str(blood["name"].iloc[len(blood) // 2])))
        chosen += [("worst", str(name)) for name in blood["name"].iloc[:worst] if name != chosen[0][1]]
    clean = rows[(rows["reference_ml"] == 0) & (rows["automatic_ml"] > 0)].sort_values("automatic_ml")
    if len(clean):
        chosen.append(("most invented", str(clean["name"].iloc[-1])))
    return chosen


def figures_of(rows: pd.DataFrame, slices: pd.DataFrame, name: str) -> dict[str, bytes]:
    """PNGs of an evaluation: "boxes", "scatter", "bland_altman" and "roc"."""
    blood = rows[rows["reference_ml"] > 0]
    curves = {"scans": ((rows["reference_ml"] > 0).astype(int).to_numpy(), rows["scan_score"].to_numpy())}
    if len(slices):
        curves["slices"] = (slices["blood"].to_numpy(), slices["score"].to_numpy())
    boxes = {"all": blood["dice"].to_numpy()}
    parts = {name: blood.loc[blood["combination"] == name, "dice"].to_numpy() for name in COMBINATIONS}
    boxes |= {name: dice for name, dice in parts.items() if 0 < dice.size < len(blood)}
    volumes = blood["reference_ml"].to_numpy(), blood["automatic_ml"].to_numpy()
    return {
        "boxes": dice_boxes(boxes),
        "scatter": volume_scatter(*volumes, title=name),
        "bland_altman": bland_altman(*volumes, title=name),
        "roc": roc(curves, intervals=False),
    }


def _group(summary: pd.DataFrame, name: str) -> dict[str, Any]:
    def of(statistic: str) -> Mapping[str, Any]:
        return value_of(summary, name, statistic) or _NOTHING

    def ranged(statistic: str) -> tuple[float, float, float]:
        row = of(statistic)
        return row["value"], row["low"], row["high"]

    return {
        "name": name,
        "n": of("dice mean")["scans"],
        "dice": ranged("dice mean"),
        "sd": of("dice SD")["value"],
        "median": of("dice median")["value"],
        "min": of("dice min")["value"],
        "max": of("dice max")["value"],
        "failed": of("failed (dice < 0.5)")["value"],
        "hd95": of("hd95 median mm")["value"],
        "surface": of("surface dice mean")["value"],
        "r": of("volume r")["value"],
        "ccc": of("volume ccc")["value"],
        "rmse": ranged("volume rmse_ml"),
        "within": of("volume within_5_ml")["value"],
        "bias": ranged("volume bias_ml"),
        "limits": (of("volume limit_low_ml")["value"], of("volume limit_high_ml")["value"]),
    }


def _detection(summary: pd.DataFrame, of: str) -> dict[str, Any]:
    """How well "scan" or "slice" scores tell blood: areas, rates at each threshold and chosen thresholds."""
    group = f"{of} detection"
    found = {r["statistic"]: r for r in summary[summary["group"] == group].to_dict("records")}

    def ranged(statistic: str) -> tuple[float, float, float]:
        row = found.get(statistic, _NOTHING)
        return row["value"], row["low"], row["high"]

    rates = ("sensitivity", "specificity", "accuracy", "f1")
    points = [
        (wanted, ranged(f"threshold at sensitivity {wanted:g}")[0], ranged(f"specificity at sensitivity {wanted:g}")[0])
        for wanted in (1.0, 0.95)
    ]
    return {
        "name": f"{of}s",
        "n": found["AUC"]["scans"],
        "auc": ranged("AUC"),
        "precision": ranged("average precision"),
        "rates": [(t, [ranged(f"{rate} at {t:g}") for rate in rates]) for t in THRESHOLDS],
        "points": [point for point in points if point[1] == point[1]],
    }


def run_page(
    run: Mapping[str, Any],
    rows: pd.DataFrame,
    summary: pd.DataFrame,
    figures: Mapping[str, bytes],
    overlay: Callable[[str, str], bytes],
    failures: Sequence[Failure],
    draws: int,
) -> str:
    """HTML of an evaluation.

    Args:
        run: its settings, as ``run.json`` holds them.
        rows: a row a scan.
        summary: of :func:`hemorrhage.evaluation.summary.summarize`.
        figures: of :func:`figures_of`.
        overlay: makes the PNG of a scan from its name and a title.
        failures: scans without scores.
        draws: of patients behind each interval.
    """
    elsewhere = ("all", "scan detection", "slice detection", SLICES)
    names = [n for n in dict.fromkeys(summary["group"]) if n not in elsewhere]
    by_name = rows.set_index("name")
    cases = []
    for why, name in scans_to_show(rows):
        row = by_name.loc[name]
        title = f"{why}: {name}"
        caption = (
            f"{title}. Dice {row['dice']:.3f}; manual {row['reference_ml']:.1f} mL, automatic "
            f"{row['automatic_ml']:.1f} mL; {row['combination']}."
        )
        cases.append({"title": title, "caption": caption, "png": overlay(name, title)})
    lesions = {}
    for key, statistic in (("sensitivity", "lesion sensitivity"), ("false_positives", "false positive lesions a scan")):
        found = value_of(summary, "all", statistic) or _NOTHING
        lesions[key] = found["value"], found["low"], found["high"]
    outside = rows.get("reference_outside_brain_ml", pd.Series(dtype=float)).fillna(0)
    positives = int((rows["reference_ml"] > 0).sum())
    return render(
        "run",
        {
            "title": f"Evaluation: {run['name']}",
            "run": run,
            "scans": len(rows),
            "patients": rows["patient"].nunique(),
            "positives": positives,
            "curves": positives >= FEWEST_FOR_CURVES,
            "outside_ml": float(outside.sum()) if outside.sum() >= 0.05 else 0.0,
            "outside_scans": int((outside > 0).sum()),
            "draws": draws,
            "groups": [_group(summary, name) for name in names],
            "figures": figures,
            "detection": [
                _detection(summary, of) for of in ("scan", "slice") if (summary["group"] == f"{of} detection").any()
            ],
            "lesions": lesions,
            "cases": cases,
            "failures": [asdict(f) for f in failures],
        },
    )
