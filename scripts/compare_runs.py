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

from hemorrhage.errors import EXIT_RESOURCE, ScanError
from hemorrhage.evaluation.cases import RUN, read_run
from hemorrhage.evaluation.compare import (
    common_scans,
    dice_by_combination,
    dice_table,
    left_out,
    paired_differences,
    read_runs,
    volume_table,
)
from hemorrhage.files import write_atomically
from hemorrhage.report.comparison_page import comparison_figures, comparison_page
from hemorrhage.report.figures import save_figures


def main(
    runs: Annotated[list[Path], typer.Argument(help="Two or more output folders of evaluations.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("results/comparison"),
    name: Annotated[list[str] | None, typer.Option(help="Of a system, once for each RUN in their order.")] = None,
    draws: Annotated[int, typer.Option(min=1, help="Draws of patients behind each interval.")] = 2000,
) -> None:
    """Write dice.csv, dice_by_combination.csv, volume.csv, differences.csv, figures/ and index.html below OUT."""
    try:
        _compare(runs, out, name or [], draws)
    except ScanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None


def _compare(folders: list[Path], out: Path, names: list[str], draws: int) -> None:
    if len(folders) < 2:
        raise ScanError("E_NOT_FOUND", folders[0], "it is the only run named", "Name two evaluations or more.")
    if (out / RUN).exists() or (out.exists() and not out.is_dir()):
        raise ScanError("E_WOULD_OVERWRITE", out, "it is an evaluation or a file", "Name another --out.")
    runs = read_runs(folders, names)
    scans = common_scans(runs)
    spare = left_out(runs, scans)
    tables = {
        "dice": dice_table(scans, draws).reset_index(),
        "dice_by_combination": dice_by_combination(scans),
        "volume": volume_table(scans, draws).reset_index(),
        "differences": paired_differences(scans, draws),
    }
    figures = comparison_figures(scans)
    settings = dict(zip(scans, map(read_run, folders), strict=True))
    page = comparison_page(scans, tables, figures, draws, settings, spare)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for title, table in tables.items():
            table.to_csv(out / f"{title}.csv", index=False, float_format="%.6g")
        save_figures(out / "figures", figures)
        write_atomically(out / "index.html", lambda path: path.write_text(page, encoding="utf-8"))
    except OSError as error:
        cause = f"nothing can be written there ({error.strerror})"
        raise ScanError("E_OUTPUT", out, cause, "Name another --out.", EXIT_RESOURCE) from None
    for title, table in (("Dice of scans with blood", "dice"), ("Differences, scan by scan", "differences")):
        typer.echo(f"{title}\n{tables[table].round(3).to_string(index=False, na_rep='-')}\n")
    for system, count in spare.items():
        typer.echo(f"{count} scan(s) of {system} left out: not all systems have scores of them", err=True)
    typer.echo(str(out / "index.html"))


if __name__ == "__main__":
    typer.run(main)
