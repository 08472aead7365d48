"""What the 2.5D U-Net makes of real slices: figures, a table and a picture. Real slices are only measured on.

Their folder holds ``ct_ich_v100`` (slices and masks), ``cpaisd_no_blood`` (slices without blood) and ``phe_sich_blood``
(slices with blood, no masks), each scan as ``NAME_ct.nii.gz``, and perhaps whole heads without blood as DICOM
(``dicom/ge_head_tilted_variable_thickness``). ``scripts/try_phantoms.py`` is the program.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import nibabel as nib
import numpy as np
import pandas as pd
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.marks import marks_at, seed_of
from hemorrhage.metrics.pixel_precision import precision_of_histogram, score_histogram
from hemorrhage.runs import read_findings
from hemorrhage.systems import bundle_command, configs_of

ROOT = Path(__file__).resolve().parents[1]
SYSTEM = "slice_unet"
FOLDERS = ("ct_ich_v100", "cpaisd_no_blood", "phe_sich_blood")
WHOLE_HEADS = "dicom/ge_head_tilted_variable_thickness"
SMALLEST_MM3 = 50  # as inference.yaml
CLEAN_MM2 = 20.0
# A bleed counts as found if what is marked holds so much of it, and little else; density says where it is, for want of
# masks.
DENSE_HU, FOUND_MM2, FOUND_SHARE = (50, 999), 40.0, 0.4


def bundle(configs: tuple[str, ...], values: dict[str, Any]) -> None:
    """Run a bundle program of ``configs`` with ``values`` in place of theirs."""
    done = subprocess.run(bundle_command(ROOT, configs, values), cwd=ROOT, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)


def _read(scans: Path, out: Path, weights: Path, system: str) -> Path:
    """Read scans with weights; returns the folder of their results."""
    # Half a minute's work; kept results might be of a training that has gone on since.
    values = {"dataset_dir": scans, "output_dir": out / "results", "checkpoint": weights, "overwrite": True}
    bundle(configs_of(ROOT, system, "read_with"), values)
    return out / "results"


def read_whole(data: Path, out: Path, weights: Path, system: str = SYSTEM) -> list[tuple[np.ndarray, float]]:
    """Probability (I, J, K) and mm3 of a voxel of each whole head without blood; none where there are no such heads."""
    if not (data / WHOLE_HEADS).is_dir():
        return []
    results = _read(data / WHOLE_HEADS, out / "whole", weights, system)
    images = [nib.load(p) for p in sorted(results.glob("*/probability.nii.gz"))]
    return [(np.asarray(i.dataobj, dtype=np.float32), float(np.prod(i.header.get_zooms()[:3]))) for i in images]  # type: ignore[attr-defined]


def whole_ml(heads: list[tuple[np.ndarray, float]], threshold: float, seed: float | None) -> float:
    """Volume marked in a whole head without blood, in mL, on average; NaN without heads."""
    found = [marks_at(p, threshold, mm3, SMALLEST_MM3, seed).sum() * mm3 / 1000 for p, mm3 in heads]
    return round(float(np.mean(found)), 1) if found else float("nan")


def read_slices(
    data: Path, out: Path, weights: Path, system: str = SYSTEM
) -> dict[str, list[tuple[str, Any, np.ndarray]]]:
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
        results = _read(links, out / folder, weights, system)
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


def judge_weights(data: Path, out: Path, weights: Path, thresholds: str, system: str = SYSTEM) -> pd.DataFrame:
    """Measure weights on the real slices in ``data``, at thresholds with commas between.

    Returns:
        a row of figures a threshold, as :func:`measure` with "whole_ml" and "pixel_ap"; it is also written to ``out``,
        with a picture of the marks at the first.
    """
    scans = read_slices(data, out, weights, system)
    cuts = [float(t) for t in thresholds.split(",")]
    # Bleeds must be as sure as the configs ask, at whatever threshold they are cut.
    findings = read_findings(out / FOLDERS[0] / "results" / scans[FOLDERS[0]][0][0])
    assert findings is not None
    seed = seed_of(findings)
    table = pd.DataFrame([measure(data, scans, t, seed) for t in cuts])
    heads = read_whole(data, out, weights, system)
    table["whole_ml"] = [whole_ml(heads, t, seed) for t in cuts]
    table["pixel_ap"] = round(pixel_precision(data, scans), 3)
    table.to_csv(out / "real_slices.csv", index=False)
    draw(data, scans, cuts[0], out / "real_slices.png", seed)
    typer.echo(table.drop(columns=["dice", "false_mm2"]).to_string(index=False))
    typer.echo(f"{out / 'real_slices.csv'}, {out / 'real_slices.png'}")
    return table


def while_clean(table: pd.DataFrame, least: int = 7) -> float:
    """Highest slice-mean Dice among the thresholds that keep at least ``least`` slices without blood clean."""
    clean = table["clean"].str.split("/").str[0].astype(int)
    return float(table["slice_mean_dice"][clean >= least].max()) if (clean >= least).any() else 0.0
