"""Write a phantom trial in the mixture of MISTIE: python scripts/make_trial.py FOLDER.

Every head bleeds into the brain; two thirds of them also into the ventricles, under the dura or both. The folder holds
scans, masks, label maps of subtypes and two lists for ``--datalist``: ``train.json`` (fold 0 is for validation) and
``test.json`` (heads that no training sees). A run that was stopped goes on where it stopped.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.errors import ScanError
from hemorrhage.phantom import Case, make_case
from hemorrhage.phantom.study import RECORD, study_number, write_study

# Of six heads: intraparenchymal alone, with IVH, with SDH, with both.
MIXTURE = (("IPH",), ("IPH", "IVH"), ("IPH", "SDH"), ("IPH",), ("IPH", "IVH"), ("IPH", "IVH", "SDH"))
# MISTIE III: 47.4 mL, SD 21.4, 1 to 145 mL.
MEAN_ML, SD_ML, RANGE_ML = 47.4, 21.4, (3.0, 120.0)
ATTEMPTS = 5


def case_of(index: int, seed: int, spacing_mm: tuple[float, float, float]) -> Case:
    """Head ``index`` of the trial; where its bleeds find no room, the next seed a million further on is taken."""
    for attempt in range(ATTEMPTS):
        number = seed + index + 1_000_000 * attempt
        wanted = float(np.clip(np.random.default_rng(number).normal(MEAN_ML, SD_ML), *RANGE_ML))
        try:
            return make_case(
                number, spacing_mm=spacing_mm, subtypes=MIXTURE[index % len(MIXTURE)], volume_ml={"IPH": wanted}
            )
        except ScanError as error:
            if error.code != "E_NO_ROOM" or attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def main(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    train: Annotated[int, typer.Option(min=1, help="Heads to train on.")] = 66,
    validation: Annotated[int, typer.Option(min=1, help="Heads that choose the best weights.")] = 12,
    test: Annotated[int, typer.Option(min=1, help="Heads that are scored.")] = 42,
    seed: Annotated[int, typer.Option(min=0, help="Head n is made from seed + n.")] = 2020,
    spacing: Annotated[str, typer.Option(help="Voxel size in mm: pixel,pixel,slice.")] = "1,1,5",
) -> None:
    """Write scans and lists below OUT."""
    voxel = tuple(float(v) for v in spacing.split(","))
    if len(voxel) != 3 or min(voxel) <= 0:
        raise typer.BadParameter("spacing is three positive numbers, separated by commas")
    options = json.dumps({"train": train, "validation": validation, "test": test, "seed": seed, "spacing_mm": voxel})
    kept = out / "options.json"
    if kept.exists() and kept.read_text() != options:
        raise typer.BadParameter(f"{out} was begun with other options: {kept.read_text()}")
    out.mkdir(parents=True, exist_ok=True)
    kept.write_text(options)
    for n in tqdm(range(train + validation + test), unit="head", desc="phantoms"):
        if not (out / RECORD / f"{study_number(n)}.json").exists():
            write_study(case_of(n, seed, (voxel[0], voxel[1], voxel[2])), out, n)
    learn = [{**entry(n), "fold": 1 if n < train else 0} for n in range(train + validation)]
    score = [{**entry(n), "fold": 0} for n in range(train + validation, train + validation + test)]
    for name, cases in (("train", learn), ("test", score)):
        (out / f"{name}.json").write_text(json.dumps({"training": cases}, indent=1))


def entry(n: int) -> dict[str, Any]:
    """A case of a list: paths from the folder, and the head as its patient."""
    name = study_number(n)
    files = {
        key: f"{part}/{name}.nii" for key, part in (("image", "ct_scans"), ("label", "masks"), ("subtypes", "subtypes"))
    }
    return {**files, "patient": name}


if __name__ == "__main__":
    typer.run(main)
