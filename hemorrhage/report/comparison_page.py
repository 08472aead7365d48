"""The page that shows systems beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hemorrhage.report.figures import FEWEST_FOR_CURVES, bland_altman, dice_boxes, roc, volume_scatter
from hemorrhage.report.pages import number, render

__all__ = ["comparison_figures", "comparison_page"]


def comparison_figures(scans: Mapping[str, pd.DataFrame]) -> dict[str, bytes]:
    """PNGs of scans with blood: "boxes" of all systems, "scatter_N" and "bland_altman_N" of the Nth.

    Where there are scans without blood too, also "roc" of all systems; its areas have DeLong's intervals if each scan
    is of another patient.
    """
    blood = {name: rows[rows["reference_ml"] > 0] for name, rows in scans.items()}
    figures = {"boxes": dice_boxes({name: rows["dice"].to_numpy() for name, rows in blood.items()})}
    for n, (name, rows) in enumerate(blood.items()):
        volumes = rows["reference_ml"].to_numpy(), rows["automatic_ml"].to_numpy()
        figures[f"scatter_{n}"] = volume_scatter(*volumes, title=name)
        figures[f"bland_altman_{n}"] = bland_altman(*volumes, title=name)
    first = next(iter(scans.values()))
    labels = (first["reference_ml"] > 0).astype(int).to_numpy()
    if 0 < labels.sum() < len(labels):
        curves = {name: (labels, rows["scan_score"].to_numpy()) for name, rows in scans.items()}
        figures["roc"] = roc(curves, intervals=first["patient"].is_unique)
    return figures


def comparison_page(
    scans: Mapping[str, pd.DataFrame],
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, bytes],
    draws: int,
    settings: Mapping[str, Mapping[str, Any]],
    left_out: Mapping[str, int],
) -> str:
    """HTML of a comparison.

    Args:
        scans: of each system, as :func:`hemorrhage.evaluation.compare.common_scans` gives them.
        tables: "dice", "dice_by_combination", "volume" and "differences" of that module, with "model" as a column.
        figures: of :func:`comparison_figures`.
        draws: of patients behind each interval.
        settings: of each system, as its ``run.json`` holds them.
        left_out: how many scans of a system are in no table.
    """
    models = list(scans)
    first = scans[models[0]]
    positives = int((first["reference_ml"] > 0).sum())
    parts = tables["dice_by_combination"]
    combinations = list(dict.fromkeys(parts["combination"]))
    cells = {
        (r["model"], r["combination"]): f"{number(r['mean'])} ({number(r['SD'])})" for r in parts.to_dict("records")
    }
    dice = [{**r, "low": r["mean low"], "high": r["mean high"]} for r in tables["dice"].to_dict("records")]
    volume = [
        {
            **r,
            "rmse": r["RMSE mL"],
            "within": r["within 5 mL"],
            "bias": r["bias mL"],
            "low": r["bias low"],
            "high": r["bias high"],
            "limit_low": r["limit low mL"],
            "limit_high": r["limit high mL"],
        }
        for r in tables["volume"].to_dict("records")
    ]
    return render(
        "comparison",
        {
            "title": "Systems compared",
            "models": models,
            "scans": len(first),
            "patients": first["patient"].nunique(),
            "positives": positives,
            "curves": positives >= FEWEST_FOR_CURVES,
            "left_out": left_out,
            "settings": [
                {
                    "name": name,
                    "threshold": of.get("threshold", "-"),
                    "smallest": of.get("smallest_bleed_mm3", "-"),
                    "weights": str(of.get("weights_sha256", "-"))[:12],
                }
                for name, of in settings.items()
            ],
            "draws": draws,
            "dice": dice,
            "combinations": combinations,
            "counts": dict(zip(parts["combination"], parts["scans"], strict=True)),
            "by_combination": [
                {"model": m, "cells": {c: cells.get((m, c), "-") for c in combinations}} for m in models
            ],
            "volume": volume,
            "differences": [{**r, "better": r["better on"]} for r in tables["differences"].to_dict("records")],
            "figures": {
                "boxes": figures["boxes"],
                "roc": figures.get("roc"),
                "scatter": {m: figures[f"scatter_{n}"] for n, m in enumerate(models)},
                "bland_altman": {m: figures[f"bland_altman_{n}"] for n, m in enumerate(models)},
            },
        },
    )
