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
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.evaluation.cases import read_run
from hemorrhage.evaluation.compare import (
    common_scans,
    dice_by_combination,
    dice_table,
    paired_differences,
    read_runs,
    volume_table,
)
from hemorrhage.evaluation.finish import overlay_of
from hemorrhage.files import sha256_of
from hemorrhage.report.comparison_page import comparison_figures
from hemorrhage.report.pages import number, percent
from hemorrhage.report.run_page import scans_to_show
from hemorrhage.systems import bundle_command

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- made by benchmarks/deepbleed_family.py -->", "<!-- end -->"
SPACING_MM = 3.0  # 64^3 for the whole head: the blocks of 64 and 32 voxels of 1.5 mm become 32 and 16
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


def run(work: Path, command: list[str]) -> float:
    """Run a command from ``work``; return the processor seconds that it took."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=work, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def train(work: Path, name: str, epochs: int) -> None:
    """Train a system, or go on with it up to ``epochs``."""
    note = work / name / "training.json"
    before = json.loads(note.read_text()) if note.exists() else {"epochs": 0, "processor_seconds": 0}
    if before["epochs"] >= (epochs if name not in ("forest", "thresholds") else 1):
        return
    overlays, values = SYSTEMS[name]
    cache = str(work / "cache")
    command = bundle_command(
        ROOT,
        ["train", *overlays],
        {
            **values,
            "datalist": str(work / "set/train.json"),
            "output_dir": str(work / name),
            "spacing_mm": str(SPACING_MM),
            "cases_per_epoch": "66",
            "batch_size": "1",
            "learning_rate": "1.5e-3",
            "max_epochs": str(epochs),
            "val_interval": str(epochs + 1),  # the last weights are scored: no choice among them
            "resume": "True",
            "train#dataset#cache_dir": cache,
            "validate#dataset#cache_dir": cache,
        },
    )
    processor = run(work, command)
    spent = before["processor_seconds"] + round(processor)
    note.write_text(json.dumps({"epochs": epochs, "processor_seconds": spent}))


def score(work: Path, name: str) -> None:
    overlays, values = SYSTEMS[name]
    last = work / name / "last.pt"
    weights = last if last.exists() else work / name / "model.pt"
    scores = work / "scores" / name
    if scores.exists() and read_run(scores)["weights_sha256"] != sha256_of(weights):
        shutil.rmtree(scores)  # of the same system after less training
    command = bundle_command(
        ROOT,
        ["train", *overlays, "evaluate"],
        {
            **values,
            "datalist": str(work / "set/test.json"),
            "checkpoint": str(weights),
            "output_dir": str(scores),
            "spacing_mm": str(SPACING_MM),
            "name": NAMES[name],
            "cache_dir": str(work / "cache_test"),
        },
    )
    run(work, command)


def row(*cells: object) -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |"


def table(head: list[str], rows: list[str]) -> list[str]:
    return [row(*head), row(*["---"] * len(head)), *rows, ""]


def budget(work: Path, name: str) -> str:
    """What a system was trained with."""
    note = json.loads((work / name / "training.json").read_text())
    epochs = "-" if name in ("forest", "thresholds") else note["epochs"]
    return row(NAMES[name], epochs, f"{note['processor_seconds'] / 60:.1f}")


def markdown(work: Path, done: list[str]) -> list[str]:
    """Tables 1 to 3 and the differences to the first system."""
    scans = common_scans(read_runs([work / "scores" / name for name in done]))
    dice, volume = dice_table(scans), volume_table(scans)
    parts = dice_by_combination(scans)
    kinds = list(dict.fromkeys(parts["combination"]))
    cells = {(r["model"], r["combination"]): r for r in parts.to_dict("records")}
    counts = {k: max(r["scans"] for (_, c), r in cells.items() if c == k) for k in kinds}
    lines = ["**Table 1.** Dice on the held-out phantoms; mean with its 95 % interval.", ""]
    lines += table(
        ["model", "mean", "SD", "median", "min", "max", "failed"],
        [
            row(m, ranged(r["mean"], r["mean low"], r["mean high"]),
                *(number(r[k]) for k in ("SD", "median", "min", "max")), percent(r["failed"]))
            for m, r in dice.iterrows()
        ],
    )  # fmt: skip
    if kinds:
        lines += ["**Table 2.** Mean Dice (SD) by combination; number of heads in the heading.", ""]
        lines += table(
            ["model", *(f"{k} ({counts[k]})" for k in kinds)],
            [row(m, *(f"{number(cells[m, k]['mean'])} ({number(cells[m, k]['SD'])})" for k in kinds)) for m in scans],
        )
    lines += ["**Table 3.** Volumes; differences are automatic minus true.", ""]
    lines += table(
        ["model", "r", "concordance", "RMSE mL", "within 5 mL", "mean difference mL"],
        [
            row(m, number(r["r"], 2), number(r["ccc"], 2), number(r["RMSE mL"], 1), percent(r["within 5 mL"]),
                ranged(r["bias mL"], r["bias low"], r["bias high"], 1))
            for m, r in volume.iterrows()
        ],
    )  # fmt: skip
    if len(done) > 1:
        found = paired_differences(scans)
        lines += [f"**Paired.** Dice minus that of {NAMES[done[0]]} on the same heads.", ""]
        lines += table(
            ["model", "difference", "better on"],
            [
                row(r["model"], ranged(r["difference"], r["low"], r["high"]), percent(r["better on"]))
                for r in found[found["measure"] == "Dice"].to_dict("records")
            ],
        )
    lines += ["**Budget.**", ""]
    lines += table(["model", "epochs of 66 heads", "processor minutes"], [budget(work, name) for name in done])
    return lines


def ranged(value: float, low: float, high: float, digits: int = 3) -> str:
    """A value and its interval, where it has one."""
    return number(value, digits) + (f" ({number(low, digits)} to {number(high, digits)})" if low == low else "")


def figures(work: Path, done: list[str], images: Path) -> list[str]:
    scans = common_scans(read_runs([work / "scores" / name for name in done]))
    made = comparison_figures(scans)
    keep = {"boxes": made["boxes"], "scatter": made["scatter_0"], "bland_altman": made["bland_altman_0"]}
    cases = {c["name"]: c for c in test_cases(work)}
    for why, name in scans_to_show(scans[NAMES[done[0]]], worst=1):
        title = f"{NAMES[done[0]]}, {why}"
        keep[why.replace(" ", "_")] = overlay_of(work / "scores" / done[0], cases[name], title, 0.0)
    images.mkdir(exist_ok=True)
    lines = []
    for name, png in keep.items():
        (images / f"deepbleed_{name}.png").write_bytes(png)
        lines += [f"![{name.replace('_', ' ')}](images/deepbleed_{name}.png)", ""]
    return lines


def test_cases(work: Path) -> list[dict[str, str]]:
    entries = json.loads((work / "set/test.json").read_text())["training"]
    paths = {k: {e["patient"]: str(work / "set" / e[k]) for e in entries} for k in ("image", "label")}
    return [{"name": e["patient"], **{k: paths[k][e["patient"]] for k in paths}} for e in entries]


def tables(work: Path, names: list[str], docs: Path) -> None:
    """Write tables and figures of the systems that have scores into deepbleed.md, between its two marks."""
    done = [name for name in names if (work / "scores" / name / "scans.csv").exists()]
    if not done:
        sys.exit(f"{work / 'scores'}: no system has scores yet; run the stages before")
    page = docs / "deepbleed.md"
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{page}: the two marks that the tables stand between must be there once each")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    made = [BEGIN, "", *markdown(work, done), *figures(work, done, docs / "images"), END]
    page.write_text(before + "\n".join(made) + after, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--stage", choices=["phantoms", "train", "score", "tables"])
    parser.add_argument("--epochs", type=int, default=8, help="of 66 heads; about 90 processor seconds each in 3D")
    parser.add_argument("--only", choices=list(SYSTEMS), nargs="+", default=list(SYSTEMS))
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of deepbleed.md and images/")
    options = parser.parse_args()
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    if options.stage in (None, "phantoms"):
        run(work, [sys.executable, "-W", "ignore", str(ROOT / "scripts/make_trial.py"), str(work / "set")])
    for name in options.only:
        if options.stage in (None, "train"):
            train(work, name, options.epochs)
        if options.stage in (None, "score"):
            score(work, name)
    if options.stage in (None, "tables"):
        tables(work, options.only, options.docs)


if __name__ == "__main__":
    main()
