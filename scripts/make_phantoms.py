"""Write synthetic head CT studies in the folder form of CT-ICH: python scripts/make_phantoms.py 20 OUT."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.errors import ScanError
from hemorrhage.phantom.case import make_case
from hemorrhage.phantom.study import RECORD, finish_folder, study_number, write_study


def main(
    count: Annotated[int, typer.Argument(min=1, help="Number of studies.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; studies that it already holds are kept.")],
    seed: Annotated[int, typer.Option(min=0, help="Study n is made from seed + n.")] = 0,
    spacing: Annotated[str, typer.Option(help="Voxel size in mm: pixel,pixel,slice.")] = "0.45,0.45,5",
    size: Annotated[str, typer.Option(help="Voxels, as 512,512,32; by default what covers the head.")] = "",
    image_format: Annotated[str, typer.Option("--format", help="nifti or dicom.")] = "nifti",
    tilt: Annotated[float, typer.Option(help="Largest gantry tilt in degrees; drawn up to it.")] = 0.0,
    unequal: Annotated[bool, typer.Option(help="Twice as thick slices in the upper half; for DICOM.")] = False,
    positive: Annotated[float, typer.Option(min=0, max=1, help="Share of studies with blood.")] = 0.5,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Write COUNT studies below OUT; run it again with the same options to go on where it stopped."""
    voxel = tuple(float(v) for v in spacing.split(","))
    shape = tuple(int(v) for v in size.split(",")) if size else None
    if len(voxel) != 3 or min(voxel) <= 0 or (shape and (len(shape) != 3 or min(shape) < 1)):
        raise typer.BadParameter("spacing and size are three positive numbers, separated by commas")
    if image_format not in ("nifti", "dicom"):
        raise typer.BadParameter("format is nifti or dicom")
    if unequal and image_format != "dicom":
        raise typer.BadParameter("only DICOM can hold slices of unequal thickness")
    options = {
        "seed": seed,
        "spacing": voxel,
        "size": shape,
        "format": image_format,
        "tilt": tilt,
        "unequal": unequal,
        "positive": positive,
    }
    _same_options(out, options)
    failed = {}
    for n in tqdm(range(count), unit="study", desc="phantoms"):
        if (out / RECORD / f"{study_number(n)}.json").exists():
            continue
        angle = tilt * (2 * float(torch.rand(1, generator=torch.Generator().manual_seed(seed + n))) - 1)
        try:
            case = make_case(
                seed + n, spacing_mm=voxel, shape=shape, tilt_degrees=angle, positive_fraction=positive,
                sheared=image_format == "dicom", device=device,
            )  # fmt: skip
        except ScanError as error:
            failed[study_number(n)] = str(error)
            continue
        write_study(case, out, n, image_format, unequal)
    summary = finish_folder(out, count, {**options, "failed": failed})
    typer.echo(f"{summary['studies']} studies, {len(failed)} failed, with subtype: {summary['with_subtype']}")
    if failed:
        typer.echo("\n".join(failed.values()), err=True)
        raise typer.Exit(3)


def _same_options(out: Path, options: dict) -> None:
    """A folder keeps one recipe: mixing two would leave its truth false."""
    path = out / RECORD / "options.json"
    text = json.dumps(options, sort_keys=True)
    if path.exists() and path.read_text() != text:
        raise typer.BadParameter(f"{out} was begun with other options: {path.read_text()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    typer.run(main)
