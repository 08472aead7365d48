"""What a system's scores and threshold are worth on a study with masks.

    python scripts/calibrate.py RESULTS MASKS WEIGHTS

RESULTS is the output folder of an inference run over the study's scans with these weights; MASKS holds NAME.nii or
NAME.nii.gz for each result NAME. Writes ``calibration.json`` beside the weights (inference then states a probability
of hemorrhage), and ``calibration.png`` and ``thresholds.csv`` into RESULTS.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import nibabel as nib
import numpy as np
import pandas as pd
import typer
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.errors import ScanError
from hemorrhage.files import sha256_of, write_atomically
from hemorrhage.geometry import voxel_volume_ml
from hemorrhage.marks import cuts_of, seed_of
from hemorrhage.metrics.calibration import cross_fitted, expected_calibration_error, fit_curve, reliability
from hemorrhage.metrics.intervals import bootstrap_interval
from hemorrhage.runs import read_findings
from hemorrhage.weights import CALIBRATION

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SEEDS = (0.5, 0.6, 0.7, 0.8, 0.9)  # and, for each threshold, none but itself
FOLDS = 5


def truth_of(name: str, masks: Path) -> Path:
    """The mask of a result."""
    for ending in (".nii.gz", ".nii"):
        if (path := masks / f"{name}{ending}").exists():
            return path
    raise ScanError("E_NOT_FOUND", masks, f"there is no {name}.nii or {name}.nii.gz", "Name the folder of the masks.")


def read_scan(folder: Path, masks: Path, sha256: str, smallest_mm3: float) -> tuple[dict[str, Any], list[dict]]:
    """A scan's label and score, and its overlap with the truth at each pair of thresholds, its run's among them."""
    record = read_findings(folder)
    assert record is not None
    if record["weights"]["sha256"] != sha256:
        raise ScanError("E_WEIGHTS", folder, "the result was made with other weights", "Name the weights that it used.")
    image = nib.Nifti1Image.from_filename(folder / "probability.nii.gz")
    mask = nib.Nifti1Image.from_filename(truth_of(folder.name, masks))
    if image.shape != mask.shape or not np.allclose(image.affine, mask.affine, atol=1e-3):
        raise ScanError(
            "E_GRID", folder, "probability and mask lie on different grids", "Name the masks of these scans."
        )
    p, true = np.asarray(image.dataobj, dtype=np.float32), np.asarray(mask.dataobj) > 0
    one_ml = voxel_volume_ml(image.affine)
    blood = np.count_nonzero(true)
    own, own_seed = float(record["threshold"]), seed_of(record)
    thresholds, seeds = sorted({*THRESHOLDS, own}), sorted({*SEEDS, *([] if own_seed is None else [own_seed])})
    rows = [
        {
            "name": folder.name, "threshold": c["threshold"], "seed_threshold": c["seed_threshold"],
            "true_ml": blood * one_ml, "found_ml": c["marked"] * one_ml,
            "dice": 2 * c["hits"] / (c["marked"] + blood) if blood else np.nan,
        }
        for c in cuts_of(p, true, thresholds, seeds, 1000 * one_ml, smallest_mm3)
    ]  # fmt: skip
    score = float(record["findings"]["scan_score"])
    return {"name": folder.name, "blood": int(true.any()), "score": score}, rows


def draw(path: Path, scans: pd.DataFrame, sweep: pd.DataFrame) -> None:
    """Reliability before and after, and what each threshold does, for several seed thresholds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    left.plot([0, 1], [0, 1], color="0.7", lw=1)
    for column, label, mark in (("score", "score", "s"), ("probability", "calibrated, held out", "o")):
        table = reliability(scans["blood"], scans[column])
        sizes = [20 + 8 * r["count"] for r in table]
        left.scatter(
            [r["said"] for r in table], [r["happened"] for r in table], sizes, marker=mark, label=label, alpha=0.7
        )
    left.set(xlabel="said", ylabel="share of scans with blood", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    left.set_title(f"Scan score, {len(scans)} scans; larger marks hold more")
    left.legend(loc="upper left", frameon=False)
    other = right.twinx()
    for n, seed in enumerate((None, *SEEDS[::2])):
        own = sweep[sweep["seed_threshold"] == (sweep["threshold"] if seed is None else seed)]
        shade, label = 0.35 + 0.2 * n, "itself" if seed is None else f"{seed:g}"
        right.plot(own["threshold"], own["dice"], "o-", color=matplotlib.colormaps["Blues"](shade), label=label)
        other.plot(own["threshold"], own["false_ml"], "s--", color=matplotlib.colormaps["Reds"](shade))
    right.set(xlabel="threshold", ylim=(0, 1))
    right.set_ylabel("mean Dice of scans with blood", color="tab:blue")
    other.set_ylabel("mean mL marked in scans without", color="tab:red")
    right.legend(title="a bleed's surest\nvoxel reaches", frameon=False, loc="center right")
    right.set_title("Threshold")
    write_atomically(path, lambda file: figure.savefig(file, dpi=110, format="png"))
    plt.close(figure)


def main(
    results: Annotated[Path, typer.Argument(help="Output folder of an inference run.")],
    masks: Annotated[Path, typer.Argument(help="Folder of the scans' masks.")],
    weights: Annotated[Path, typer.Argument(help="The weights of that run.")],
    on: Annotated[
        str, typer.Option(help="What the scans are, in a few words: it is stated with each probability.")
    ] = "",
    smallest_mm3: Annotated[float, typer.Option(min=0, help="As smallest_bleed_mm3 of the configs.")] = 50.0,
) -> None:
    """Fit the curve, state its error on held-out scans, and write both."""
    try:
        calibrate(results, masks, weights, on or results.name, smallest_mm3)
    except ScanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from None


def calibrate(results: Path, masks: Path, weights: Path, on: str, smallest_mm3: float) -> None:
    """See :func:`main`."""
    if not weights.is_file():
        raise ScanError("E_WEIGHTS", weights, "there is no such file", "Name the weights of the run.")
    folders = sorted(p.parent for p in results.glob("*/findings.json"))
    if not folders:
        raise ScanError(
            "E_NO_SCANS", results, "there are no results in it", "Name the output folder of an inference run."
        )
    sha256 = sha256_of(weights)
    with tqdm(folders, "read results", unit="scan") as bar:
        read = [read_scan(f, masks, sha256, smallest_mm3) for f in bar]
    scans = pd.DataFrame([scan for scan, _ in read])
    counts = scans["blood"].value_counts()
    if min(counts.get(0, 0), counts.get(1, 0)) < FOLDS:
        raise ScanError(
            "E_DATALIST", masks, f"{counts.get(1, 0)} scans with blood and {counts.get(0, 0)} without",
            f"A calibration needs at least {FOLDS} of each.",
        )  # fmt: skip
    scans["probability"] = cross_fitted(scans["blood"], scans["score"], FOLDS)
    rows = pd.DataFrame([row for _, rows in read for row in rows])
    blood = rows["true_ml"] > 0
    rows["bias_ml"] = rows["found_ml"] - rows["true_ml"]
    cuts = ["threshold", "seed_threshold"]
    sweep = rows[blood].groupby(cuts)[["dice", "bias_ml"]].mean()
    sweep["false_ml"] = rows[~blood].groupby(cuts)["found_ml"].mean()
    sweep = sweep.reset_index()
    best = sweep.loc[sweep["dice"].idxmax()]
    curve = fit_curve(scans["blood"], scans["score"])
    first = read_findings(folders[0])
    assert first is not None
    record: dict[str, Any] = {
        "calibrated_on": f"{len(scans)} scans, {counts[1]} with blood: {on}",
        "slope": curve.slope, "intercept": curve.intercept, "weights_sha256": sha256,
        "best_threshold": float(best["threshold"]), "best_seed_threshold": float(best["seed_threshold"]),
        "settings": first.get("settings"),
    }  # fmt: skip
    for name, column in (("of the score", "score"), ("calibrated, held out", "probability")):
        values = scans[["blood", column]].to_numpy(dtype=np.float64)
        low, high = bootstrap_interval(list(values[:, None, :]), lambda v: expected_calibration_error(v[:, 0], v[:, 1]))
        ece = expected_calibration_error(values[:, 0], values[:, 1])
        record[f"expected calibration error {name}"] = [round(float(v), 4) for v in (ece, low, high)]
        typer.echo(f"expected calibration error {name}: {ece:.3f} ({low:.3f} to {high:.3f})")
    typer.echo(sweep.round(3).to_string(index=False))
    draw(results / "calibration.png", scans, sweep)
    write_atomically(results / "thresholds.csv", lambda path: rows.round(4).to_csv(path, index=False))
    target = weights.parent / CALIBRATION
    write_atomically(target, lambda path: path.write_text(json.dumps(record, indent=1) + "\n"))
    typer.echo(f"{target}: {record['calibrated_on']}")


if __name__ == "__main__":
    typer.run(main)
