"""A 512x512x36 scan from NIfTI to all its files, stage by stage; and ten scans in one run against one.

    python benchmarks/whole_scan.py [--scans 10]

Runs the shipped inference config with the full-size network (untrained: the time does not depend on the weights) in
processes of their own. The reference of each stage is a Gaussian filter of the scan in this process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage

from hemorrhage.networks import VNet
from hemorrhage.phantom import make_case

ROOT = Path(__file__).resolve().parents[1]
_RUN = """
import json, resource, sys, time
from monai.bundle import ConfigWorkflow
from monai.bundle import run
import hemorrhage.reader, hemorrhage.handlers, hemorrhage.engines, hemorrhage.transforms.template, monai.engines
imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
run(config_file=sys.argv[1], dataset_dir=sys.argv[2], output_dir=sys.argv[3], checkpoint=sys.argv[4])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
seconds = time.perf_counter() - start
print("RESULT", json.dumps({"seconds": seconds, "peak_mb": peak / 1e3, "imports_mb": imported / 1e3}))
"""


def infer(folder: Path, output: Path, weights: Path) -> tuple[dict[str, float], float]:
    start = time.perf_counter()
    command = [sys.executable, "-c", _RUN, str(ROOT / "configs/inference.yaml"), str(folder), str(output), str(weights)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    line = next(text for text in done.stdout.splitlines() if text.startswith("RESULT"))
    return json.loads(line.removeprefix("RESULT")), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=10)
    options = parser.parse_args()
    case = make_case(5, spacing_mm=(0.45, 0.45, 4.5), shape=(512, 512, 36), subtypes=("IPH",), volume_ml=40.0)
    hu = case.hu.numpy().astype(np.int16)
    start = time.perf_counter()
    ndimage.gaussian_filter(hu.astype(np.float32), 2.0)
    reference = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save(VNet(norm="batch").state_dict(), folder / "weights.pt")
        for count in (1, options.scans):
            (folder / f"in{count}").mkdir()
            for n in range(count):
                nib.save(nib.Nifti1Image(hu + (n % 2), case.affine), folder / f"in{count}" / f"{n:02d}.nii.gz")
        one, whole_one = infer(folder / "in1", folder / "out1", folder / "weights.pt")
        record = json.loads((folder / "out1/00/findings.json").read_text())
        print(f"reference: Gaussian filter of the scan (sigma 2), {reference:.2f} s")
        print(f"{'stage':22} {'seconds':>8} {'of reference':>13}")
        for stage, seconds in record["seconds"].items():
            print(f"{stage:22} {seconds:8.2f} {seconds / reference:13.2f}")
        total = sum(record["seconds"].values())
        print(f"{'sum of stages':22} {total:8.2f} {total / reference:13.2f}")
        print(f"{'NIfTI in to files out':22} {one['seconds']:8.2f} {one['seconds'] / reference:13.2f}   after imports")
        print(f"peak memory {one['peak_mb']:.0f} MB, of which imports {one['imports_mb']:.0f} MB")
        many, whole_many = infer(folder / f"in{options.scans}", folder / "out", folder / "weights.pt")
        start_up = whole_one - total
        bound = options.scans * whole_one - (options.scans - 1) * start_up
        print(
            f"{options.scans} scans in one run: {whole_many:.1f} s; {options.scans} times one less "
            f"{options.scans - 1} start-ups: {bound:.1f} s; ratio {whole_many / bound:.2f}"
        )
        print(f"peak memory over {options.scans} scans {many['peak_mb']:.0f} MB")


if __name__ == "__main__":
    main()
