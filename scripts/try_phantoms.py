"""Train a small 2.5D network on phantoms alone and measure it on real slices: it judges the phantoms, not the network.

    python scripts/try_phantoms.py --minutes 20 --real ../shared/data

Real slices are only measured on. The folder holds ``ct_ich_v100`` (slices and masks), ``cpaisd_no_blood`` (slices
without blood) and ``phe_sich_blood`` (slices with blood, no masks), as README of that folder describes them.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import nibabel as nib
import numpy as np
import torch
import typer
from monai.networks.nets import UNet
from torch.nn import functional
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.phantom.datasets import SlicePhantoms
from hemorrhage.subtypes import SUBTYPES

PIXEL_MM = 0.9
WINDOW = (0.0, 80.0)
CROP = 160
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


class Pool:
    """Slabs of many heads in memory, their slices drawn in balance of those with and without blood.

    Attributes:
        images: (N, H, W) int16 HU, slabs one behind the other.
        labels: (N, H, W) uint8 subtypes.
        neighbors: (N, 3) index of the slice below, the slice and the slice above, within its slab.
        groups: indices of slices with blood and of slices with brain but without blood.
    """

    def __init__(self, source: SlicePhantoms, heads: int) -> None:
        images, labels, neighbors, brains = [], [], [], []
        start = 0
        for n in tqdm(range(heads), desc="heads", mininterval=20):
            for case in source.scans_of(source.seed + n):
                count = case.hu.shape[2]
                images.append(case.hu.permute(2, 0, 1).clamp(-200, 1200).to(torch.int16))
                labels.append(case.label.permute(2, 0, 1))
                brains.append(case.brain.sum((0, 1)))
                k = torch.arange(count)
                neighbors.append(start + torch.stack([(k - 1).clamp(min=0), k, (k + 1).clamp(max=count - 1)], 1))
                start += count
        self.images, self.labels, self.neighbors = torch.cat(images), torch.cat(labels), torch.cat(neighbors)
        blood = (self.labels > 0).flatten(1).sum(1)
        seen = torch.cat(brains) > 400
        self.groups = [(seen & (blood > 12)).nonzero()[:, 0], (seen & (blood == 0)).nonzero()[:, 0]]
        self.counts = {s.short: int((self.labels == s.index).flatten(1).any(1).sum()) for s in SUBTYPES}

    def batch(self, size: int, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (size, 3, H, W) and blood (size, 1, H, W), half of them with blood."""
        pick = torch.cat([w[torch.randint(len(w), (size // 2,), generator=g)] for w in self.groups])
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
    x = (x * u(0.92, 1.08, n, 1, 1, 1) + 0.04 * torch.randn((n, 1, 1, 1), generator=g)).clamp(-1, 1)
    return x.contiguous(memory_format=torch.channels_last), y


def train(pool: Pool, minutes: float, seed: int, start_from: Path | None = None) -> torch.nn.Module:
    """Train for ``minutes``; half of each batch holds blood."""
    torch.manual_seed(seed)
    g = torch.Generator().manual_seed(seed)
    net = network().train()
    if start_from is not None:
        net.load_state_dict(torch.load(start_from, weights_only=True))
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
        losses.append(dice.item())
        step += 1
        if step % 50 == 0:
            print(f"step {step} {100 * done:.0f} % dice loss {np.mean(losses[-50:]):.3f}", flush=True)
    return net.eval()


def predict(net: torch.nn.Module, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
        logits = torch.cat(
            [net(x[n : n + 4].contiguous(memory_format=torch.channels_last)) for n in range(0, len(x), 4)]
        )
    probability = logits.sigmoid()[:, :, : size[0], : size[1]]
    full = functional.interpolate(probability, size=upright.shape[:2], mode="bilinear")[:, 0].permute(1, 2, 0)
    back = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), axes)
    restored = nib.orientations.apply_orientation(full.numpy(), back)
    return hu.numpy(), restored, np.prod(zooms[:2])


def measure(net: torch.nn.Module, real: Path, threshold: float = 0.5, pictures: Path | None = None) -> dict[str, Any]:
    """Slice-mean Dice, share of clean slices without blood (below 20 mm2), share of bleeds found."""
    dice, both, total = [], 0.0, 0.0
    shown: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []
    for path in sorted((real / "ct_ich_v100").glob("*_ct.nii.gz")):
        hu, p, _ = predict(net, path)
        found = p > threshold
        true = np.asarray(nib.Nifti1Image.from_filename(str(path).replace("_ct.", "_mask.")).dataobj) > 0
        for k in range(found.shape[2]):
            overlap, area = 2 * (found[..., k] & true[..., k]).sum(), found[..., k].sum() + true[..., k].sum()
            dice.append(float(overlap / max(1, area)))
            both, total = both + overlap, total + area
            shown.append((hu[..., k], found[..., k], true[..., k]))
    clean, wrong = [], []
    for path in sorted((real / "cpaisd_no_blood").glob("*_ct.nii.gz")):
        hu, p, area = predict(net, path)
        wrong.append(float((p > threshold).sum() * area))
        clean.append(wrong[-1] < 20)
        shown.append((hu[..., 0], p[..., 0] > threshold, None))
    hits = []
    for path in sorted((real / "phe_sich_blood").glob("*_ct.nii.gz")):
        hu, p, area = predict(net, path)
        found = p > threshold
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
    minutes: Annotated[float, typer.Option(help="Minutes of training.")] = 15,
    heads: Annotated[int, typer.Option(help="Phantom heads to train on.")] = 150,
    seed: Annotated[int, typer.Option(help="Seed of network and phantoms.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for weights, figures and a picture.")] = None,
    start_from: Annotated[Path | None, typer.Option(help="Weights of an earlier run to go on from.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of the processor.")] = 2,
) -> None:
    """Draw heads, train, measure, print one line of JSON."""
    torch.set_num_threads(threads)
    began = time.monotonic()
    source = SlicePhantoms(
        seed=10_000 * seed, slices_per_head=22, scans_per_head=1, positive_fraction=0.7, exported=0.0
    )
    pool = Pool(source, heads)
    spent = time.monotonic() - began
    print(f"{len(pool.images)} slices of {heads} heads in {spent:.0f} s, by subtype {pool.counts}", flush=True)
    net = train(pool, minutes, seed, start_from)
    picture = None
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        picture = out / "real.png"
        torch.save(net.state_dict(), out / "try.pt")
    result = {str(t): measure(net, real, t, picture if t == 0.5 else None) for t in (0.3, 0.5, 0.7)}
    text = json.dumps({"heads": heads, "minutes": minutes, "seed": seed, **result})
    if out is not None:
        (out / "result.json").write_text(text)
    print(text)


if __name__ == "__main__":
    typer.run(main)
