"""Tables 1 to 3 of DeepBleed in miniature: train, score and compare its family and the baselines on one phantom trial.

    python benchmarks/deepbleed_family.py WORK                 everything, then docs/deepbleed.md's tables and figures
    python benchmarks/deepbleed_family.py WORK --only vnet64   one system
    python benchmarks/deepbleed_family.py WORK --stage train   one stage: phantoms, train, score or tables

What is there already is kept, so that a run that was stopped goes on. The budget is the same number of steps and of
voxels a step for the three networks in 3D; it is stated in the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPACING_MM = 3.0  # 64^3 for the whole head: the blocks of 64 and 32 voxels of 1.5 mm become 32 and 16
EPOCHS = 4
IN_PLANE = 160
# A block of 16 voxels ends in a single voxel, which instance normalization has nothing to divide by.
NORM = {"network_def#norm": "['group', {'num_groups': 4}]", "network_def#width": "8"}
SYSTEMS: dict[str, tuple[list[str], dict[str, str]]] = {
    "vnet128": ([], NORM),
    "vnet64": (["vnet64"], {**NORM, "block": "32", "blocks_per_case": "8"}),
    "vnet32": (["vnet32"], {**NORM, "block": "16", "blocks_per_case": "64"}),
    "vnet2d": (["vnet2d"], {**NORM, "in_plane": str(IN_PLANE), "slices_per_case": "8"}),
    "forest": (["forest"], {}),
    "thresholds": (["thresholds"], {}),
    "segresnet": (["segresnet"], {"network_def#init_filters": "8"}),
}
NAMES = {
    "vnet128": "3D VNet 128", "vnet64": "3D VNet 64", "vnet32": "3D VNet 32", "vnet2d": "2D VNet 512",
    "forest": "random forest", "thresholds": "threshold pair", "segresnet": "SegResNet",
}  # fmt: skip


def run(work: Path, arguments: list[str]) -> tuple[float, float]:
    """Run a program from ``work``; return its wall-clock and processor seconds."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", *arguments], cwd=work, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, used


def bundle(work: Path, configs: list[str], values: dict[str, str]) -> tuple[float, float]:
    files = [str(ROOT / "configs" / f"{name}.yaml") for name in configs]
    pairs = [part for key, value in values.items() for part in (f"--{key}", value)]
    return run(work, ["-m", "monai.bundle", "run", "--config_file", json.dumps(files), *pairs])


def train(work: Path, name: str) -> None:
    done = work / name / "training.json"
    if done.exists():
        return
    overlays, values = SYSTEMS[name]
    cache = str(work / "cache")
    seconds, processor = bundle(
        work,
        ["train", *overlays],
        {
            **values,
            "datalist": str(work / "set/train.json"),
            "output_dir": str(work / name),
            "spacing_mm": str(SPACING_MM),
            "cases_per_epoch": "66",
            "batch_size": "1",
            "learning_rate": "1.5e-3",
            "max_epochs": str(EPOCHS),
            "val_interval": "2",
            "resume": "True",
            "train#dataset#cache_dir": cache,
            "validate#dataset#cache_dir": cache,
        },
    )
    done.write_text(json.dumps({"seconds": round(seconds), "processor_seconds": round(processor)}))


def score(work: Path, name: str) -> None:
    overlays, values = SYSTEMS[name]
    bundle(
        work,
        ["train", *overlays, "evaluate"],
        {
            **values,
            "datalist": str(work / "set/test.json"),
            "checkpoint": str(work / name / "model.pt"),
            "output_dir": str(work / "scores" / name),
            "spacing_mm": str(SPACING_MM),
            "name": NAMES[name],
            "cache_dir": str(work / "cache_test"),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--stage", choices=["phantoms", "train", "score", "tables"])
    parser.add_argument("--only", choices=list(SYSTEMS), nargs="+", default=list(SYSTEMS))
    options = parser.parse_args()
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    if options.stage in (None, "phantoms"):
        run(work, [str(ROOT / "scripts/make_trial.py"), str(work / "set")])
    for stage, step in (("train", train), ("score", score)):
        if options.stage in (None, stage):
            for name in options.only:
                step(work, name)


if __name__ == "__main__":
    main()
