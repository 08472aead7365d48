"""Growth between two scans of one patient: python scripts/compare_scans.py EARLIER LATER --out FOLDER.

Both are result folders of an inference, such as results/049, read with the same weights and threshold. Research use
only; not for diagnosis.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.errors import EXIT_RESOURCE, ScanError
from hemorrhage.files import write_atomically
from hemorrhage.report.growth import compare_findings, read_result
from hemorrhage.report.growth_page import growth_lines, growth_page


def main(
    earlier: Annotated[Path, typer.Argument(help="Result folder of the first scan.")],
    later: Annotated[Path, typer.Argument(help="Result folder of the second scan of the same patient.")],
    out: Annotated[Path | None, typer.Option(help="Folder that gets growth.json and a page, index.html.")] = None,
) -> None:
    """Print the growth in mL and percent, the flags that trials use, and what speaks against believing it."""
    try:
        first, second = read_result(earlier), read_result(later)
        growth = compare_findings(first, second)
        for name, value in growth_lines(growth):
            typer.echo(f"{name}: {value}")
        for doubt in growth["doubts"]:
            typer.echo(f"doubt: {doubt}", err=True)
        typer.echo("Research use only; not for diagnosis.")
        if out is not None:
            overlays = [(p.parent if p.is_file() else p) / "overlay.png" for p in (earlier, later)]
            before, after = (p.read_bytes() if p.exists() else None for p in overlays)
            page = growth_page(growth, first, second, (before, after))
            _write(out, json.dumps(growth, indent=2) + "\n", page)
            typer.echo(str(out / "index.html"))
    except ScanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None


def _write(out: Path, record: str, page: str) -> None:
    if (out / "findings.json").exists() or (out.exists() and not out.is_dir()):
        raise ScanError("E_WOULD_OVERWRITE", out, "it is a result or a file", "Name another --out.")
    try:
        write_atomically(out / "growth.json", lambda path: path.write_text(record, encoding="utf-8"))
        write_atomically(out / "index.html", lambda path: path.write_text(page, encoding="utf-8"))
    except OSError as error:
        cause = f"nothing can be written there ({error.strerror})"
        raise ScanError("E_OUTPUT", out, cause, "Name another --out.", EXIT_RESOURCE) from None


if __name__ == "__main__":
    typer.run(main)
