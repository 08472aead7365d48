"""PatchFCN's windows on a scan of 512 x 512 x 36: all of them, those that see brain, those over the brain's box.

    python benchmarks/patchfcn_windows.py [--width 0.0625] [--backbone drn_d_22] [--device cpu]

One run compares the ways with each other and float32 with bfloat16; the network is narrow unless told otherwise, which
changes the seconds and hardly their ratio.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureTyped, MaskIntensityd, ScaleIntensityRanged

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.inferers import AutocastInferer, SliceWindowInferer, fast_dtype
from hemorrhage.networks import PatchFCN
from hemorrhage.phantom import make_case
from hemorrhage.transforms.adjacent_slices import AdjacentSlicesd
from hemorrhage.transforms.brain_mask import BrainMaskd


def scan(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A phantom as the network gets it, and its brain."""
    case = make_case(seed, spacing_mm=(0.45, 0.45, 5.0), shape=(512, 512, 36))
    item = {"image": MetaTensor(case.hu[None], affine=torch.from_numpy(case.affine))}
    steps = Compose(
        [
            BrainMaskd("image"),
            ScaleIntensityRanged("image", -40, 90, 1 / 255, 1, clip=True),
            MaskIntensityd("image", mask_key="brain"),
            AdjacentSlicesd("image"),
            EnsureTyped("image"),
        ]
    )
    made = steps(item)
    return made["image"].as_tensor()[None], made["brain"].as_tensor()[None] > 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=float, default=0.0625)
    parser.add_argument("--backbone", default="drn_d_22")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(0)
    device = torch.device(options.device)
    network = PatchFCN(backbone=options.backbone, width=options.width).to(device).eval()
    counted = [0]

    def counting(x: torch.Tensor) -> torch.Tensor:
        counted[0] += len(x)
        return network(x)

    image, brain = scan(options.seed)
    image = image.to(device)
    print(f"{options.backbone} of width {options.width} on {device}; type chosen here: {fast_dtype(device)}")
    print(
        f"{'windows':22} {'type':9} {'number':>7} {'seconds':>8} {'CPU s':>7} {'times faster':>13} {'in the brain':>13}"
    )
    reference, answers = 0.0, {}
    for name, dtype, settings in (
        ("all", "float32", {"skip_empty": False}),
        ("that see brain", "float32", {}),
        ("over the brain's box", "float32", {"over_brain": True}),
        ("over the brain's box", "bfloat16", {"over_brain": True}),
    ):
        inferer = AutocastInferer(SliceWindowInferer(240, 3.0, options.batch_size, **settings), dtype)
        counted[0] = 0
        start, cpu = time.perf_counter(), time.process_time()
        with torch.no_grad():
            answer = inferer(image, counting)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        spent = cpu if device.type == "cpu" else seconds  # beside other work the processor's own time is the fair one
        reference = reference or spent
        answers[name] = answer[:, 1:].cpu()
        off = float((answers[name] - answers["all"])[brain].abs().max())
        print(f"{name:22} {dtype:9} {counted[0]:7} {seconds:8.1f} {cpu:7.1f} {reference / spent:13.2f} {off:13.1e}")
    print("in the brain: largest difference of a probability from that of all windows (untrained weights)")


if __name__ == "__main__":
    main()
