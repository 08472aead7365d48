"""One system as a bundle of its own, as MONAI Label and the model zoo open it: no overlays, its weights the default.

    python scripts/export_bundle.py slice_unet bundles/hemorrhage_slices
    python -m monai.bundle run --config_file bundles/hemorrhage_slices/configs/inference.yaml --dataset_dir SCANS

MONAI Label opens ``configs/inference.yaml`` or ``configs/train.yaml`` alone. Here the overlays are merged into the two,
and ``models/model.pt`` is the system's. The comments of the configs stay behind: read them where they were written.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from monai.bundle import ConfigParser

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.errors import ScanError
from hemorrhage.files import folder_replaced, sha256_of
from hemorrhage.subtypes import SUBTYPES
from hemorrhage.systems import configs_of

ROOT = Path(__file__).resolve().parents[1]
# Channels into and out of the network and its shape, for the bundle's metadata.
SYSTEMS: dict[str, tuple[int, int, list[int]]] = {
    "slice_unet": (4, 2, [256, 256]),
    "slice_unet_subtypes": (4, 1 + len(SUBTYPES), [256, 256]),
    "vnet_small": (1, 1, [64, 64, 64]),
}
WEIGHTS = ("model.pt", "model.pt.sha256", "record.json", "curves.csv", "calibration.json")
KEPT = ("LICENSE", "pyproject.toml", "models/template.nii.gz", "models/compartments.nii.gz", "models/README.md")


def merged(names: tuple[str, ...]) -> dict[str, Any]:
    """Configs merged into one that reads the weights that the bundle holds."""
    config = ConfigParser.load_config_files([str(ROOT / f"configs/{n}.yaml") for n in names])
    if "checkpoint" in config:
        config["checkpoint"] = "$@bundle_root + '/models/model.pt'"
    return config


def metadata(system: str, inputs: int, outputs: int, shape: list[int]) -> dict[str, Any]:
    """The metadata of the bundle of ``system``."""
    found = json.loads((ROOT / "configs/metadata.json").read_text())
    for side, count in (("inputs", inputs), ("outputs", outputs)):
        for entry in found["network_data_format"][side].values():
            entry.update(num_channels=count, spatial_shape=shape)
            if side == "inputs":
                entry["channel_def"] = {str(n): "image" for n in range(count)}
                if count > 1:
                    entry["value_range"] = [-1, 1]  # slices from 0, their asymmetry from -1
            elif count > 2:
                entry["channel_def"] = {"0": "background", **{str(s.index): s.name for s in SUBTYPES}}
    if outputs > 2:
        classes = "one channel, " + ", ".join(f"{s.index} is {s.name}" for s in SUBTYPES)
        found.update(label_classes=classes, pred_classes=classes)
    found["description"] += f" This bundle reads scans with {system}."
    return found


def main(
    system: Annotated[str, typer.Argument(help=f"One of {', '.join(SYSTEMS)}.")],
    out: Annotated[Path, typer.Argument(help="Folder of the new bundle; its name is what MONAI Label shows.")],
    models: Annotated[Path, typer.Option(help="Folder that holds SYSTEM/model.pt.")] = ROOT / "models",
    overwrite: Annotated[bool, typer.Option(help="Replace a bundle that is there.")] = False,
) -> None:
    """Write SYSTEM with its weights as a bundle of its own to OUT."""
    if system not in SYSTEMS:
        raise typer.BadParameter(f"{system!r} is none of {', '.join(SYSTEMS)}")
    try:
        _check(models / system / "model.pt", out, overwrite)
    except ScanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    notice = f"# Made by scripts/export_bundle.py: {system}, its overlays merged in.\n"
    with folder_replaced(out.absolute()) as folder:
        (folder / "configs").mkdir()
        for name, use in (("inference", "read_with"), ("train", "train")):
            text = yaml.safe_dump(merged(configs_of(ROOT, system, use)), sort_keys=False, allow_unicode=True, width=110)
            (folder / f"configs/{name}.yaml").write_text(notice + text, encoding="utf-8")
        text = json.dumps(metadata(system, *SYSTEMS[system]), indent=4)
        (folder / "configs/metadata.json").write_text(text + "\n", encoding="utf-8")
        for name in KEPT:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
        for name in WEIGHTS:
            if (models / system / name).exists():
                shutil.copyfile(models / system / name, folder / "models" / name)
        shutil.copytree(ROOT / "hemorrhage", folder / "hemorrhage", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "docs", folder / "docs")
    typer.echo(f"{out}: {system} with weights {sha256_of(out / 'models/model.pt')[:12]}")


def _check(weights: Path, out: Path, overwrite: bool) -> None:
    if not weights.is_file():
        raise ScanError(
            "E_WEIGHTS", weights, "there are no weights here", "Train them with scripts/train_reference.py first."
        )
    if out.exists() and not (overwrite and (out / "configs/metadata.json").is_file()):
        remedy = "Name another folder." if overwrite else "Name another folder, or replace a bundle with --overwrite."
        raise ScanError("E_WOULD_OVERWRITE", out, "it is there already", remedy)


if __name__ == "__main__":
    typer.run(main)
