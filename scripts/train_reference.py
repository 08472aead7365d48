"""Train a reference network on phantoms alone, in the open: the configs of everybody's training, a stated budget.

    python scripts/train_reference.py patchfcn_small --minutes 30
    python scripts/train_reference.py vnet128 --minutes 22 --anneal --set kept_phantoms=800

The same command goes on where a stopped run was. At its end the weights lie in ``models/`` where configs look for them,
with their SHA-256 and a record: commit, seed, budget, time, machine and curve. With ``--set initial_weights=FILE`` the
training starts from weights that are there, and the record and the curve of those come before its own.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import hemorrhage
from hemorrhage.files import sha256_of, write_atomically
from hemorrhage.systems import bundle_command, configs_of, systems, weights_of
from hemorrhage.weights import publish_weights

ROOT = Path(__file__).resolve().parents[1]

SYSTEMS = systems(ROOT)
SHARED = ("system", "configs", "data")  # what a record of several steps or members says once


def training_configs(system: str, annealed: bool = False) -> tuple[str, ...]:
    """Names of the configs that train ``system`` on phantoms as scanners show them, with an average of its weights.

    Args:
        system: its own training may be the paper's, for patients' scans.
        annealed: the learning rate falls over the budget of time.
    """
    configs = list(configs_of(ROOT, system, "train"))
    sliced = "patchfcn" in configs
    overlays = ["patchfcn_phantoms"] if sliced else ["phantom_scans", "vnet_phantoms"]
    behind = configs.index("patchfcn_train" if sliced else "train") + 1
    configs[behind:behind] = [name for name in overlays if name not in configs]
    averages = ["averaged", *(["patchfcn_averaged"] if sliced else [])]
    return (*configs, *averages, *(["annealed"] if annealed else []))


def training_command(
    configs: tuple[str, ...], folder: Path, seconds: float, seed: int, options: dict[str, str]
) -> list[str]:
    """The bundle command that trains with ``configs`` into ``folder``, or goes on with what is there."""
    given = {
        "output_dir": folder, "max_seconds": f"{seconds:g}", "seed": seed, "resume": (folder / "last.pt").exists(),
        **options,
    }  # fmt: skip
    return bundle_command(ROOT, configs, given)


def keep_origin(weights: Path | None, folder: Path) -> None:
    """Keep in a run's folder how the weights were made that it starts from, if a record beside them says so.

    The run may be published over these very weights, and goes on after that with what it started from. What an earlier
    start left there, that ended before its first epoch, is removed.
    """
    for name in ("origin.json", "origin.csv"):
        (folder / name).unlink(missing_ok=True)
    if weights is None:
        return
    record, curves = weights.parent / "record.json", weights.parent / "curves.csv"
    known = weights.is_file() and record.exists() and curves.exists()
    if known and (found := json.loads(record.read_text())).get("sha256") == sha256_of(weights):
        table = pd.read_csv(curves)
        if "members" in found:  # of several trainings in one file it goes on with the first
            found = {**{k: found[k] for k in SHARED if k in found}, **found["members"][0]}
            table = table[table["member"] == 1].drop(columns="member").dropna(axis=1, how="all")
            if table.empty:
                return
        (folder / "origin.json").write_text(json.dumps(found, indent=1) + "\n")
        table.to_csv(folder / "origin.csv", index=False)


def after_origin(record: dict[str, Any], curves: pd.DataFrame, folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """A run's record and curve behind those of the weights that it started from: one step more.

    Args:
        record: of the run.
        curves: likewise.
        folder: of the run, with what :func:`keep_origin` left there.

    Returns:
        both unchanged where nothing is known of the first weights; else a record with "steps", and a curve that numbers
        them.
    """
    if not (folder / "origin.json").exists():
        return record, curves
    before = json.loads((folder / "origin.json").read_text())
    steps = before.get("steps") or [_without(before, *SHARED, "sha256", "parameters")]
    steps = [*steps, {**_without(record, *SHARED), "from": before["sha256"]}]
    minutes = round(sum(step["minutes_of_epochs"] for step in steps), 1)
    first = pd.read_csv(folder / "origin.csv")
    if "step" not in first:
        first.insert(0, "step", 1)
    whole = {**{k: record[k] for k in SHARED}, "minutes_of_epochs": minutes, "steps": steps}
    return whole, pd.concat([first, curves.assign(step=len(steps))], ignore_index=True)


def _without(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {k: v for k, v in record.items() if k not in names}


def publish(trained: Path, folder: Path, record: dict[str, Any]) -> str:
    """Write weights as half precision with hash, record and curve beside them.

    Args:
        trained: the run's folder with ``model.pt`` and ``curves.csv``.
        folder: where the weights are published.
        record: what else to state of them.

    Returns:
        their SHA-256.
    """
    weights = torch.load(trained / "model.pt", map_location="cpu", weights_only=True)
    found = publish_weights(weights, folder / "model.pt")
    record, curves = after_origin(record, pd.read_csv(trained / "curves.csv"), trained)
    whole = {**record, "sha256": found, "parameters": sum(t.numel() for t in weights.values() if t.is_floating_point())}
    write_atomically(folder / "record.json", lambda path: path.write_text(json.dumps(whole, indent=1) + "\n"))
    write_atomically(folder / "curves.csv", partial(curves.to_csv, index=False))
    return found


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _processor() -> str:
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main(
    system: Annotated[str, typer.Argument(help=f"One of {', '.join(SYSTEMS)}.")],
    minutes: Annotated[float, typer.Option(min=0.01, help="Budget of this run; a stopped run goes on.")] = 30.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, order and phantoms.")] = 0,
    runs: Annotated[Path, typer.Option(help="Folder of runs; this one goes into RUNS/SYSTEM.")] = ROOT / "runs",
    models: Annotated[Path, typer.Option(help="Folder that gets the weights, as configs name them.")] = ROOT / "models",
    anneal: Annotated[bool, typer.Option("--anneal", help="Let the learning rate fall over MINUTES.")] = False,
    setting: Annotated[list[str] | None, typer.Option("--set", help="Knob of the configs, NAME=VALUE.")] = None,
) -> None:
    """Train SYSTEM on phantoms for at most MINUTES and publish its weights with a record of how they were made."""
    if system not in SYSTEMS:
        raise typer.BadParameter(f"{system!r} is none of {', '.join(SYSTEMS)}")
    if any("=" not in s for s in setting or []):
        raise typer.BadParameter("--set takes NAME=VALUE")
    options = dict(s.split("=", 1) for s in setting or [])
    configs = training_configs(system, anneal)
    folder = runs.absolute() / system
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "last.pt").exists():
        keep_origin(Path(options["initial_weights"]) if "initial_weights" in options else None, folder)
    began = time.monotonic()
    commit, changed = _git("rev-parse", "HEAD"), bool(_git("status", "--porcelain", "--", "hemorrhage", "configs"))
    done = subprocess.run(training_command(configs, folder, 60 * minutes, seed, options), check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)
    if not (folder / "model.pt").exists():
        typer.echo(f"{folder}: no validation came within {minutes:g} minutes; give more, or a smaller val_interval")
        raise typer.Exit(1)
    curves = pd.read_csv(folder / "curves.csv")
    published = models.absolute() / weights_of(ROOT, system)
    found = publish(folder, published.parent, {
        "system": system, "configs": list(configs), "seed": seed,
        "settings": {k: v.replace(f"{ROOT}/", "") for k, v in options.items()}, # as from the project's folder
        "commit": commit, "changed_since": changed,
        "minutes_of_this_run": round((time.monotonic() - began) / 60, 1), "budget_minutes": minutes,
        "minutes_of_epochs": round(float(curves["seconds"].sum()) / 60, 1), "epochs": int(curves["epoch"].max()),
        "last": {k: round(float(v), 4) for k, v in curves.ffill().iloc[-1].items()},
        "data": "phantoms alone", "processor": _processor(), "threads": torch.get_num_threads(),
        "versions": {"hemorrhage": hemorrhage.__version__, "torch": torch.__version__},
    })  # fmt: skip
    typer.echo(f"{published}: {found}")


if __name__ == "__main__":
    typer.run(main)
