"""Weights of the 2.5D U-Net that know blood, as weights that name its subtype or can learn to.

    python scripts/name_subtypes.py runs/mine/model.pt models/mine --names models/slice_unet_subtypes/model.pt
    python scripts/name_subtypes.py models/slice_unet/model.pt runs/start
    python scripts/train_reference.py slice_unet_subtypes --set initial_weights=runs/start/model.pt

The new weights say of any hemorrhage what the old ones said. With ``--names`` they call it as those do, which need not
have learned from the same scans: masks of blood alone are enough to have both. Without, names are still to be learned.
The record and the curve that lie beside the old weights are kept.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from join_weights import read_record, record_of_step, write_made
from monai.bundle import ConfigParser

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.errors import ScanError
from hemorrhage.networks import NamedHemorrhage, with_names
from hemorrhage.systems import configs_of
from hemorrhage.weights import members_of, read_weights

ROOT = Path(__file__).resolve().parents[1]
SYSTEM = "slice_unet_subtypes"


def main(
    weights: Annotated[Path, typer.Argument(help="Weights of slice_unet.yaml; of several trainings the first counts.")],
    out: Annotated[Path, typer.Argument(help="Folder that gets model.pt, its hash, record.json and curves.csv.")],
    names: Annotated[Path | None, typer.Option(help="Weights of slice_unet_subtypes.yaml that name subtypes.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Without --names: of layers that no old weights fit.")] = 0,
) -> None:
    """Put a second network, which names subtypes, beside that of WEIGHTS in OUT/model.pt."""
    network = untrained(seed)
    try:
        content, digest = read_weights(weights)
        blood = members_of(content)[0]
        with at_fault(weights, "Name weights that were trained with configs/slice_unet.yaml."):
            made = with_names(blood, network)
        step = {"subtypes_of": digest}
        if names is not None:
            content, step["names_of"] = read_weights(names)
            with at_fault(names, "Name weights that were trained with configs/slice_unet_subtypes.yaml."):
                made = with_names(blood, network, members_of(content)[0])
    except ScanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    known, curve = read_record(weights, digest)
    found = write_made(out, made, record_of_step(known, step), curve)
    typer.echo(f"{out / 'model.pt'}: {found}")


@contextlib.contextmanager
def at_fault(weights: Path, remedy: str) -> Iterator[None]:
    """A ValueError inside is one of ``weights``."""
    try:
        yield
    except ValueError as error:
        raise ScanError("E_CHECKPOINT", weights, str(error), remedy) from error


def untrained(seed: int) -> NamedHemorrhage:
    """The network of slice_unet_subtypes.yaml as a training finds it."""
    config = ConfigParser()
    config.read_config([str(ROOT / f"configs/{name}.yaml") for name in configs_of(ROOT, SYSTEM, "read_with")])
    torch.manual_seed(seed)
    network: NamedHemorrhage = config.get_parsed_content("network_def")
    return network


if __name__ == "__main__":
    typer.run(main)
