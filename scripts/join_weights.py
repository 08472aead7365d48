"""Several trainings of one network as one file of weights, which reads scans with the mean of their probabilities.

    python scripts/join_weights.py models/slice_unet runs/1/model.pt runs/2/model.pt runs/3/model.pt
    python scripts/join_weights.py models/slice_unet runs/before/model.pt runs/after/model.pt --average

The joined file takes the place of a single one everywhere: inference and evaluation see from it how many networks it
holds, and reading takes that many times as long. Training that starts from it goes on with the first.

With ``--average`` the weights themselves are averaged into one network, which takes no longer to read: for trainings of
which the later went on from the earlier.

Records and curves that lie beside the trainings' weights are kept; a calibration is not, because it was that of other
weights: run ``scripts/calibrate.py`` again.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import pandas as pd
import torch
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.errors import ScanError
from hemorrhage.files import write_atomically
from hemorrhage.weights import averaged_weights, joined_weights, members_of, publish_weights, read_weights

Curve: TypeAlias = pd.DataFrame | None
SHARED = ("system", "configs", "data")  # what the record of the whole says once


def read_members(files: list[Path]) -> tuple[list[dict[str, torch.Tensor]], list[str]]:
    """The weights of each training and their SHA-256.

    Raises:
        ScanError: E_WEIGHTS or E_CHECKPOINT if a file cannot be read, holds several trainings itself, is there twice,
            or is of another network than the first.
    """
    contents: list[dict[str, torch.Tensor]] = []
    digests: list[str] = []
    for path in files:
        content, digest = read_weights(path)
        cause = None
        if len(members_of(content)) > 1:
            cause = "it holds several trainings already"
        elif digest in digests:
            cause = "these weights are there twice"
        elif contents and _shapes(content) != _shapes(contents[0]):
            cause = f"it is of another network than {files[0].name}"
        if cause:
            raise ScanError("E_CHECKPOINT", path, cause, "Name single trainings of one network, each once.")
        contents.append(content)
        digests.append(digest)
    return contents, digests


def _shapes(content: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in content.items()}


def read_record(weights: Path, digest: str) -> tuple[dict[str, Any], Curve]:
    """What lies beside weights of how they were made: the record, or no more than their hash, and the curve."""
    record, curves = weights.parent / "record.json", weights.parent / "curves.csv"
    if record.is_file() and (found := json.loads(record.read_text())).get("sha256") == digest:
        return found, pd.read_csv(curves) if curves.is_file() else None
    return {"sha256": digest}, None


def joined_record(records: list[dict[str, Any]], curves: list[Curve]) -> tuple[dict[str, Any], Curve]:
    """Record and curve of a file that holds every training."""
    whole = {
        **{k: records[0][k] for k in SHARED if k in records[0]},
        "minutes_of_epochs": round(sum(r.get("minutes_of_epochs", 0.0) for r in records), 1),
        "members": [{k: v for k, v in r.items() if k not in SHARED} for r in records],
    }
    numbered = [c.assign(member=n) for n, c in enumerate(curves, 1) if c is not None]
    return whole, pd.concat(numbered, ignore_index=True) if numbered else None


def averaged_record(records: list[dict[str, Any]], curves: list[Curve]) -> tuple[dict[str, Any], Curve]:
    """Record and curve of averaged weights: those of the last training, whose steps the others are, and a step more."""
    return record_of_step(records[-1], {"mean_of_weights": [r["sha256"] for r in records]}), curves[-1]


def record_of_step(record: dict[str, Any], step: dict[str, Any]) -> dict[str, Any]:
    """The record of weights that were made from others without a training: the others' record and a step more.

    Args:
        record: of the weights that it was made from.
        step: what was done.
    """
    own = {k: v for k, v in record.items() if k not in (*SHARED, "steps", "sha256", "parameters")}
    return {
        **{k: record[k] for k in SHARED if k in record},
        "minutes_of_epochs": record.get("minutes_of_epochs", 0.0),
        "steps": [*record.get("steps", [own]), {**step, "minutes_of_epochs": 0.0}],
    }


def write_made(out: Path, made: dict[str, torch.Tensor], record: dict[str, Any], curve: Curve) -> str:
    """Publish weights that were made from others, with their record and, where there is one, the curve beside them.

    Returns:
        the SHA-256 of OUT/model.pt.
    """
    found = publish_weights(made, out / "model.pt")
    whole = {**record, "sha256": found, "parameters": sum(t.numel() for t in made.values() if t.is_floating_point())}
    write_atomically(out / "record.json", lambda path: path.write_text(json.dumps(whole, indent=1) + "\n"))
    if curve is None:
        (out / "curves.csv").unlink(missing_ok=True)
    else:
        write_atomically(out / "curves.csv", partial(curve.to_csv, index=False))
    return found


def main(
    out: Annotated[Path, typer.Argument(help="Folder that gets model.pt, its hash, record.json and curves.csv.")],
    weights: Annotated[list[Path], typer.Argument(help="Weights of single trainings, two or more.")],
    average: Annotated[bool, typer.Option("--average", help="One network with the mean of the weights.")] = False,
) -> None:
    """Join WEIGHTS into OUT/model.pt."""
    if len(weights) < 2:
        raise typer.BadParameter("name two trainings or more")
    try:
        contents, digests = read_members(weights)
    except ScanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None
    known = [read_record(w, d) for w, d in zip(weights, digests, strict=True)]
    made = averaged_weights(contents) if average else joined_weights(contents)
    record, curve = (averaged_record if average else joined_record)([r for r, _ in known], [c for _, c in known])
    found = write_made(out, made, record, curve)
    typer.echo(f"{out / 'model.pt'}: {found}, {len(weights)} trainings; calibrate it with scripts/calibrate.py")


if __name__ == "__main__":
    typer.run(main)
