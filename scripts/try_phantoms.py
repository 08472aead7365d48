"""Train a small 2.5D network on phantoms alone and measure it on real slices: it judges the phantoms, not the network.

    python scripts/try_phantoms.py --minutes 20 --real ../shared/data

Real slices are only measured on. The folder holds ``ct_ich_v100`` (slices and masks), ``cpaisd_no_blood`` (slices
without blood) and ``phe_sich_blood`` (slices with blood, no masks), as README of that folder describes them.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import nibabel as nib
import numpy as np
import torch
import typer
from monai.networks.nets import UNet
from skimage.morphology import remove_small_objects
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.phantom.datasets import SlicePhantoms
from hemorrhage.phantom.recipe import Recipe
from hemorrhage.subtypes import SUBTYPES

PIXEL_MM = 0.9
WINDOW = (0.0, 80.0)
CROP = 192
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
SMALLEST_MM2 = 10.0  # as inference.yaml drops 50 mm3 on slices of 5 mm
BATCH = 8


def network() -> torch.nn.Module:
    """A small residual U-Net whose bias starts at rare blood, or Dice would first learn to paint all."""
    net = UNet(2, 3, 1, channels=(16, 32, 64, 128, 160), strides=(2, 2, 2, 2), num_res_units=2, norm="batch")
    last = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    torch.nn.init.constant_(last.bias, -4.5)  # type: ignore[arg-type]
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def normalize(hu: torch.Tensor) -> torch.Tensor:
    """HU within the brain window to [-1, 1]."""
    return (hu.clamp(*WINDOW) - 40.0) / 40.0


@dataclass(frozen=True)
class Plan:
    """What a pool of heads is made with.

    Attributes:
        seed: of the first head.
        heads: number of heads.
        without: ingredients that are left out, as :class:`hemorrhage.phantom.recipe.Recipe` names them.
    """

    seed: int
    heads: int
    without: tuple[str, ...] = ()

    def source(self) -> SlicePhantoms:
        """The heads' slabs: some 22 slices of each, scanned once."""
        return SlicePhantoms(
            size=240, seed=self.seed, slices_per_head=22, scans_per_head=1, positive_fraction=0.75, paired_fraction=0.4,
            exported=0.0,
            recipe=replace(Recipe(), faint_blood=1.7).without(*self.without),
        )  # fmt: skip


def _slabs(job: tuple[Plan, int]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """HU (K, I, J), subtypes and whether brain is seen (K,) of the slabs of one head."""
    torch.set_num_threads(1)
    plan, n = job
    return [
        (
            case.hu.permute(2, 0, 1).clamp(-200, 1200).to(torch.int16).numpy(),
            case.label.permute(2, 0, 1).contiguous().numpy(),
            (case.brain.sum((0, 1)) > 400).numpy(),
        )
        for case in plan.source().scans_of(plan.seed + n)
    ]


class Pool:
    """Slabs of many heads in memory, their slices drawn in balance of those with and without blood.

    Attributes:
        images: (N, H, W) int16 HU, slabs one behind the other.
        labels: (N, H, W) uint8 subtypes.
        neighbors: (N, 3) index of the slice below, the slice and the slice above, within its slab.
        groups: indices of slices with blood, by subtype, and last of slices with brain but without blood.
    """

    def __init__(self, plan: Plan, workers: int) -> None:
        images, labels, neighbors, brains = [], [], [], []
        start = 0
        jobs = [(plan, n) for n in range(plan.heads)]
        with get_context("spawn").Pool(workers) as processes:
            for slabs in tqdm(processes.imap(_slabs, jobs), total=len(jobs), desc="heads", mininterval=20):
                for hu, label, seen in slabs:
                    images.append(torch.from_numpy(hu))
                    labels.append(torch.from_numpy(label))
                    brains.append(torch.from_numpy(seen))
                    k = torch.arange(len(hu))
                    below, above = (k - 1).clamp(min=0), (k + 1).clamp(max=len(hu) - 1)
                    neighbors.append(start + torch.stack([below, k, above], 1))
                    start += len(hu)
        self.images, self.labels, self.neighbors = torch.cat(images), torch.cat(labels), torch.cat(neighbors)
        self.seen = torch.cat(brains)
        self._group()

    def _group(self) -> None:
        pixels = torch.stack([(self.labels == s.index).flatten(1).sum(1) for s in SUBTYPES])
        self.groups = [(self.seen & (n > 12)).nonzero()[:, 0] for n in pixels]
        self.groups = [g for g in self.groups if len(g)] + [(self.seen & (pixels.sum(0) == 0)).nonzero()[:, 0]]
        self.counts = {s.short: int((n > 0).sum()) for s, n in zip(SUBTYPES, pixels, strict=True)}

    def batch(self, size: int, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (size, 3, H, W) and blood (size, 1, H, W), half of them with blood, each subtype as often."""
        which = torch.randint(len(self.groups) - 1, (size // 2,), generator=g).tolist() + [-1] * (size // 2)
        pick = torch.stack([self.groups[w][torch.randint(len(self.groups[w]), (1,), generator=g)[0]] for w in which])
        return normalize(self.images[self.neighbors[pick]].float()), (self.labels[pick] > 0).float()[:, None]


def augment(x: torch.Tensor, y: torch.Tensor, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Flip, turn, scale and crop a batch; now and then repeat the middle slice, as a single slice must be read."""

    def u(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(shape, generator=g)

    n = len(x)
    angle, scale = 0.25 * torch.randn(n, generator=g), u(0.85, 1.15, n) * CROP / x.shape[-1]
    flip = torch.where(u(0, 1, n) < 0.5, -1.0, 1.0)
    shift = u(-0.25, 0.25, n, 2)
    rows = [
        torch.stack([torch.cos(angle) * scale * flip, -torch.sin(angle) * scale, shift[:, 0]], 1),
        torch.stack([torch.sin(angle) * scale * flip, torch.cos(angle) * scale, shift[:, 1]], 1),
    ]
    grid = functional.affine_grid(torch.stack(rows, 1), [n, 3, CROP, CROP], align_corners=False)
    x = functional.grid_sample(x + 1, grid, align_corners=False) - 1
    y = (functional.grid_sample(y, grid, align_corners=False) > 0.5).float()
    single = u(0, 1, n) < 0.5
    x = torch.where(single[:, None, None, None], x[:, 1:2], x)
    x = x * u(0.92, 1.08, n, 1, 1, 1) + 0.04 * torch.randn((n, 1, 1, 1), generator=g)
    x = (x + u(0, 0.06, n, 1, 1, 1) * torch.randn(x.shape, generator=g)).clamp(-1, 1)
    return x.contiguous(memory_format=torch.channels_last), y


def train(pool: Pool, minutes: float, seed: int) -> torch.nn.Module:
    """Train for ``minutes``; half of each batch holds blood. Returns the average of the weights of late steps."""
    torch.manual_seed(seed)
    g = torch.Generator().manual_seed(seed)
    net = network().train()
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.995), use_buffers=True)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-4)
    start, step, losses = time.monotonic(), 0, []
    while (done := (time.monotonic() - start) / 60 / minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-5
        x, y = augment(*pool.batch(BATCH, g), g)
        logits = net(x)
        p = logits.sigmoid()
        dice = 1 - (2 * (p * y).sum() + 20) / ((p + y).sum() + 20)
        loss = dice + 8 * functional.binary_cross_entropy_with_logits(logits, y, weight=1 + 2 * y)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(net)
        losses.append(dice.item())
        step += 1
        if step % 200 == 0:
            print(f"step {step} {100 * done:.0f} % dice loss {np.mean(losses[-200:]):.3f}", flush=True)
    print(f"{step} steps of {BATCH} slices", flush=True)
    return average.module.eval()


def predict(net: torch.nn.Module, path: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """HU, probability of blood and pixel area in mm2 of a file of slices (I, J, K), its slices 5 mm apart at least."""
    image = nib.Nifti1Image.from_filename(path)
    hu = torch.from_numpy(np.asarray(image.dataobj, dtype=np.float32))
    zooms = image.header.get_zooms()
    axes = nib.orientations.io_orientation(image.affine)
    upright = torch.from_numpy(nib.orientations.apply_orientation(hu.numpy(), axes).copy())
    size = [round(n * float(z) / PIXEL_MM) for n, z in zip(upright.shape[:2], zooms[:2], strict=True)]
    k = upright.permute(2, 0, 1)
    small = functional.interpolate(k[:, None].clamp(-100, 200), size=size, mode="area")[:, 0]
    stacked = torch.stack([small[[max(0, n - 1), n, min(len(small) - 1, n + 1)]] for n in range(len(small))])
    pad = [(-s) % 16 for s in size]
    x = functional.pad(normalize(stacked), (0, pad[1], 0, pad[0]), value=-1.0)
    with torch.no_grad():
        parts = [x[n : n + 4].contiguous(memory_format=torch.channels_last) for n in range(0, len(x), 4)]
        probability = torch.cat([(net(p).sigmoid() + net(p.flip(2)).sigmoid().flip(2)) / 2 for p in parts])
    probability = probability[:, :, : size[0], : size[1]]
    full = functional.interpolate(probability, size=upright.shape[:2], mode="bilinear")[:, 0].permute(1, 2, 0)
    back = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), axes)
    restored = nib.orientations.apply_orientation(full.numpy(), back)
    return hu.numpy(), restored, float(np.prod(zooms[:2]))


def _without_specks(found: np.ndarray, pixel_mm2: float) -> np.ndarray:
    """Marks (I, J, K) without those of less than SMALLEST_MM2 on their slice."""
    least = round(SMALLEST_MM2 / pixel_mm2)
    return np.stack(
        [remove_small_objects(found[..., k], max_size=least, connectivity=2) for k in range(found.shape[2])], -1
    )


def measure(net: torch.nn.Module, real: Path, threshold: float = 0.5, pictures: Path | None = None) -> dict[str, Any]:
    """Slice-mean Dice, share of clean slices without blood (below 20 mm2), share of bleeds found."""
    dice, both, total = [], 0.0, 0.0
    shown: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []
    for path in sorted((real / "ct_ich_v100").glob("*_ct.nii.gz")):
        hu, p, pixel = predict(net, path)
        found = _without_specks(p > threshold, pixel)
        true = np.asarray(nib.Nifti1Image.from_filename(str(path).replace("_ct.", "_mask.")).dataobj) > 0
        for k in range(found.shape[2]):
            overlap, area = 2 * (found[..., k] & true[..., k]).sum(), found[..., k].sum() + true[..., k].sum()
            dice.append(float(overlap / max(1, area)))
            both, total = both + overlap, total + area
            shown.append((hu[..., k], found[..., k], true[..., k]))
    clean, wrong = [], []
    for path in sorted((real / "cpaisd_no_blood").glob("*_ct.nii.gz")):
        hu, p, area = predict(net, path)
        found = _without_specks(p > threshold, area)
        wrong.append(float(found.sum() * area))
        clean.append(wrong[-1] < 20)
        shown.append((hu[..., 0], found[..., 0], None))
    hits = []
    for path in sorted((real / "phe_sich_blood").glob("*_ct.nii.gz")):
        hu, p, area = predict(net, path)
        found = _without_specks(p > threshold, area)
        dense = found & (hu > 50) & (hu < 999)
        hits.append(bool(dense.sum() * area > 40 and dense.sum() > 0.4 * found.sum()))
        shown.append((hu[..., 0], found[..., 0], None))
    if pictures is not None:
        _draw(shown, pictures)
    return {"slice_mean_dice": float(np.mean(dice)), "pooled_dice": float(both / max(1, total)),
            "dice": [round(d, 3) for d in dice], "clean": f"{sum(clean)}/{len(clean)}",
            "false_mm2": [round(w) for w in wrong], "found": f"{sum(hits)}/{len(hits)}"}  # fmt: skip


def _draw(shown: list, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = 7
    figure, axes = plt.subplots(
        math.ceil(len(shown) / columns), columns, figsize=(21, 3 * math.ceil(len(shown) / columns))
    )
    for axis in axes.ravel():
        axis.axis("off")
    for axis, (hu, found, true) in zip(axes.ravel(), shown, strict=False):
        axis.imshow(hu.T, cmap="gray", vmin=0, vmax=80)
        for mask, color in ((found, "red"), (true, "lime")):
            if mask is not None and mask.any():
                axis.contour(mask.T, [0.5], colors=color, linewidths=0.7)
    plt.subplots_adjust(0, 0, 1, 1, 0.01, 0.01)
    figure.savefig(path, dpi=60)


def main(
    real: Annotated[Path, typer.Option(help="Folder of real slices to measure on.")],
    minutes: Annotated[float, typer.Option(help="Minutes of training.")] = 20,
    heads: Annotated[int, typer.Option(help="Phantom heads to train on.")] = 300,
    seeds: Annotated[str, typer.Option(help="Seeds of network and order, one training each: 0,1,2.")] = "0",
    without: Annotated[list[str] | None, typer.Option(help="An ingredient to leave out; may be repeated.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for heads, weights, figures and a picture.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of the processor.")] = 2,
) -> None:
    """Draw heads, train, measure, print one line of JSON for each seed."""
    torch.set_num_threads(threads)
    began = time.monotonic()
    out = out or Path(tempfile.mkdtemp())
    out.mkdir(parents=True, exist_ok=True)
    plan = Plan(0, heads, tuple(without or ()))
    kept = out / "pool.pt"
    if kept.exists():
        pool = torch.load(kept, weights_only=False)
    else:
        pool = Pool(plan, threads)
        torch.save(pool, kept)
    spent = time.monotonic() - began
    print(f"{len(pool.images)} slices of {heads} heads in {spent:.0f} s, by subtype {pool.counts}", flush=True)
    for seed in map(int, seeds.split(",")):
        net = train(pool, minutes, seed)
        torch.save(net.state_dict(), out / f"net_{seed}.pt")
        result = {f"{t:g}": measure(net, real, t, out / f"real_{seed}.png" if t == 0.5 else None) for t in THRESHOLDS}
        text = json.dumps({"heads": heads, "minutes": minutes, "seed": seed, "without": plan.without, **result})
        (out / f"result_{seed}.json").write_text(text)
        print(text, flush=True)


if __name__ == "__main__":
    typer.run(main)
