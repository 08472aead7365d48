"""Memory and speed of scoring many scans: python benchmarks/evaluation.py [--scans 500].

One coarse phantom stands under many names. Reading, network, scores, tables, figures and the page run as they do after
`evaluate.yaml`; brain mask and registration, whose cost benchmarks/preprocessing.py times, are left out. The second run
shows that nothing is scored twice.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from ignite.handlers import ProgressBar
from monai.data import ThreadDataLoader
from monai.inferers import SimpleInferer
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    Compose,
    CopyItemsd,
    EnsureTyped,
    LoadImaged,
    ScaleIntensityRanged,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.baselines import ThresholdPair
from hemorrhage.datalist import read_cases
from hemorrhage.datasets import ScanDataset
from hemorrhage.engines import ScanEvaluator
from hemorrhage.evaluation.cases import pending_cases
from hemorrhage.evaluation.finish import finish_evaluation
from hemorrhage.handlers import ScoreWriter
from hemorrhage.phantom import make_case


def write_study(folder: Path, scans: int) -> None:
    case = make_case(1, spacing_mm=(1.5, 1.5, 5.0), subtypes=("IPH",), volume_ml={"IPH": 30.0})
    first = folder / "one"
    first.mkdir(parents=True)
    hu = case.hu.numpy().astype(np.int16)
    for name, array in (("ct_scans", hu), ("masks", (case.label.numpy() > 0).astype(np.uint8))):
        nib.save(nib.Nifti1Image(array, case.affine), first / f"{name}.nii")
        (folder / name).mkdir()
        for n in range(scans):
            (folder / name / f"{n:04d}.nii").symlink_to(first / f"{name}.nii")


def evaluate(study: Path, out: Path, weights: Path, runs: int) -> tuple[int, float]:
    cases = read_cases(str(study), None, None, True)
    pending = pending_cases(cases, str(out))
    preprocessing = Compose(
        [
            LoadImaged(["image", "label"], reader="NibabelReader", image_only=True, ensure_channel_first=True),
            CopyItemsd("image", names="brain"),
            EnsureTyped(["image", "label", "brain"]),
            ScaleIntensityRanged("image", a_min=-40, a_max=120, b_min=-1, b_max=3, clip=True),
        ]
    )
    postprocessing = Compose(
        [
            Activationsd("pred", sigmoid=True),
            CopyItemsd("pred", names="probability"),
            AsDiscreted("pred", threshold=0.5),
        ]
    )
    start = time.perf_counter()
    if pending:
        loader = ThreadDataLoader(ScanDataset(pending, preprocessing), batch_size=1, buffer_size=1, num_workers=0)
        writer = ScoreWriter(str(out), cases, str(weights), 0.5, 0.0, "threshold pair")
        evaluator = ScanEvaluator(
            device=torch.device("cpu"), val_data_loader=loader, network=ThresholdPair(), inferer=SimpleInferer(),
            postprocessing=postprocessing, val_handlers=[writer, ProgressBar(desc="evaluate", persist=True)],
        )  # fmt: skip
        evaluator.run()
    finish_evaluation(str(out), cases, bootstrap_runs=runs)
    return len(pending), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=500)
    parser.add_argument("--draws", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study, out, weights = Path(folder) / "study", Path(folder) / "scores", Path(folder) / "weights.pt"
        # In a process of its own, whose memory is not that of an evaluation.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            pool.submit(write_study, study, options.scans).result()
        torch.save(ThresholdPair().state_dict(), weights)
        for _ in range(2):
            scored, seconds = evaluate(study, out, weights, options.draws)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{scored} scans scored in {seconds:.1f} s; peak memory so far {peak:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
