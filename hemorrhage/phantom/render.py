"""Draw a head on planes: HU before the scanner, blood and brain, at the points of a stack of parallel planes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from hemorrhage.phantom.anatomy import Table, load_anatomy, sample
from hemorrhage.phantom.bleeds import brain_space, rough_depth, share_of_space
from hemorrhage.phantom.head import GRID_LOW_MM, GRID_SHAPE, GRID_STEP_MM, Head
from hemorrhage.phantom.shapes import step

__all__ = ["Drawing", "draw_planes"]

AIR = -1000.0
COARSE_MM = 3.6
MARGIN_MM = 2.0


@dataclass(frozen=True)
class Drawing:
    """What :func:`draw_planes` returns; every tensor is (K, I, J): plane, first and second axis of the plane.

    Attributes:
        hu: HU of a perfect scanner without blood.
        brain: share of the intracranial space, 0 to 1.
        blood: (B, K, I, J) share of each bleed of the head, 0 to 1, their sum at most 1.
        variation: (K, I, J) noise of unit SD within clots.
    """

    hu: torch.Tensor
    brain: torch.Tensor
    blood: torch.Tensor
    variation: torch.Tensor


def draw_planes(
    head: Head, origins: torch.Tensor, first: torch.Tensor, second: torch.Tensor, size: tuple[int, int]
) -> Drawing:
    """Draw ``head`` at points ``origins[k] + i * first + j * second``, all in mm of the head.

    Args:
        head: the head, whose device does the work.
        origins: (K, 3).
        first: (3,) step of the first axis in mm.
        second: (3,) step of the second axis.
        size: I and J.
    """
    pixel = float(torch.linalg.vector_norm(first))
    coarse = [max(2, round(n * pixel / COARSE_MM)) for n in size]
    ticks = [torch.linspace(0, n - 1, c, device=head.device) for n, c in zip(size, coarse, strict=True)]
    points = (
        origins.T[:, :, None, None]
        + first[:, None, None, None] * ticks[0][:, None]
        + second[:, None, None, None] * ticks[1]
    )
    names = [*head.fields]
    rows = torch.stack([head.fields[n].reshape(-1) for n in names], -1)
    values = sample(Table(rows, GRID_SHAPE, GRID_LOW_MM, GRID_STEP_MM), points)
    fine = functional.interpolate(values.transpose(0, 1), size=size, mode="bilinear", align_corners=True)
    shape = (len(origins), *size)
    skin = fine[:, names.index("skin")]
    where = (skin > -MARGIN_MM).flatten().nonzero()[:, 0]
    f = {n: fine[:, c].reshape(-1)[where] for c, n in enumerate(names)}
    hu, brain, blood = _voxels(head, f, pixel)

    def whole(values: torch.Tensor, background: float) -> torch.Tensor:
        out = torch.full((shape[0] * size[0] * size[1],), background, device=head.device)
        out[where] = values
        return out.reshape(shape)

    shares = [whole(b, 0.0) for b in blood]
    return Drawing(
        hu=whole(hu, AIR),
        brain=whole(brain, 0.0),
        blood=torch.stack(shares) if shares else torch.zeros((0, *shape), device=head.device),
        variation=whole(0.7 * f["middle"] + 0.7 * f["fine"], 0.0),
    )


def _voxels(head: Head, f: dict[str, torch.Tensor], pixel: float):
    """HU, share of brain and shares of bleeds at single points (all (M,))."""
    anatomy = load_anatomy(str(head.device))
    n = head.numbers
    width = max(1.0, pixel)
    gray, white, ventricle = sample(anatomy.tissue, torch.stack([f["bx"], f["by"], f["bz"]]))
    depth = rough_depth(f, n)
    tissue = gray + white
    space = brain_space(tissue, ventricle, depth, n)
    csf = space.csf
    share = (white / (tissue + 1e-3)).clamp_(0, 1)
    hu = n["gray"] + (n["white"] - n["gray"]) * share + f["change"]
    hu = hu + (n["csf"] - hu) * csf

    def paint(hu: torch.Tensor, value: float | torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
        return hu + (value - hu) * amount

    hu = paint(hu, n["vessel"], step(f["vessel"], width) * step(csf - 0.2, 0.4))
    falx = step(n["falx_mm"] - f["midline"].abs(), width) * step(f["falx"], 3.0)
    tent = step(n["tent_mm"] - f["tent"].abs(), width) * step(f["tent_region"], 3.0)
    dura = torch.maximum(falx * n["falx_share"], tent * n["tent_share"])
    dura = torch.maximum(dura, step(n["dura_mm"] - depth, width) * 0.8)
    hu = paint(hu, n["dura"], dura)
    hu = paint(hu, n["sinus"], step(f["sinus"], width) * step(depth + 0.5, 1.0))
    blood, left = [], torch.ones_like(hu)
    for bleed in head.bleeds:  # what an earlier bleed took, a later one can't
        blood.append(share_of_space(bleed, f[bleed.field], space, width) * left)
        left = left - blood[-1]
    hu = paint(hu, n["calcification"], step(f["calcification"], width))

    outside = f["soft"]
    # Bone: two dense tables with the diploe between them.
    deep = torch.minimum(f["bone"], -f["depth"])
    bone_hu = n["cortical"] + (n["diploe"] - n["cortical"]) * step(deep - 1.8, 1.6) + 120 * f["fine"]
    outside = paint(outside, bone_hu, step(f["bone"], width))
    outside = paint(outside, AIR, step(f["air"], width))
    outside = paint(torch.full_like(outside, AIR), outside, step(f["skin"], width))
    inside = step(depth, width)
    hu = paint(outside, hu, inside)
    inner_bone = step(f["inner_bone"], width)
    hu = paint(hu, n["base_bone"] + 150 * f["fine"], inner_bone)
    brain = inside * (1 - inner_bone) * step(f["bz"] + 66, 2.0)
    keep = brain * (1 - step(f["calcification"], width))
    return hu, brain, [b * keep for b in blood]
