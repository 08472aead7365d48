"""Time and memory of the way from a scan to the template's grid and back: ``python benchmarks/preprocessing.py``.

One synthetic 512 x 512 x 36 scan of 0.45 x 0.45 x 5 mm. Each stage stands beside a Gaussian filter of the same array
in the same run, because seconds alone compare only on one idle machine.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Invertd, MaskIntensityd
from scipy import ndimage

from hemorrhage.transforms.brain_mask import BrainMaskd
from hemorrhage.transforms.template import RigidToTemplated

SHAPE, SPACING = (512, 512, 36), (0.45, 0.45, 5.0)
TEMPLATE = Path(__file__).resolve().parents[1] / "models" / "template.nii.gz"


def synthetic_scan() -> tuple[np.ndarray, np.ndarray]:
    """HU and affine of nested ellipsoids: scalp, skull, brain, a ventricle, with noise."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    x, y, z = (affine[a, a] * np.arange(SHAPE[a]) + affine[a, 3] for a in range(3))
    grid = np.meshgrid(x, y, z, indexing="ij", sparse=True)

    def inside(*axes: float) -> np.ndarray:
        return sum(np.square(g / a) for g, a in zip(grid, axes, strict=True)) < 1.0

    hu = np.full(SHAPE, -1000.0, dtype=np.float32)
    for value, axes in ((-80, (80, 97, 86)), (1200, (73, 90, 79)), (35, (67, 84, 73)), (8, (12, 30, 10))):
        hu[inside(*axes)] = value
    return hu + np.random.default_rng(0).normal(0.0, 6.0, SHAPE).astype(np.float32), affine


def timed(work: Callable[[], dict]) -> tuple[dict, float]:
    """Result and the least seconds of three runs."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return result, min(seconds)


def main() -> None:
    hu, affine = synthetic_scan()
    image = MetaTensor(torch.from_numpy(hu[None]), affine=torch.from_numpy(affine))
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    _, reference = timed(lambda: {"x": ndimage.gaussian_filter(hu, 1.0)})

    rigid = RigidToTemplated(("image", "brain"), TEMPLATE, mode=("bilinear", "nearest"))
    invert = Invertd("pred", rigid, "image", nearest_interp=False)
    rows = [("reference: gaussian_filter", reference)]
    masked, seconds = timed(lambda: BrainMaskd("image")({"image": image.clone()}))
    rows.append(("brain mask", seconds))
    masked, seconds = timed(lambda: MaskIntensityd("image", mask_key="brain")(dict(masked)))
    rows.append(("set the outside to 0", seconds))
    moved, seconds = timed(lambda: rigid(masked))
    rows.append(("align and resample image + brain", seconds))
    moved["pred"] = moved["brain"].float()
    _, seconds = timed(lambda: invert(dict(moved)))
    rows.append(("probability back to the scan", seconds))

    print(f"{'x'.join(map(str, SHAPE))}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
          f"{torch.get_num_threads()} torch threads")  # fmt: skip
    print(f"{'stage':34s} {'seconds':>8s} {'x reference':>12s}")
    for name, seconds in rows:
        print(f"{name:34s} {seconds:8.2f} {seconds / reference:12.1f}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak RSS {peak_mb:.0f} MB, {peak_mb - before_mb:.0f} MB above the imports and the scan")


if __name__ == "__main__":
    main()
