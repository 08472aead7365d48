"""How fast phantoms are made, and how near their bleeds come to real ones.

python benchmarks/phantoms.py speed
python benchmarks/phantoms.py compare ../shared/data/stats/bhsd_hemorrhage_characteristics.csv
python benchmarks/phantoms.py rim ../shared/data/dicom/ge_head_tilted_variable_thickness
"""

from __future__ import annotations

import json
import resource
import sys
import time
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer
from monai.transforms import LoadImaged
from scipy import ndimage
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.geometry import voxel_sizes_mm
from hemorrhage.phantom import SlicePhantoms, TemplatePhantoms, make_case
from hemorrhage.phantom.recipe import Recipe
from hemorrhage.reader import HeadCTReader
from hemorrhage.subtypes import BY_NAME
from hemorrhage.transforms.acquired_slices import AcquiredSlicesd
from hemorrhage.transforms.brain_mask import BrainMaskd

app = typer.Typer(add_completion=False)


def _timed(kind: str, job: tuple[int, int, str]) -> tuple[int, float, float]:
    """Samples or cases, seconds of wall time and of processor time for heads that one process makes."""
    first, heads, device = job
    torch.set_num_threads(1)
    data = SlicePhantoms(device=device) if kind == "samples" else TemplatePhantoms(10**9, device=device)
    make = data.samples_of if isinstance(data, SlicePhantoms) else lambda n: [data[n]]
    make(10_000)  # reads the anatomy
    start, busy, made = time.perf_counter(), time.process_time(), 0
    for n in range(heads):
        made += len(make(first + n))
    if device != "cpu":
        torch.cuda.synchronize(device)
    return made, time.perf_counter() - start, time.process_time() - busy


@app.command()
def speed(heads: int = 6, cases: int = 6, workers: int = 2, device: str = "cpu") -> None:
    """Samples of 256 x 256 x 3 and cases of 128^3 a second over ``workers`` processes, each with so many of them."""
    result: dict[str, float] = {}
    with get_context("spawn").Pool(workers) as pool:
        for kind, each in (("samples", heads), ("cases", cases)):
            rates = pool.map(partial(_timed, kind), [(n * each, each, device) for n in range(workers)], chunksize=1)
            result[f"{kind}_a_second"] = round(sum(made / wall for made, wall, _ in rates), 1)
            result[f"{kind}_a_processor_second"] = round(sum(r[0] for r in rates) / sum(r[2] for r in rates), 2)
    data = TemplatePhantoms(cases + 1, device=device)
    data[cases]
    start = time.perf_counter()
    for n in range(cases):
        data[n]
    result["seconds_a_case_alone"] = round((time.perf_counter() - start) / cases, 3)
    result["threads"] = torch.get_num_threads()
    result["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(result))


@app.command()
def compare(stats: Path, cases: int = 120, seed: int = 50_000, subtype: list[str] | None = None) -> None:
    """Two-sample Kolmogorov-Smirnov tests of volume and median HU by subtype against a table of real bleeds.

    With ``--subtype`` each head gets exactly these, else they come together as they do in life.
    """
    import pandas as pd
    from scipy.stats import ks_2samp

    table = pd.read_csv(stats, index_col=0).rename(columns={"Volume_[mL]": "ml"})
    table["weighted"] = table.ml * table.Median_HU
    real = table.groupby(["Data_ID", "Type"])[["ml", "weighted"]].sum().reset_index()
    real["hu"] = real.weighted / real.ml
    made: dict[str, list[tuple[float, float]]] = {s: [] for s in BY_NAME}
    for n in tqdm(range(cases)):
        truth = make_case(
            seed + n, subtypes=subtype, positive_fraction=1.0, spacing_mm=(0.9, 0.9, 5.0), shape=(256, 256, 32)
        ).truth
        for name, values in truth["subtypes"].items():
            if values["ml"] > 0:
                made[name].append((values["ml"], values["hu"]))
    print("| subtype | scans | real | mL 25/50/75 % | real | KS p | HU 25/50/75 % | real | KS p |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in (n for n in BY_NAME if made[n]):
        ours, theirs = np.array(made[name]), real[real.Type == name][["ml", "hu"]].to_numpy()
        cells = [name, str(len(ours)), str(len(theirs))]
        for column, form in ((0, "{:.1f}"), (1, "{:.0f}")):
            for sample in (ours, theirs):
                cells.append(" / ".join(form.format(q) for q in np.quantile(sample[:, column], [0.25, 0.5, 0.75])))
            cells.append(f"{ks_2samp(ours[:, column], theirs[:, column]).pvalue:.3f}")
        print("| " + " | ".join(cells) + " |")


DEPTHS_MM = (1.5, 2.5, 3.5, 5.0, 7.0, 10.0, 15.0, 25.0)  # of brain below bone, in its slice
SECTIONS_CM2 = (150.0, 100.0, 60.0, 30.0)  # least brain of a slice, from the widest to those under the vertex
BONE_HU = 150.0


def _rim(hu: np.ndarray, brain: np.ndarray, sizes: np.ndarray) -> dict[float, np.ndarray]:
    """Median HU by depth below bone, for each class of slices of the upper half of a scan (I, J, K); NaN where none."""
    area = brain.sum((0, 1)) * sizes[0] * sizes[1] / 100
    found: dict[float, list[np.ndarray]] = {}
    for k in range(int(area.argmax()), hu.shape[2]):
        least = next((a for a in SECTIONS_CM2 if area[k] >= a), None)
        if least is None:
            continue
        depth = ndimage.distance_transform_edt(hu[..., k] < BONE_HU, sampling=sizes[:2])
        rings = [brain[..., k] & (depth >= a) & (depth < b) for a, b in pairwise(DEPTHS_MM)]
        row = [np.median(hu[..., k][r]) if r.sum() > 30 else np.nan for r in rings]
        found.setdefault(least, []).append(np.array(row))
    return {least: np.nanmedian(rows, axis=0) for least, rows in found.items()}


@app.command()
def rim(
    scan: Path,
    slice_mm: float | None = None,
    heads: int = 12,
    seed: int = 9_700_000,
    without: list[str] | None = None,
) -> None:
    """How bright brain is below bone, in a real scan without blood and in phantoms with slices as thick as its own."""
    reader: Any = HeadCTReader(blend=False)  # MONAI takes one as well as its name, and says otherwise
    load = LoadImaged("image", reader=reader, image_only=True, ensure_channel_first=True)
    item = BrainMaskd("image")(AcquiredSlicesd("image")(load({"image": scan})))
    sizes = voxel_sizes_mm(item["image"].affine.numpy())
    real = _rim(item["image"][0].numpy(), item["brain"][0].numpy() > 0, sizes)
    sizes[2] = slice_mm or sizes[2]  # of an unequal series the median
    recipe = Recipe().without(*(without or []))
    made = []
    for n in tqdm(range(heads)):
        case = make_case(seed + n, spacing_mm=sizes.tolist(), subtypes=(), tilt_degrees=18.0, recipe=recipe)
        made.append(_rim(case.hu.numpy(), case.brain.numpy() > 0, sizes))
    print("| brain in a slice | head | " + " | ".join(f"{a:g}-{b:g} mm" for a, b in pairwise(DEPTHS_MM)) + " |")
    print("| --- " * (len(DEPTHS_MM) + 1) + "|")
    for least in SECTIONS_CM2:
        name = f"over {least:.0f} cm²"
        print(f"| {name} | real | " + " | ".join(f"{v:.0f}" for v in real.get(least, [])) + " |")
        rows = np.stack([m[least] for m in made if least in m])
        spread = np.nanquantile(rows, [0.1, 0.5, 0.9], axis=0).T
        print("| | phantoms | " + " | ".join(f"{mid:.0f} ({low:.0f}-{high:.0f})" for low, mid, high in spread) + " |")


if __name__ == "__main__":
    app()
