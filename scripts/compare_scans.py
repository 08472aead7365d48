"""Growth between two scans of one patient: python scripts/compare_scans.py EARLIER LATER.

Both are result folders of an inference, each with its findings.json, read with the same weights and threshold. Research
use only; not for diagnosis.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.errors import ScanError
from hemorrhage.report.growth import compare_findings
from hemorrhage.runs import read_findings


def main(
    earlier: Annotated[Path, typer.Argument(help="Result folder of the first scan.")],
    later: Annotated[Path, typer.Argument(help="Result folder of the second scan.")],
    out: Annotated[Path | None, typer.Option(help="Also write the comparison to this JSON file.")] = None,
) -> None:
    """Print growth in mL and percent with its flags."""
    try:
        pair = []
        for folder in (earlier, later):
            found = read_findings(folder)
            if found is None:
                raise ScanError("E_NOT_FOUND", folder, "it holds no findings.json", "Name a result folder.")
            pair.append(found)
        growth = compare_findings(pair[0], pair[1])
    except ScanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    text = json.dumps(growth, indent=2)
    typer.echo(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
