"""The end of an evaluation: tables, figures and the page, from what was written for each scan."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from hemorrhage.datasets import Failure
from hemorrhage.errors import ScanError
from hemorrhage.evaluation.cases import named_cases, read_run, read_scores
from hemorrhage.evaluation.summary import summarize, value_of
from hemorrhage.files import write_atomically
from hemorrhage.reader import HeadCTReader
from hemorrhage.report.case_overlay import case_overlay
from hemorrhage.report.figures import save_figures
from hemorrhage.report.run_page import figures_of, run_page
from hemorrhage.runs import run_step

__all__ = ["finish_evaluation", "overlay_of", "tables_of"]


def tables_of(output_dir: Path, cases: Sequence[Mapping[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row for each scan that was scored, and one for each of its slices; one scan is in memory at a time.

    Args:
        output_dir: folder of the evaluation.
        cases: all cases, named.
    """
    rows, slices = [], []
    for case in cases:
        found = read_scores(output_dir, case["name"])
        if found is not None:
            rows.append(found["row"])
            slices += [
                {"name": found["row"]["name"], "patient": found["row"]["patient"], **part} for part in found["slices"]
            ]
    return pd.DataFrame(rows), pd.DataFrame(slices)


def overlay_of(output_dir: Path, case: Mapping[str, Any], title: str, hu_offset: float) -> bytes:
    """PNG of a scan with what was found, missed and invented.

    Args:
        output_dir: folder of the evaluation.
        case: with "name", "image" and "label".
        title: above the slices.
        hu_offset: as for reading.
    """
    reader = HeadCTReader(min_slices=1, hu_offset=hu_offset)
    hu, _ = reader.get_data(reader.read(case["image"]))
    label: Any = nib.load(case["label"])
    mask: Any = nib.load(output_dir / "scans" / case["name"] / "hemorrhage.nii.gz")
    return case_overlay(hu, np.asarray(label.dataobj) > 0, np.asarray(mask.dataobj) > 0, label.affine, title)


def _save_csv(path: Path, table: pd.DataFrame) -> None:
    write_atomically(path, lambda p: table.to_csv(p, index=False, float_format="%.6g"))


def finish_evaluation(
    output_dir: str,
    cases: Sequence[Mapping[str, Any]],
    failures: Sequence[Failure] = (),
    bootstrap_runs: int = 2000,
    hu_offset: float = 0.0,
) -> None:
    """Write ``scans.csv``, ``slices.csv``, ``summary.csv``, ``figures/`` and ``index.html``, and report failures.

    Args:
        output_dir: folder of the evaluation.
        cases: all its cases; scores of others in the folder are left out.
        failures: the scans of this run that have no scores.
        bootstrap_runs: draws of patients behind each interval.
        hu_offset: as for reading, for the pictures.

    Raises:
        SystemExit: with the gravest exit code among the failures, if there are any; where no scan has scores, or what
            was written of one is damaged, after printing a line that says so.
    """
    run_step(
        partial(_finish, Path(output_dir).expanduser().absolute(), cases, failures, bootstrap_runs, hu_offset),
    )


def _finish(
    out: Path, cases: Sequence[Mapping[str, Any]], failures: Sequence[Failure], bootstrap_runs: int, hu_offset: float
) -> None:
    named = named_cases(cases)
    rows, slices = tables_of(out, named)
    if len(rows):
        run = read_run(out)
        summary = summarize(rows, slices, bootstrap_runs)
        for name, table in (("scans", rows), ("slices", slices), ("summary", summary)):
            _save_csv(out / f"{name}.csv", table)
        figures = figures_of(rows, slices, run["name"])
        save_figures(out / "figures", figures)
        by_name = {case["name"]: case for case in named}

        def overlay(name: str, title: str) -> bytes:
            return overlay_of(out, by_name[name], title, hu_offset)

        page = run_page(run, rows, summary, figures, overlay, failures, bootstrap_runs)
        write_atomically(out / "index.html", lambda p: p.write_text(page, encoding="utf-8"))
        _say(summary, len(rows), out)
    for failure in failures:
        print(failure.message, file=sys.stderr)
    if failures:
        print(f"{len(failures)} scan(s) failed, {len(rows)} have scores", file=sys.stderr)
        raise SystemExit(max(f.exit_code for f in failures))
    if not len(rows):
        raise ScanError("E_NO_SCANS", out, "no scan has scores", "Name scans with --dataset_dir or --datalist.")


def _say(summary: pd.DataFrame, scans: int, out: Path) -> None:
    for statistic in ("dice mean", "dice median", "volume bias_ml"):
        row = value_of(summary, "with blood", statistic)
        if row is not None:
            bounds = f" ({row['low']:.3f} to {row['high']:.3f})" if row["low"] == row["low"] else ""
            print(f"{statistic}: {row['value']:.3f}{bounds}, {row['scans']} with blood")
    print(f"{scans} scans: {out / 'index.html'}")
