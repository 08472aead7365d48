"""Whether subtypes are named right on a study whose masks name them.

    python scripts/score_subtypes.py RESULTS SUBTYPES

RESULTS is the output folder of an inference run with a system that names subtypes; SUBTYPES holds NAME.nii or
NAME.nii.gz for each result NAME, with 1 EDH, 2 SDH, 3 SAH, 4 IPH and 5 IVH. Prints how well each subtype is named,
what its blood was called and whether names are as right as they are sure, and writes the row of each scan into
RESULTS/subtypes.csv.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import nibabel as nib
import numpy as np
import pandas as pd
import typer
from calibrate import truth_of
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.errors import ScanError
from hemorrhage.evaluation.subtype_names import called_table, certainty_table, name_scores, names_table
from hemorrhage.files import write_atomically
from hemorrhage.geometry import voxel_volume_ml
from hemorrhage.runs import read_findings
from hemorrhage.subtypes import SUBTYPES


def read_scan(folder: Path, subtypes: Path) -> dict[str, object]:
    """The row of one result.

    Raises:
        ScanError: E_LABEL, E_NOT_FOUND or E_GRID if the result names no subtypes, its truth is missing or lies on
            another grid; E_LABEL if the truth holds other values than subtypes'.
    """
    record = read_findings(folder)
    assert record is not None
    if "volume_ml_by_subtype" not in record["findings"]:
        raise ScanError(
            "E_LABEL", folder, "the result names no subtypes",
            "Read the scans with --args_file configs/args/read_with_slice_unet_subtypes.yaml.",
        )  # fmt: skip
    named = nib.Nifti1Image.from_filename(folder / "hemorrhage.nii.gz")
    path = truth_of(folder.name, subtypes)
    true = nib.Nifti1Image.from_filename(path)
    if named.shape != true.shape or not np.allclose(named.affine, true.affine, atol=1e-3):
        raise ScanError("E_GRID", folder, "result and subtypes lie on different grids", "Name those of these scans.")
    try:
        row = name_scores(np.asarray(true.dataobj), np.asarray(named.dataobj), voxel_volume_ml(true.affine))
    except ValueError as error:
        raise ScanError("E_LABEL", path, str(error), "Give masks of subtypes.") from error
    sure = record["findings"].get("certainty_by_subtype", {})
    return {"name": folder.name, **row, **{f"{s.short}_certainty": sure.get(s.short) for s in SUBTYPES}}


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it: an estimate with its interval is one cell."""
    shown = table[["scans"]].copy()
    for name in ("mL", "mL named", "mL elsewhere"):
        shown[name] = table[name].map("{:.1f}".format)
    for name in ("r", "Dice", "named right"):
        cells = zip(table[name], table[f"{name} low"], table[f"{name} high"], strict=True)
        shown[name] = [f"{v:.2f} ({low:.2f} to {high:.2f})" for v, low, high in cells]
    return shown.replace({"nan": "", "nan (nan to nan)": ""})


def main(
    results: Annotated[Path, typer.Argument(help="Output folder of an inference run that named subtypes.")],
    subtypes: Annotated[Path, typer.Argument(help="Folder of the scans' masks by subtype.")],
) -> None:
    """Score the names in RESULTS."""
    try:
        folders = sorted(p.parent for p in results.glob("*/findings.json"))
        if not folders:
            raise ScanError(
                "E_NO_SCANS", results, "there are no results in it", "Name the output folder of an inference run."
            )
        with tqdm(folders, "read results", unit="scan") as bar:
            scans = pd.DataFrame([read_scan(folder, subtypes) for folder in bar])
    except ScanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    write_atomically(results / "subtypes.csv", partial(scans.round(4).to_csv, index=False))
    typer.echo(with_intervals(names_table(scans)).to_string())
    typer.echo(f"\nmL of each subtype, and what they were called, {len(scans)} scans")
    typer.echo(called_table(scans).round(1).to_string())
    sure = certainty_table(scans.astype({f"{s.short}_certainty": float for s in SUBTYPES}))
    if len(sure):
        typer.echo("\nhow sure names are, and how often they are right")
        typer.echo(sure.round({"mL": 1, "certainty": 2, "named right": 2}).to_string())


if __name__ == "__main__":
    typer.run(main)
