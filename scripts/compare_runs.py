"""Compare evaluations of the same scans: python scripts/compare_runs.py RUN RUN ... --out FOLDER.

Each RUN is an output folder of evaluate.yaml. Differences are against the first, scan by scan, with 95 % intervals from
resampling patients.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.errors import ScanError
from hemorrhage.evaluation.compare import (
    common_scans,
    dice_by_combination,
    dice_table,
    paired_differences,
    read_runs,
    volume_table,
)
from hemorrhage.files import write_atomically
from hemorrhage.report.comparison_page import comparison_figures, comparison_page
from hemorrhage.report.run_page import save_figures


def main(
    runs: Annotated[list[Path], typer.Argument(help="Two or more output folders of evaluations.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("results/comparison"),
    draws: Annotated[int, typer.Option(min=1, help="Draws of patients behind each interval.")] = 2000,
) -> None:
    """Write dice.csv, dice_by_combination.csv, volume.csv, differences.csv, figures/ and index.html below OUT."""
    if len(runs) < 2:
        raise typer.BadParameter("two evaluations or more are needed")
    try:
        scans = common_scans(read_runs(runs))
    except ScanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    tables = {
        "dice": dice_table(scans, draws).reset_index(),
        "dice_by_combination": dice_by_combination(scans),
        "volume": volume_table(scans, draws).reset_index(),
        "differences": paired_differences(scans, draws),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv", index=False, float_format="%.6g")
    figures = comparison_figures(scans)
    save_figures(out / "figures", figures)
    page = comparison_page(scans, tables, figures, draws)
    write_atomically(out / "index.html", lambda path: path.write_text(page, encoding="utf-8"))
    typer.echo(tables["dice"].round(3).to_string(index=False))
    typer.echo(tables["differences"].round(3).to_string(index=False))
    typer.echo(str(out / "index.html"))


if __name__ == "__main__":
    typer.run(main)
