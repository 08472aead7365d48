"""Weights of the 2.5D U-Net that know blood, as weights to learn the five subtypes from.

    python scripts/name_subtypes.py models/slice_unet/model.pt runs/start
    python scripts/train_reference.py slice_unet_subtypes --set initial_weights=runs/start/model.pt

The new weights say of any hemorrhage what the old ones said; names are still to be learned. The record and the curve
that lie beside the old weights are kept.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from join_weights import read_record, record_of_step, write_made
from monai.bundle import ConfigParser

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.errors import ScanError
from hemorrhage.networks import with_names
from hemorrhage.systems import configs_of
from hemorrhage.weights import members_of, read_weights

ROOT = Path(__file__).resolve().parents[1]
SYSTEM = "slice_unet_subtypes"


def main(
    weights: Annotated[Path, typer.Argument(help="Weights of slice_unet.yaml; of several trainings the first counts.")],
    out: Annotated[Path, typer.Argument(help="Folder that gets model.pt, its hash, record.json and curves.csv.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of layers that no old weights fit.")] = 0,
) -> None:
    """Put a second network beside that of WEIGHTS, which will name subtypes, in OUT/model.pt."""
    config = ConfigParser()
    config.read_config([str(ROOT / f"configs/{name}.yaml") for name in configs_of(ROOT, SYSTEM, "read_with")])
    torch.manual_seed(seed)
    network = config.get_parsed_content("network_def")
    try:
        content, digest = read_weights(weights)
        try:
            made = with_names(members_of(content)[0], network)
        except ValueError as error:
            raise ScanError(
                "E_CHECKPOINT", weights, str(error), "Name weights that were trained with configs/slice_unet.yaml."
            ) from error
    except ScanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    known, curve = read_record(weights, digest)
    found = write_made(out, made, record_of_step(known, {"subtypes_of": digest}), curve)
    typer.echo(f"{out / 'model.pt'}: {found}")


if __name__ == "__main__":
    typer.run(main)
