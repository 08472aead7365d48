"""Judge phantoms by what a network that saw nothing else makes of real slices: the network is a tool here.

    python scripts/try_phantoms.py judge ../shared/data runs/real --weights models/slice_unet/model.pt
    python scripts/try_phantoms.py train ../shared/data runs/try --crops 60000
    python scripts/try_phantoms.py effects ../shared/data runs/effects --without veins --without dura+sinuses
    python scripts/try_phantoms.py screen ../shared/data runs/screen

What the folder of real slices holds: ``scripts/real_slices.py``. A training that was stopped goes on.
"""

from __future__ import annotations

import contextlib
import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from real_slices import ROOT, SYSTEM, bundle, judge_weights, while_clean
from scipy.stats import t as student
from screening import screening_design, screening_table
from train_reference import training_configs

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.files import write_atomically
from hemorrhage.phantom.recipe import Recipe

CROPS_PER_EPOCH = 3200
app = typer.Typer(help=__doc__, rich_markup_mode="markdown", no_args_is_help=True)

Data = Annotated[Path, typer.Argument(help="Folder of real slices to measure on.", exists=True, file_okay=False)]
Out = Annotated[Path, typer.Argument(help="Folder for heads, runs, results, tables and pictures.")]
Thresholds = Annotated[
    str, typer.Option(help="Probabilities to cut at, with commas; the picture shows the marks of the first.")
]
THRESHOLDS = "0.15,0.05,0.07,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8"


@app.command()
def judge(
    data: Data,
    out: Out,
    weights: Annotated[Path, typer.Option(help="Weights of the system.")] = ROOT / "models/slice_unet/model.pt",
    thresholds: Thresholds = THRESHOLDS,
    system: Annotated[str, typer.Option(help="System that reads the slices.")] = SYSTEM,
) -> None:
    """Measure weights of the 2.5D U-Net, or of another system of slices, on real slices, at several thresholds."""
    judge_weights(data, out, weights.absolute(), thresholds, system)


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
    table = judge_weights(data, folder, folder / "model.pt", thresholds)
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
    for number in numbers:  # whole pairs first, so that a stopped run says something
        for group in ["", *without]:
            left_out = sorted(group.split("+")) if group else []
            table = _train(data, out, _name_of(left_out), left_out, number, crops, heads, setting or [], thresholds)
            middle = table[table["threshold"] == 0.5].iloc[0] if (table["threshold"] == 0.5).any() else table.iloc[0]
            rows.append({
                "without": group or "nothing", "seed": number, "dice_while_7_clean": while_clean(table),
                "threshold": middle["threshold"], "dice": middle["slice_mean_dice"], "clean": middle["clean"],
                "found": middle["found"], "false_mm2": float(np.mean(json.loads(str(middle["false_mm2"])))),
                "pixel_ap": middle["pixel_ap"], "ml": middle["whole_ml"],
            })  # fmt: skip
            found = pd.DataFrame(rows)
            write_atomically(out / "effects.csv", partial(found.to_csv, index=False))
    typer.echo(effects_table(found))
    typer.echo(f"{out / 'effects.csv'}")


def effects_table(rows: pd.DataFrame) -> str:
    """A Markdown table: mean over seeds, and the difference from training with everything with its interval.

    Args:
        rows: a training a row, with "without" and "seed"; "dice_while_7_clean" and "pixel_ap", of which more is better;
            "false_mm2", "clean" and "found" at one threshold, and "ml" there, NaN where no whole head was read.
    """
    names = list(dict.fromkeys(rows["without"]))
    better = {"dice_while_7_clean": "Dice while 7 of 8 are clean", "pixel_ap": "average precision of pixels"}
    marked = {"false_mm2": "mm² marked on a slice without blood", "ml": "mL in a whole head without blood"}
    marked = {name: title for name, title in marked.items() if not rows[name].isna().any()}
    titles = [t for title in better.values() for t in (f"{title}, mean (each seed)", "less than with all, and 95 %")]
    titles += [f"{title} at one cut" for title in marked.values()] + ["clean, found at that cut"]
    lines = ["| without | " + " | ".join(titles) + " |", "| --- |" + " --- |" * len(titles)]
    by_seed = {name: rows.pivot(index="without", columns="seed", values=name) for name in (*better, *marked)}
    for name in names:
        both = rows[rows["without"] == name]
        cells = [name]
        for one in better:
            own = by_seed[one].loc[name]
            lost = by_seed[one].loc[names[0]] - own
            cells.append(_each_seed(own, ".3f"))
            cells.append("" if name == names[0] else _each_seed(lost, "+.3f") + _interval(lost))
        cells += [_each_seed(by_seed[one].loc[name], ".0f" if one == "false_mm2" else ".1f") for one in marked]
        cells.append("; ".join(f"{c}, {f}" for c, f in zip(both["clean"], both["found"], strict=True)))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _each_seed(values: pd.Series, form: str) -> str:
    return f"{values.mean():{form}} ({', '.join(f'{v:{form}}' for v in values)})"


def _interval(lost: pd.Series) -> str:
    """Student's interval of the mean of paired differences; empty for a single pair, which has none."""
    if len(lost) < 2:
        return ""
    low, high = student.interval(0.95, len(lost) - 1, lost.mean(), lost.sem())
    return f" {low:+.3f} to {high:+.3f}"


GROUPS = (
    "beam_hardening",
    "glare",
    "slice_tails",
    "uneven_bone+snug_brain",
    "veins+sinuses+dura",
    "calcifications",
    "deep_nuclei+cerebellum+gyri",
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
