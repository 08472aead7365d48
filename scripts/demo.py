"""Phantom heads through the whole bundle, from an empty folder to volumes and pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import nibabel as nib
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.geometry import voxel_volume_ml
from hemorrhage.runs import read_findings

ROOT = Path(__file__).resolve().parents[1]
# A network that two processor cores train in minutes: half the width, 6 mm instead of 1.5 mm, large bleeds alone.
SMALL = {"network_def#width": 8, "spacing_mm": 6.0}
HEADS = 32
TRAINING = {
    "train#phantoms#length": HEADS,
    "train#phantoms#positive_fraction": 0.7,
    "train#dataset#kept_phantoms": HEADS,
    "train#phantoms#subtypes": "['IPH']",
    "train#phantoms#volume_ml": "[15, 80]",
    "validate#phantoms#length": 6,
    "validate#phantoms#positive_fraction": 1.0,
    "cases_per_epoch": HEADS,
    "batch_size": 2,
    "learning_rate": 0.002,
    "network_def#dropout": 0.1,
}
MAKING_HEADS_S = 60  # of the budget
console = Console()


def run_bundle(config: str, **overrides: object) -> int:
    """``python -m monai.bundle run`` with ``overrides``, as a user would type it; returns the exit code."""
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", f"configs/{config}.yaml"]
    for key, value in overrides.items():
        command += [f"--{key}", str(value)]
    console.print("$ " + " ".join(command[1:]).replace("-m monai", "python -m monai", 1), style="dim", soft_wrap=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def small_network(output_dir: Path, minutes: float) -> dict[str, object]:
    """Train a small network on phantoms, or take the one of an earlier demo; returns the overrides that use it."""
    folder = output_dir / "training"
    weights = folder / "model.pt"
    if not (folder / "finished").exists():
        console.print(
            f"\nmodels/model.pt is not there, so a small network is trained on phantoms first, for at most {minutes:g} "
            "minutes. It shows the way, not what the bundle can reach.\n",
            style="bold",
        )
        again = (folder / "last.pt").exists()
        code = run_bundle(
            "train",
            output_dir=folder,
            max_seconds=max(20, 60 * minutes - MAKING_HEADS_S),
            resume=again,
            **TRAINING,
            **SMALL,
        )
        if code:
            raise typer.Exit(code)
        (folder / "finished").touch()
    return {"checkpoint": weights, **SMALL}


def read_mask(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A mask as bool and its affine."""
    image = nib.Nifti1Image.from_filename(path)
    return np.asarray(image.dataobj) > 0, image.affine


def compare(study: Path, results: Path) -> Table:
    """A table of the volumes found beside those that the phantoms truly hold."""
    table = Table(title="Found, beside what the phantoms hold")
    for column in ("scan", "true mL", "found mL", "Dice", "subtypes", "side"):
        table.add_column(column, justify="left" if column in ("scan", "subtypes", "side") else "right")
    truth = json.loads((study / "truth.json").read_text())["cases"]
    for folder in sorted(p.parent for p in results.glob("*/findings.json")):
        record = read_findings(folder)
        true, affine = read_mask(study / "masks" / f"{folder.name}.nii")
        found, _ = read_mask(folder / "hemorrhage.nii.gz")
        both, total = np.count_nonzero(true & found), np.count_nonzero(true) + np.count_nonzero(found)
        dice = f"{2 * both / total:.2f}" if true.any() else ""
        findings = record["findings"] if record else {}
        volumes = [f"{v:.1f}" for v in (true.sum() * voxel_volume_ml(affine), findings.get("volume_ml", 0.0))]
        subtypes = ", ".join(truth.get(folder.name, {}).get("subtypes", {})) or "none"
        table.add_row(folder.name, *volumes, dice, subtypes, str(findings.get("side", "")))
    return table


def main(
    output_dir: Annotated[Path, typer.Option(help="Folder of the demo; made where it is missing.")] = Path("demo"),
    scans: Annotated[int, typer.Option(min=1, help="How many phantom heads to read.")] = 4,
    minutes: Annotated[float, typer.Option(min=0.1, max=60, help="Longest training of the small network.")] = 3.0,
) -> None:
    """Make a small phantom study, run the bundle on it, and show what it found.

    What an earlier call has done is kept; remove the folder to begin anew.
    """
    output_dir = output_dir.absolute()
    console.rule("1. a phantom study")
    made = subprocess.run(
        [
            sys.executable,
            "scripts/make_phantoms.py",
            str(scans),
            str(output_dir / "study"),
            "--seed",
            "2032",
            "--positive",
            "0.75",
        ],
        cwd=ROOT,
        check=False,
    )
    if made.returncode:
        raise typer.Exit(made.returncode)
    console.rule("2. weights")
    if (ROOT / "models/model.pt").exists():
        overrides: dict[str, object] = {}
        console.print("models/model.pt")
    else:
        overrides = small_network(output_dir, minutes)
    console.rule("3. scans in, masks out")
    results = output_dir / "results"
    code = run_bundle("inference", dataset_dir=output_dir / "study/ct_scans", output_dir=results, **overrides)
    console.print(compare(output_dir / "study", results))
    console.print(f"pictures: {results}/*/overlay.png", soft_wrap=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
