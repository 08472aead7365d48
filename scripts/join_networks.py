"""Join 2.5D U-Nets that were trained one by one into the weights of an ensemble (configs/slice_unet_ensemble.yaml).

    python scripts/join_networks.py models/slice_unet_ensemble models/slice_unet/model.pt runs/second/model.pt

What it writes answers the mean of their probabilities. Record and curve of each, where they lie beside the weights, go
into the new ones. Calibrate afterwards: a mean has a score and a threshold of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.errors import ScanError
from hemorrhage.files import sha256_of, write_atomically
from hemorrhage.report.calibrated_score import CALIBRATION
from hemorrhage.weights import publish_weights, read_weights


def joined(parts: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Weights of :class:`hemorrhage.networks.MeanOfNetworks` from those of its members.

    Raises:
        ValueError: the members are not of one make.
    """
    shapes = [{name: tuple(t.shape) for name, t in part.items()} for part in parts]
    if any(s != shapes[0] for s in shapes):
        raise ValueError("these weights are not of one make")
    return {f"members.{n}.{name}": t for n, part in enumerate(parts) for name, t in part.items()}


def main(
    out: Annotated[Path, typer.Argument(help="Folder that gets model.pt, its hash and its record.")],
    weights: Annotated[list[Path], typer.Argument(help="Two files of weights, or more.")],
) -> None:
    """Join WEIGHTS into OUT/model.pt, which answers the mean of their probabilities."""
    if len(weights) < 2:
        raise typer.BadParameter("an ensemble needs two files of weights or more")
    records: list[dict[str, Any]] = []
    try:
        parts = [read_weights(path)[0] for path in weights]
    except ScanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    try:
        whole = joined(parts)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    for path in weights:
        beside = path.with_name("record.json")
        known = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
        records.append({**known, "sha256": sha256_of(path)})
    found = publish_weights(whole, out / "model.pt")
    record = {"sha256": found, "parameters": sum(t.numel() for t in whole.values() if t.is_floating_point())}
    text = json.dumps({**record, "members": records}, indent=1) + "\n"
    write_atomically(out / "record.json", lambda path: path.write_text(text, encoding="utf-8"))
    curves = [p.with_name("curves.csv") for p in weights]
    if all(c.exists() for c in curves):
        table = pd.concat([pd.read_csv(c).assign(member=n) for n, c in enumerate(curves, 1)])
        write_atomically(out / "curves.csv", lambda path: table.to_csv(path, index=False))
    (out / CALIBRATION).unlink(missing_ok=True)  # of other weights
    typer.echo(f"{out / 'model.pt'}: {found}")


if __name__ == "__main__":
    typer.run(main)
