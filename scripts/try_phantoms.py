"""Judge phantoms by what a network that saw nothing else makes of real slices: the network is a tool here.

    python scripts/try_phantoms.py judge ../shared/data runs/real --weights models/slice_unet/model.pt
    python scripts/try_phantoms.py train ../shared/data runs/try --crops 60000
    python scripts/try_phantoms.py effects ../shared/data runs/effects --without veins --without dura+sinuses
    python scripts/try_phantoms.py screen ../shared/data runs/screen

Real scans are only measured on. Their folder holds ``ct_ich_v100`` (slices and masks), ``cpaisd_no_blood`` (slices
without blood) and ``phe_sich_blood`` (slices with blood, no masks), each scan as ``NAME_ct.nii.gz``, and perhaps whole
heads without blood as DICOM (``dicom/ge_head_tilted_variable_thickness``). A training that was stopped goes on.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import nibabel as nib
import numpy as np
import pandas as pd
import typer
from screening import screening_design, screening_table
from train_reference import training_configs

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.files import write_atomically
from hemorrhage.marks import marks_at, seed_of
from hemorrhage.metrics.pixel_precision import precision_of_histogram, score_histogram
from hemorrhage.phantom.recipe import Recipe
from hemorrhage.runs import read_findings
from hemorrhage.systems import bundle_command, configs_of

ROOT = Path(__file__).resolve().parents[1]
SYSTEM = "slice_unet"
CROPS_PER_EPOCH = 3200
FOLDERS = ("ct_ich_v100", "cpaisd_no_blood", "phe_sich_blood")
WHOLE_HEADS = "dicom/ge_head_tilted_variable_thickness"
SMALLEST_MM3 = 50  # as inference.yaml
CLEAN_MM2 = 20.0
# A bleed counts as found if what is marked holds so much of it, and little else; density says where it is, for want of
# masks.
DENSE_HU, FOUND_MM2, FOUND_SHARE = (50, 999), 40.0, 0.4
app = typer.Typer(help=__doc__, rich_markup_mode="markdown", no_args_is_help=True)

Data = Annotated[Path, typer.Argument(help="Folder of real slices to measure on.", exists=True, file_okay=False)]
Out = Annotated[Path, typer.Argument(help="Folder for heads, runs, results, tables and pictures.")]
Thresholds = Annotated[
    str, typer.Option(help="Probabilities to cut at, with commas; the picture shows the marks of the first.")
]
THRESHOLDS = "0.15,0.05,0.07,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8"


def bundle(configs: tuple[str, ...], values: dict[str, Any]) -> None:
    """Run a bundle program of ``configs`` with ``values`` in place of theirs."""
    done = subprocess.run(bundle_command(ROOT, configs, values), cwd=ROOT, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)


def _read(scans: Path, out: Path, weights: Path) -> Path:
    """Read scans with weights; returns the folder of their results."""
    # Half a minute's work; kept results might be of a training that has gone on since.
    values = {"dataset_dir": scans, "output_dir": out / "results", "checkpoint": weights, "overwrite": True}
    bundle(configs_of(ROOT, SYSTEM, "read_with"), values)
    return out / "results"


def read_whole(data: Path, out: Path, weights: Path) -> list[tuple[np.ndarray, float]]:
    """Probability (I, J, K) and mm3 of a voxel of each whole head without blood; none where there are no such heads."""
    if not (data / WHOLE_HEADS).is_dir():
        return []
    images = [
        nib.load(p) for p in sorted(_read(data / WHOLE_HEADS, out / "whole", weights).glob("*/probability.nii.gz"))
    ]
    return [(np.asarray(i.dataobj, dtype=np.float32), float(np.prod(i.header.get_zooms()[:3]))) for i in images]  # type: ignore[attr-defined]


def whole_ml(heads: list[tuple[np.ndarray, float]], threshold: float, seed: float | None) -> float:
    """Volume marked in a whole head without blood, in mL, on average; NaN without heads."""
    found = [marks_at(p, threshold, mm3, SMALLEST_MM3, seed).sum() * mm3 / 1000 for p, mm3 in heads]
    return round(float(np.mean(found)), 1) if found else float("nan")


def read_slices(data: Path, out: Path, weights: Path) -> dict[str, list[tuple[str, Any, np.ndarray]]]:
    """Name, image and probability (I, J, K) of every scan of each folder."""
    found: dict[str, list[tuple[str, Any, np.ndarray]]] = {}
    for folder in FOLDERS:
        scans = sorted((data / folder).glob("*_ct.nii.gz"))
        links = out / folder / "scans"
        links.mkdir(parents=True, exist_ok=True)
        for path in scans:
            link = links / path.name.replace("_ct.nii.gz", ".nii.gz")
            if not link.is_symlink():
                link.symlink_to(path.absolute())
        results = _read(links, out / folder, weights)
        found[folder] = []
        for path in scans:
            name = path.name.removesuffix("_ct.nii.gz")
            probability: Any = nib.load(results / name / "probability.nii.gz")
            found[folder].append((name, nib.load(path), np.asarray(probability.dataobj, dtype=np.float32)))
    return found


def marks(image: Any, probability: np.ndarray, threshold: float, seed: float | None) -> tuple[np.ndarray, float]:
    """What the bundle would mark on a scan, (I, J, K) bool, and mm2 of a pixel."""
    sizes = [float(z) for z in image.header.get_zooms()[:3]]
    return marks_at(probability, threshold, float(np.prod(sizes)), SMALLEST_MM3, seed), sizes[0] * sizes[1]


def measure(
    data: Path, scans: dict[str, list[tuple[str, Any, np.ndarray]]], threshold: float, seed: float | None = None
) -> dict[str, Any]:
    """A row of figures at one threshold, ``seed`` as in :func:`hemorrhage.marks.marks_at`.

    Returns:
        "slice_mean_dice" and "pooled_dice" over the slices with masks; "clean" and "found" of how many slices; and the
        Dice of each slice and the falsely marked mm2 of each slice without blood.
    """
    dice: list[float] = []
    both = either = 0
    for name, image, probability in scans["ct_ich_v100"]:
        drawn: Any = nib.load(data / "ct_ich_v100" / f"{name}_mask.nii.gz")
        true = np.asarray(drawn.dataobj) > 0
        found, _ = marks(image, probability, threshold, seed)
        for k in range(true.shape[2]):
            overlap, area = 2 * int((found & true)[..., k].sum()), int(found[..., k].sum() + true[..., k].sum())
            dice.append(overlap / max(1, area))
            both, either = both + overlap, either + area
    false_mm2 = []
    for _, image, probability in scans["cpaisd_no_blood"]:
        found, pixel_mm2 = marks(image, probability, threshold, seed)
        false_mm2.append(found.sum() * pixel_mm2)
    hits = []
    for _, image, probability in scans["phe_sich_blood"]:
        found, pixel_mm2 = marks(image, probability, threshold, seed)
        hu = np.asarray(image.dataobj, dtype=np.float32)
        dense = found & (hu > DENSE_HU[0]) & (hu < DENSE_HU[1])
        enough = dense.sum() * pixel_mm2 > FOUND_MM2
        hits.append(bool(enough and dense.sum() > FOUND_SHARE * found.sum()))
    return {
        "threshold": threshold,
        "slice_mean_dice": round(float(np.mean(dice)), 3),
        "pooled_dice": round(both / max(1, either), 3),
        "clean": f"{sum(a < CLEAN_MM2 for a in false_mm2)}/{len(false_mm2)}",
        "found": f"{sum(hits)}/{len(hits)}",
        "dice": [round(d, 2) for d in dice],
        "false_mm2": [round(a) for a in false_mm2],
    }


def pixel_precision(data: Path, scans: dict[str, list[tuple[str, Any, np.ndarray]]]) -> float:
    """Average precision of the pixels of slices with masks and slices without blood together: it has no threshold."""
    counts = np.zeros_like(score_histogram(np.zeros(1), np.zeros(1)))
    for name, _, probability in scans["ct_ich_v100"]:
        drawn: Any = nib.load(data / "ct_ich_v100" / f"{name}_mask.nii.gz")
        counts += score_histogram(np.asarray(drawn.dataobj), probability)
    for _, _, probability in scans["cpaisd_no_blood"]:
        counts += score_histogram(np.zeros(probability.shape), probability)
    return precision_of_histogram(counts)


def draw(
    data: Path, scans: dict[str, list[tuple[str, Any, np.ndarray]]], threshold: float, path: Path, seed: float | None
) -> None:
    """A picture of all slices: marks in red, masks in green."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = []
    for folder in FOLDERS:
        for name, image, probability in scans[folder]:
            hu = np.asarray(image.dataobj, dtype=np.float32)
            found, _ = marks(image, probability, threshold, seed)
            mask = data / folder / f"{name}_mask.nii.gz"
            drawn: Any = nib.load(mask) if mask.exists() else None
            true = np.zeros(hu.shape, bool) if drawn is None else np.asarray(drawn.dataobj) > 0
            turn = nib.orientations.io_orientation(image.affine)
            upright = [nib.orientations.apply_orientation(a, turn) for a in (hu, found, true)]
            shown += [(f"{name} {k}", *(a[..., k] for a in upright)) for k in range(hu.shape[2])]
    columns = 7
    rows = -(-len(shown) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3 * columns, 3 * rows), squeeze=False)
    for axis in axes.ravel():
        axis.axis("off")
    for axis, (title, hu, found, true) in zip(axes.ravel(), shown, strict=False):
        axis.imshow(hu.T, cmap="gray", vmin=0, vmax=80, origin="lower")
        axis.set_title(title, fontsize=7, pad=1)
        for area, color in ((true, "lime"), (found, "red")):
            if area.any():
                axis.contour(area.T, [0.5], colors=color, linewidths=0.7)
    figure.tight_layout(pad=0.2)
    figure.savefig(path, dpi=70)
    plt.close(figure)


def _judge(data: Path, out: Path, weights: Path, thresholds: str) -> pd.DataFrame:
    scans = read_slices(data, out, weights)
    cuts = [float(t) for t in thresholds.split(",")]
    # Bleeds must be as sure as the configs ask, at whatever threshold they are cut.
    findings = read_findings(out / FOLDERS[0] / "results" / scans[FOLDERS[0]][0][0])
    assert findings is not None
    seed = seed_of(findings)
    table = pd.DataFrame([measure(data, scans, t, seed) for t in cuts])
    heads = read_whole(data, out, weights)
    table["whole_ml"] = [whole_ml(heads, t, seed) for t in cuts]
    table["pixel_ap"] = round(pixel_precision(data, scans), 3)
    table.to_csv(out / "real_slices.csv", index=False)
    draw(data, scans, cuts[0], out / "real_slices.png", seed)
    typer.echo(table.drop(columns=["dice", "false_mm2"]).to_string(index=False))
    typer.echo(f"{out / 'real_slices.csv'}, {out / 'real_slices.png'}")
    return table


@app.command()
def judge(
    data: Data,
    out: Out,
    weights: Annotated[Path, typer.Option(help="Weights of the 2.5D U-Net.")] = ROOT / "models/slice_unet/model.pt",
    thresholds: Thresholds = THRESHOLDS,
) -> None:
    """Measure weights of the 2.5D U-Net on real slices, at several thresholds."""
    _judge(data, out, weights.absolute(), thresholds)


Crops = Annotated[int, typer.Option(min=CROPS_PER_EPOCH, help="Length of each training, in crops.")]
Heads = Annotated[int, typer.Option(min=2, help="Phantom heads to train on.")]
Seeds = Annotated[list[int] | None, typer.Option(help="Of weights and order; may be repeated. Heads stay.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Knob of the configs, NAME=VALUE.")]


def _check(left_out: list[str], settings: list[str]) -> None:
    try:
        Recipe().without(*left_out)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if any("=" not in s for s in settings):
        raise typer.BadParameter("--set takes NAME=VALUE")


def _name_of(left_out: list[str]) -> str:
    return "_without_".join(["all", *left_out])


def _train(
    data: Path,
    out: Path,
    name: str,
    left_out: list[str],
    seed: int,
    crops: int,
    heads: int,
    settings: list[str],
    thresholds: str,
) -> pd.DataFrame:
    """Train on heads without some ingredients and judge; what was trained and judged already is only read."""
    stage = {"name": "pixels", "epochs": round(crops / CROPS_PER_EPOCH), "learning_rate": 2e-3, "cosine": True}
    folder = out.absolute() / f"{name}_seed{seed}"
    values = {
        "heads": heads,
        "train#phantoms#seed": 0,
        "validation_heads": 4,
        "val_interval": stage["epochs"],
        "cases_per_epoch": CROPS_PER_EPOCH,
        "stages": [stage],
        **{f"phantom_recipe#{name}": 0 for name in left_out},
        **dict(s.split("=", 1) for s in settings),
    }
    asked = json.dumps([values, thresholds], default=str)
    done = folder / "asked.json"
    if done.exists() and done.read_text() == asked:
        return pd.read_csv(folder / "real_slices.csv")
    bundle(
        training_configs(SYSTEM),
        {
            "train#dataset#cache_dir": out.absolute() / "heads",
            "output_dir": folder,
            "resume": (folder / "last.pt").exists(),
            "seed": seed,
            **values,
        },
    )
    table = _judge(data, folder, folder / "model.pt", thresholds)
    write_atomically(done, lambda path: path.write_text(asked))  # last: what it stands for is there
    return table


@app.command()
def train(
    data: Data,
    out: Out,
    crops: Crops = 60_000,
    heads: Heads = 300,
    seed: Seeds = None,
    without: Annotated[list[str] | None, typer.Option(help="An ingredient to leave out; may be repeated.")] = None,
    setting: Settings = None,
    thresholds: Thresholds = THRESHOLDS,
) -> None:
    """Train the 2.5D U-Net of the bundle on phantoms alone, once for each seed, and measure it on real slices."""
    _check(without or [], setting or [])
    left_out = sorted(without or [])
    for number in seed or [0]:
        _train(data, out, _name_of(left_out), left_out, number, crops, heads, setting or [], thresholds)


def while_clean(table: pd.DataFrame, least: int = 7) -> float:
    """Highest slice-mean Dice among the thresholds that keep at least ``least`` slices without blood clean."""
    clean = table["clean"].str.split("/").str[0].astype(int)
    return float(table["slice_mean_dice"][clean >= least].max()) if (clean >= least).any() else 0.0


@app.command()
def effects(
    data: Data,
    out: Out,
    without: Annotated[
        list[str], typer.Option(help="Ingredients to leave out of one training, joined by +; may be repeated.")
    ],
    crops: Crops = 16_000,
    heads: Heads = 100,
    seed: Seeds = None,
    setting: Settings = None,
    thresholds: Thresholds = THRESHOLDS,
) -> None:
    """Train with all ingredients and again without some, with the same seeds, and tabulate what each is worth.

    False marks, clean slices and found bleeds are those at 0.5, or at the first threshold where 0.5 is none of them. A
    training too short to learn the task tells nothing; ``--set initial_weights=FILE`` starts from weights that know it.
    """
    numbers = seed or [0, 1, 2]
    for group in without:
        _check(group.split("+"), setting or [])
    rows = []
    for group in ["", *without]:
        left_out = sorted(group.split("+")) if group else []
        for number in numbers:
            table = _train(data, out, _name_of(left_out), left_out, number, crops, heads, setting or [], thresholds)
            middle = table[table["threshold"] == 0.5].iloc[0] if (table["threshold"] == 0.5).any() else table.iloc[0]
            rows.append({
                "without": group or "nothing", "seed": number, "dice_while_7_clean": while_clean(table),
                "threshold": middle["threshold"], "dice": middle["slice_mean_dice"], "clean": middle["clean"],
                "found": middle["found"], "false_mm2": float(np.mean(json.loads(str(middle["false_mm2"])))),
            })  # fmt: skip
            found = pd.DataFrame(rows)
            write_atomically(out / "effects.csv", partial(found.to_csv, index=False))
    typer.echo(effects_table(found))
    typer.echo(f"{out / 'effects.csv'}")


def effects_table(rows: pd.DataFrame) -> str:
    """A Markdown table: mean over seeds, and the difference from training with everything, seed by seed."""
    names = list(dict.fromkeys(rows["without"]))
    by_seed = rows.pivot(index="without", columns="seed", values="dice_while_7_clean").loc[names]
    lines = [
        "| without | Dice while 7 of 8 are clean, mean (each seed) | less than with all | "
        "mm² marked on a slice without blood at one cut | clean, found at that cut |"
    ]
    lines.append("| --- | --- | --- | --- | --- |")
    for name in names:
        own = by_seed.loc[name]
        lost = by_seed.iloc[0] - own
        both = rows[rows["without"] == name]
        cells = [
            name,
            f"{own.mean():.3f} ({', '.join(f'{d:.3f}' for d in own)})",
            "" if name == names[0] else f"{lost.mean():+.3f} ({', '.join(f'{d:+.3f}' for d in lost)})",
            f"{both['false_mm2'].mean():.0f} ({', '.join(f'{a:.0f}' for a in both['false_mm2'])})",
            "; ".join(f"{c}, {f}" for c, f in zip(both["clean"], both["found"], strict=True)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


GROUPS = (
    "beam_hardening",
    "glare",
    "slice_tails",
    "uneven_bone+snug_brain",
    "veins+sinuses+dura",
    "calcifications",
    "deep_nuclei+cerebellum",
    "old_lesions+edema",
    "trauma+collections+skull_defects+metal",
    "mixed_clots",
    "faint_blood+least_contrast_hu",
)


@app.command()
def screen(
    data: Data,
    out: Out,
    group: Annotated[
        list[str] | None, typer.Option(help="Ingredients left out together, joined by +; repeatable. Default: all.")
    ] = None,
    crops: Crops = 6_400,
    heads: Heads = 60,
    repeats: Annotated[int, typer.Option(min=1, help="Of the whole design, each time with other seeds.")] = 1,
    setting: Settings = None,
    thresholds: Thresholds = THRESHOLDS,
) -> None:
    """Estimate what each of many ingredients is worth, from few trainings: sixteen for the eleven groups there are.

    Every training leaves out half of the groups, each time others, and has a seed of its own, so that every group is
    compared between as many trainings with it as without. A stopped screening goes on; its table is written as soon as
    there are enough trainings, and gets its intervals from those that follow.
    """
    groups = group or list(GROUPS)
    for one in groups:
        _check(one.split("+"), setting or [])
    design = screening_design(groups, repeats)
    rows = []
    for number, present in enumerate(design.itertuples(index=False)):
        left_out = sorted(n for one, there in zip(groups, present, strict=True) if not there for n in one.split("+"))
        typer.echo(f"training {number + 1} of {len(design)}, without {', '.join(left_out) or 'nothing'}")
        table = _train(data, out, "screen", left_out, number, crops, heads, setting or [], thresholds)
        first = table.iloc[0]
        rows.append({"dice_while_7_clean": while_clean(table), "pixel_ap": first["pixel_ap"], "ml": first["whole_ml"]})
        found = pd.concat([design[: number + 1], pd.DataFrame(rows)], axis=1)
        write_atomically(out / "screen.csv", partial(found.to_csv, index=False))
        with contextlib.suppress(ValueError):  # too few so far
            text = screening_table(design[: number + 1], found) + "\n"
            write_atomically(out / "screen.md", partial(Path.write_text, data=text))
    typer.echo((out / "screen.md").read_text())
    typer.echo(f"{out / 'screen.csv'}, {out / 'screen.md'}")


if __name__ == "__main__":
    app()
