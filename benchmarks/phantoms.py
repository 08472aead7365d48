"""How fast phantoms are made, and how near their bleeds come to real ones.

python benchmarks/phantoms.py speed
python benchmarks/phantoms.py compare ../shared/data/stats/bhsd_hemorrhage_characteristics.csv
"""

from __future__ import annotations

import json
import resource
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import typer
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.phantom import SlicePhantoms, TemplatePhantoms, make_case
from hemorrhage.subtypes import BY_NAME

app = typer.Typer(add_completion=False)


def _slices(job: tuple[int, int, str]) -> tuple[int, float, float]:
    """Samples, seconds of wall time and of processor time for ``heads`` heads in one process."""
    first, heads, device = job
    torch.set_num_threads(1)
    source = SlicePhantoms(device=device)
    source.samples_of(10_000)  # reads the anatomy
    start, busy, made = time.perf_counter(), time.process_time(), 0
    for n in range(heads):
        made += len(source.samples_of(first + n))
    return made, time.perf_counter() - start, time.process_time() - busy


@app.command()
def speed(heads: int = 6, cases: int = 6, workers: int = 2, device: str = "cpu") -> None:
    """Samples of 256 x 256 x 3 a second over ``workers`` processes, and seconds for a case of 128^3 on all threads."""
    with get_context("spawn").Pool(workers) as pool:
        rates = pool.map(_slices, [(n * heads, heads, device) for n in range(workers)])
    result = {
        "samples_a_second": round(sum(made / wall for made, wall, _ in rates), 1),
        "samples_a_processor_second": round(sum(r[0] for r in rates) / sum(r[2] for r in rates), 1),
    }
    data = TemplatePhantoms(cases + 1, device=device)
    data[cases]
    start, busy = time.perf_counter(), time.process_time()
    for n in range(cases):
        data[n]
    result["seconds_a_case_128"] = round((time.perf_counter() - start) / cases, 2)
    result["processor_seconds_a_case_128"] = round((time.process_time() - busy) / cases, 2)
    result["threads"] = torch.get_num_threads()
    result["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(result))


@app.command()
def compare(stats: Path, cases: int = 120, seed: int = 50_000) -> None:
    """Two-sample Kolmogorov-Smirnov tests of volume and median HU by subtype against a table of real bleeds."""
    import pandas as pd
    from scipy.stats import ks_2samp

    table = pd.read_csv(stats, index_col=0).rename(columns={"Volume_[mL]": "ml"})
    table["weighted"] = table.ml * table.Median_HU
    real = table.groupby(["Data_ID", "Type"])[["ml", "weighted"]].sum().reset_index()
    real["hu"] = real.weighted / real.ml
    made: dict[str, list[tuple[float, float]]] = {s: [] for s in BY_NAME}
    for n in tqdm(range(cases)):
        truth = make_case(seed + n, positive_fraction=1.0, spacing_mm=(0.9, 0.9, 5.0), shape=(256, 256, 32)).truth
        for name, values in truth["subtypes"].items():
            if values["ml"] > 0:
                made[name].append((values["ml"], values["hu"]))
    print("| subtype | scans | real | mL 25/50/75 % | real | KS p | HU 25/50/75 % | real | KS p |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in BY_NAME:
        ours, theirs = np.array(made[name]), real[real.Type == name][["ml", "hu"]].to_numpy()
        cells = [name, str(len(ours)), str(len(theirs))]
        for column, form in ((0, "{:.1f}"), (1, "{:.0f}")):
            for sample in (ours, theirs):
                cells.append(" / ".join(form.format(q) for q in np.quantile(sample[:, column], [0.25, 0.5, 0.75])))
            cells.append(f"{ks_2samp(ours[:, column], theirs[:, column]).pvalue:.3f}")
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    app()
