"""What reference weights are worth on phantoms that no training sees, and whether their score can be believed.

    python benchmarks/references.py OUT slice_unet vnet_small

For each system: inference on a fixed set of phantoms for calibration, ``scripts/calibrate.py`` on it (which writes
``calibration.json`` beside the weights), evaluation on another fixed set, and one row of figures with intervals from
resampling heads, in OUT/references.md. What is there is kept, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hemorrhage.metrics.calibration import LogisticCurve, expected_calibration_error  # noqa: E402
from hemorrhage.metrics.detection import roc_auc  # noqa: E402
from hemorrhage.metrics.intervals import bootstrap_interval  # noqa: E402
from hemorrhage.report.calibrated_score import read_calibration  # noqa: E402
from hemorrhage.systems import bundle_command, configs_of, systems, weights_of  # noqa: E402

SPACING = "0.6,0.6,5"
SETS = {"calibration": 5_000_000, "test": 6_000_000}  # seed of the first head


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-W", "ignore", *arguments], cwd=ROOT, check=True)


def bundle(configs: tuple[str, ...], values: dict[str, str]) -> None:
    subprocess.run(bundle_command(ROOT, configs, values), cwd=ROOT, check=True)


def with_interval(values: np.ndarray, statistic) -> str:
    """A statistic of rows, one a head, with its 95 % interval."""
    low, high = bootstrap_interval(list(values[:, None, :]), statistic)
    return f"{statistic(values):.3f} ({low:.3f} to {high:.3f})"


def figures(scans: pd.DataFrame, curve: LogisticCurve) -> dict[str, str]:
    """The row of a system from the scores of its scans."""
    blood = scans["reference_ml"] > 0
    large = scans[scans["reference_ml"] > 5]
    volumes = scans[blood][["reference_ml", "automatic_ml"]].to_numpy()
    scores = np.stack([blood, scans["scan_score"], curve(scans["scan_score"])], 1).astype(np.float64)
    free = scans[~blood]["automatic_ml"]
    return {
        f"Dice, {len(large)} heads over 5 mL": with_interval(large[["dice"]].to_numpy(), lambda v: float(v.mean())),
        f"Dice, {int(blood.sum())} heads with blood": with_interval(
            scans[blood][["dice"]].to_numpy(), lambda v: float(v.mean())
        ),
        "volume r": with_interval(volumes, lambda v: float(np.corrcoef(v.T)[0, 1])),
        f"scan AUC, {len(scans)} heads": with_interval(scores, lambda v: roc_auc(v[:, 0], v[:, 1])),
        "calibration error of the score": with_interval(scores, lambda v: expected_calibration_error(v[:, 0], v[:, 1])),
        "of the probability": with_interval(scores, lambda v: expected_calibration_error(v[:, 0], v[:, 2])),
        "mL marked without blood, mean and most": f"{free.mean():.2f}, {free.max():.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("systems", nargs="+", choices=systems(ROOT))
    parser.add_argument("--calibration", type=int, default=40, help="heads to calibrate on, about half with blood")
    parser.add_argument("--test", type=int, default=60, help="heads to score, likewise")
    parser.add_argument(
        "--models", type=Path, default=ROOT / "models", help="folder with the weights, as configs name them"
    )
    options = parser.parse_args()
    out = options.out.absolute()
    for name, seed in SETS.items():
        count = str(getattr(options, name))
        run(str(ROOT / "scripts/make_phantoms.py"), count, str(out / name), "--seed", str(seed), "--spacing", SPACING)
    rows = {}
    for system in options.systems:
        weights = options.models.absolute() / weights_of(ROOT, system)
        results = out / system / "results"
        bundle(configs_of(ROOT, system, "read_with"), {
            "dataset_dir": str(out / "calibration/ct_scans"), "output_dir": str(results), "checkpoint": str(weights),
        })  # fmt: skip
        run(
            str(ROOT / "scripts/calibrate.py"), str(results), str(out / "calibration/masks"), str(weights),
            "--on", "synthetic heads",
        )  # fmt: skip
        scores = out / system / "scores"
        bundle(configs_of(ROOT, system, "evaluate"), {
            "dataset_dir": str(out / "test"), "output_dir": str(scores), "checkpoint": str(weights), "name": system,
        })  # fmt: skip
        record = read_calibration(weights)
        assert record is not None
        curve = LogisticCurve(record["slope"], record["intercept"])
        rows[system] = figures(pd.read_csv(scores / "scans.csv"), curve)
    names = list(next(iter(rows.values())))
    lines = ["| | " + " | ".join(rows) + " |", "| --- |" + " --- |" * len(rows)]
    lines += [f"| {name} | " + " | ".join(row[name] for row in rows.values()) + " |" for name in names]
    (out / "references.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
