"""PatchFCN's variants on phantoms: made, trained for a stated budget, scored and tabled by one command.

    python benchmarks/patchfcn.py OUT [--scans 100] [--training-scans 20] [--steps 240]

Writes OUT/scans (half of them without blood; the last ones are trained on), a folder a training, OUT/scores.jsonl and
OUT/table.md. What is there is kept, so that a stopped run goes on. Everything is small: DRN-22 of an eighth of its
width at 0.9 mm pixels, batches of 8 crops of 128 pixels; the figures compare variants with each other and say nothing
about the papers' size.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.bundle import run as run_bundle
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hemorrhage.inferers import SliceWindowInferer  # noqa: E402 - the package is found by the line above
from hemorrhage.metrics.detection import auc_interval, average_precision, operating_point, roc_auc  # noqa: E402
from hemorrhage.metrics.intervals import bootstrap_interval  # noqa: E402
from hemorrhage.metrics.pixel_precision import pooled_dice, precision_of_histogram, score_histogram  # noqa: E402
from hemorrhage.phantom import make_case  # noqa: E402
from hemorrhage.phantom.study import RECORD, finish_folder, study_number, write_study  # noqa: E402
from hemorrhage.report.patchfcn_scores import frame_scores, scan_score  # noqa: E402
from hemorrhage.subtypes import SUBTYPES  # noqa: E402
from hemorrhage.transforms.pixel_classes import AnyHemorrhaged  # noqa: E402

WINDOW, BATCH, SEED = 128, 8, 900_000
SMALL = {"network_def#width": 0.125, "window": WINDOW, "device": "$torch.device('cpu')"}
TRAINING = {
    **SMALL,
    "fold": 0,
    "val_interval": 1000,  # the test scans are the only judge
    "crop_margin": 1.25,
}
# Name of a training: overlays, slices a batch (N), crops a slice (K).
TRAININGS = {
    "joint": (("patchfcn_joint", "patchfcn_phantoms", "patchfcn_small"), BATCH, 1),
    "one_slice": (("patchfcn_phantoms", "patchfcn_small"), 1, BATCH),
    "subtypes": (("patchfcn_joint", "patchfcn_subtypes", "patchfcn_phantoms", "patchfcn_small"), BATCH, 1),
}
# Row of the table: training, weights, overlap of the windows (None: whole slices), what it is.
ROWS = {
    "segmentation (2018)": ("joint", "pixels.pt", 1.5),
    "the same, whole slices": ("joint", "pixels.pt", None),
    "the same, N=1, K=8": ("one_slice", "pixels.pt", 1.5),
    "joint (2019)": ("joint", "model.pt", 1.5),
    "subtypes (2019)": ("subtypes", "model.pt", 1.5),
}


def configs(*overlays: str) -> list[str]:
    return [str(ROOT / f"configs/{name}.yaml") for name in overlays]


def make_scans(folder: Path, count: int) -> None:
    """Whole heads at 0.9 x 0.9 x 5 mm; every second has no blood."""
    for n in tqdm(range(count), "scans"):
        if not (folder / RECORD / f"{study_number(n)}.json").exists():
            subtypes = () if n % 2 else None
            case = make_case(SEED + n, spacing_mm=(0.9, 0.9, 5.0), subtypes=subtypes, positive_fraction=1.0)
            write_study(case, folder, n)
    finish_folder(folder, count, {"seed": SEED, "spacing": [0.9, 0.9, 5.0]})


def write_datalist(out: Path, scans: int, training_scans: int) -> None:
    """Fold 0 is scored, fold 1 is trained on; labels are maps of subtypes."""
    cases = [
        {"image": f"scans/ct_scans/{study_number(n)}.nii", "label": f"scans/subtypes/{study_number(n)}.nii",
         "fold": int(n >= scans), "patient": study_number(n)}
        for n in range(scans + training_scans)
    ]  # fmt: skip
    (out / "datalist.json").write_text(json.dumps({"training": cases}))


def train(out: Path, name: str, steps: int) -> None:
    overlays, slices, crops = TRAININGS[name]
    stages: list[dict] = [{"name": "pixels", "epochs": 4, "learning_rate": 2e-3, "cosine": True}]
    if "patchfcn_joint" in overlays:
        stages[0].update(freeze=["patches"], loss={"patches": 0.0})
        stages += [
            {"name": "patches", "epochs": 1, "learning_rate": 2e-3, "freeze": ["backbone", "pixels"],
             "loss": {"pixels": 0.0, "dice": 0.0}},
            {"name": "all", "epochs": 1, "learning_rate": 2e-4},
        ]  # fmt: skip
    if (out / name / f"{stages[-1]['name']}.pt").exists():  # written at the end of the last stage
        return
    settings: dict[str, Any] = {**TRAINING, "train#dataset#cache_dir": str(out / "cache")}
    run_bundle(
        config_file=configs("train", "patchfcn", "patchfcn_train", *overlays),
        output_dir=str(out / name),
        resume=True,
        stages=stages,
        slices_per_batch=slices,
        crops_per_slice=crops,
        cases_per_epoch=steps // 4 * slices,
        datalist=str(out / "datalist.json"),
        **settings,
    )


def load(out: Path, training: str, weights: str) -> torch.nn.Module:
    overlays = [name for name in TRAININGS[training][0] if name != "patchfcn_phantoms"]
    parser = ConfigParser()
    parser.read_config(configs("inference", "patchfcn", *overlays))
    parser.update(SMALL)
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(out / training / weights, weights_only=True))
    return network.eval()


@cache
def preparation() -> Any:
    """What every scan goes through before the networks."""
    parser = ConfigParser()
    parser.read_config(configs("inference", "patchfcn", "patchfcn_small"))
    parser.update({**SMALL, "bundle_root": str(ROOT)})
    return parser.get_parsed_content("preprocessing")


def score_scans(out: Path, count: int) -> dict[str, list[dict]]:
    """Each row's figures of each scan, kept scan by scan."""
    networks = {name: load(out, training, weights) for name, (training, weights, _) in ROWS.items()}
    kept = out / "scores.jsonl"
    scored = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    for n in tqdm(range(len(scored), count), "score"):
        scored.append(score_scan(out, n, networks))
        with kept.open("a") as stream:
            stream.write(json.dumps(scored[-1]) + "\n")
    return {name: [scan[name] for scan in scored[:count]] for name in ROWS}


def score_scan(out: Path, n: int, networks: dict[str, torch.nn.Module]) -> dict[str, dict]:
    """Figures of one scan on its own grid, which has the networks' pixels."""
    labels: Any = nib.load(out / f"scans/subtypes/{study_number(n)}.nii")
    label = np.asarray(labels.dataobj)
    item = preparation()({"image": str(out / f"scans/ct_scans/{study_number(n)}.nii")})
    image, brain = item["image"], item["brain"][0].numpy() > 0
    if tuple(image.shape[1:]) != label.shape:
        raise ValueError(f"scan {n}: slices of {tuple(image.shape[1:])}, labels of {label.shape}")
    found = {}
    for name, (_, _, beta) in ROWS.items():
        inferer = SliceWindowInferer(None if beta is None else WINDOW, beta or 2.0, 8, over_brain=True)
        start = time.process_time()
        with torch.no_grad():
            answer = inferer(image.as_tensor()[None], networks[name])
        seconds = time.process_time() - start
        patches = answer["patches"][0].numpy() if isinstance(answer, dict) else None
        pixels = (answer["pixels"] if isinstance(answer, dict) else answer)[0]
        any_ = AnyHemorrhaged()({"pred": pixels})["pred"][0].numpy() * brain
        found[name] = {
            "label": int(label.any()),
            "subtypes": [int((label == s.index).any()) for s in SUBTYPES],
            "histogram": score_histogram(label, any_).tolist(),
            "lp": scan_score(any_),
            "frames": frame_scores(any_).tolist(),
            "frame_labels": (label > 0).any((0, 1)).astype(int).tolist(),
            "cpu_seconds": seconds,
        }
        if patches is not None and ROWS[name][1] == "model.pt":
            found[name]["patch"] = float(patches[0].max())
            found[name]["subtype_scores"] = [float(p.max()) for p in patches[1:]]
    return found


def with_interval(rows: list[dict], statistic: Callable[[np.ndarray], float], runs: int = 1000) -> str:
    histograms = [np.array(r["histogram"])[None] for r in rows]
    value = statistic(np.concatenate(histograms).sum(0))
    low, high = bootstrap_interval(histograms, lambda h: statistic(h.sum(0)), runs=runs)
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def area(labels: list[int], scores: list[float]) -> str:
    low, high = auc_interval(labels, scores)
    return f"{roc_auc(labels, scores):.3f} ({low:.3f} to {high:.3f})"


def difference(a: list[dict], b: list[dict], statistic: Callable[[np.ndarray], float]) -> str:
    """``a`` less ``b``, both from the same scans drawn again."""
    pairs = [np.stack([np.array(x["histogram"]), np.array(y["histogram"])])[None] for x, y in zip(a, b, strict=True)]

    def less(h: np.ndarray) -> float:
        first, second = h.sum(0)
        return statistic(first) - statistic(second)

    low, high = bootstrap_interval(pairs, less, runs=1000)
    return f"{less(np.concatenate(pairs)):+.3f} ({low:+.3f} to {high:+.3f})"


def table(found: dict[str, list[dict]]) -> str:
    lines = ["| | Dice | pixel AP | frame AP | scan AUC, L_p | scan AUC, patch | specificity at sensitivity 1 |",
             "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for name, rows in found.items():
        labels = [r["label"] for r in rows]
        frames = average_precision(
            np.concatenate([r["frame_labels"] for r in rows]), np.concatenate([r["frames"] for r in rows])
        )
        best = "patch" if "patch" in rows[0] else "lp"
        patch = area(labels, [r["patch"] for r in rows]) if best == "patch" else ""
        point = operating_point(labels, [r[best] for r in rows])
        lines.append(
            f"| {name} | {with_interval(rows, pooled_dice)} | {with_interval(rows, precision_of_histogram)} | "
            f"{frames:.3f} | {area(labels, [r['lp'] for r in rows])} | {patch} | {point.specificity:.2f} |"
        )
    lines += ["", "Differences of the same scans drawn again (95 %):", ""]
    for text, a, b in (
        ("windows less whole slices (Table 4)", "segmentation (2018)", "the same, whole slices"),
        ("N=8, K=1 less N=1, K=8 (Table 2)", "segmentation (2018)", "the same, N=1, K=8"),
    ):
        dice, ap = (difference(found[a], found[b], s) for s in (pooled_dice, precision_of_histogram))
        lines.append(f"- {text}: Dice {dice}, pixel AP {ap}")
    named = found["subtypes (2019)"]
    lines += ["", "| subtype | scans with it | scan AUC |", "| --- | --- | --- |"]
    for n, subtype in enumerate(SUBTYPES):
        present = [r["subtypes"][n] for r in named]
        lines.append(f"| {subtype.short} | {sum(present)} | {area(present, [r['subtype_scores'][n] for r in named])} |")
    seconds = {name: np.mean([r["cpu_seconds"] for r in rows]) for name, rows in found.items()}
    lines += ["", "CPU seconds a scan: " + ", ".join(f"{name} {s:.1f}" for name, s in seconds.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scans", type=int, default=100, help="to score, half of them without blood")
    parser.add_argument("--training-scans", type=int, default=20)
    parser.add_argument("--steps", type=int, default=240, help="of the first stage; the other two take a quarter each")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    out = options.out.absolute()
    make_scans(out / "scans", options.scans + options.training_scans)
    write_datalist(out, options.scans, options.training_scans)
    for name in TRAININGS:
        train(out, name, options.steps)
    found = score_scans(out, options.scans)
    text = table(found)
    (out / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
