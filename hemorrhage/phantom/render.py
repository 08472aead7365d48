"""Draw a head on planes: HU before the scanner, blood and brain, at the points of a stack of parallel planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from hemorrhage.phantom.anatomy import load_anatomy, sample, table_of
from hemorrhage.phantom.head import FAR_MM, GRID_LOW_MM, GRID_STEP_MM, Head
from hemorrhage.phantom.shapes import step
from hemorrhage.phantom.space import brain_space, rough_depth, share_of_space

__all__ = ["Drawing", "crisp", "draw_planes"]

AIR = -1000.0
COARSE_MM = 3.6
MARGIN_MM = 2.5
OUTER_FIELDS = ("depth", "skin", "bone", "air", "soft", "fine", "trauma", "crack")
SHARED_FIELDS = ("depth", "fine", "trauma")


@dataclass(frozen=True)
class Drawing:
    """What :func:`draw_planes` returns; every tensor is (K, I, J): plane, first and second axis of the plane.

    Attributes:
        hu: HU of a perfect scanner without blood.
        brain: share of the intracranial space, 0 to 1.
        blood: (B, K, I, J) share of each bleed of the head, 0 to 1, their sum at most 1.
        variation: (B, K, I, J) HU by which each bleed differs from its mean, times its share.
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
    names = [*head.fields]
    coarse = _coarse_fields(head, names, origins, first, second, size, pixel)
    planes = functional.interpolate(coarse, size=size, mode="bilinear", align_corners=True)

    def gather(wanted: Sequence[str], where: torch.Tensor) -> dict[str, torch.Tensor]:
        return {n: planes[names.index(n)].reshape(-1)[where] for n in wanted}

    depth, skin = (planes[names.index(n)].reshape(-1) for n in ("depth", "skin"))
    # Each voxel is drawn as what lies inside the brain case, outside it, or both: most are one of the two.
    around = ((skin > -MARGIN_MM) & (depth < MARGIN_MM)).nonzero()[:, 0]
    within = (depth > -MARGIN_MM).nonzero()[:, 0]
    hu = torch.full_like(depth, AIR)
    hu[around] = _outside(head, gather(OUTER_FIELDS, around), pixel)
    f = gather([n for n in names if n not in OUTER_FIELDS or n in SHARED_FIELDS], within)
    hu_within, inside, brain_within, blood_within = _inside(head, f, pixel)
    over = hu[within]
    hu[within] = over + (hu_within - over) * inside
    shape = (len(origins), *size)

    def whole(values: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(shape, device=head.device)
        out.view(-1)[within] = values
        return out

    empty = torch.zeros((0, *shape), device=head.device)
    return Drawing(
        hu=hu.reshape(shape),
        brain=whole(brain_within),
        blood=torch.stack([whole(b) for b in blood_within]) if head.bleeds else empty,
        variation=torch.stack([whole(v * b) for v, b in zip(_mottle(head, f), blood_within, strict=True)])
        if head.bleeds
        else empty,
    )


def _coarse_fields(
    head: Head,
    names: Sequence[str],
    origins: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    size: tuple[int, int],
    pixel: float,
) -> torch.Tensor:
    """(C, K, i, j) fields on a coarse lattice of the planes, corners on corners; they are smooth by design."""
    counts = [max(2, round(n * pixel / COARSE_MM)) for n in size]
    ticks = [torch.linspace(0, n - 1, c, device=head.device) for n, c in zip(size, counts, strict=True)]
    points = (
        origins.T[:, :, None, None]
        + first[:, None, None, None] * ticks[0][:, None]
        + second[:, None, None, None] * ticks[1]
    )
    table = table_of(torch.stack([head.fields[n] for n in names]), GRID_LOW_MM, GRID_STEP_MM)
    values = sample(table, points)
    return values


def _paint(hu: torch.Tensor, value: float | torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    return hu + (value - hu) * amount


def _outside(head: Head, f: dict[str, torch.Tensor], pixel: float) -> torch.Tensor:
    """HU of scalp, bone, face and air at single points (M,)."""
    n = head.numbers
    width = max(1.0, pixel)
    # Bone: two dense tables with the diploe between them.
    deep = torch.minimum(f["bone"], -f["depth"])
    bone_hu = n["cortical"] + (n["diploe"] - n["cortical"]) * step(deep - 1.8, 1.6) + 120 * f["fine"]
    broken = step(0.5 * n["crack_mm"] - f["crack"].abs(), width) * step(n["crack_reach_mm"] - f["trauma"], 4.0)
    hu = _paint(f["soft"], bone_hu, step(f["bone"], width) * (1 - 0.9 * broken))
    hu = _paint(hu, AIR, step(f["air"], width))
    return _paint(torch.full_like(hu, AIR), hu, step(f["skin"], width))


def crisp(share: torch.Tensor, half: float, crispness: float) -> torch.Tensor:
    """Of each place more of what prevails there: the atlas is a mean of heads, in which gyri blur into one gray.

    Args:
        share: of white matter in the brain's tissue, of any shape.
        half: the share that stays as it is.
        crispness: factor on what a share differs from it; 1 leaves all as they are.

    Returns:
        shares from 0 to 1.
    """
    return ((share - half) * crispness + half).clamp(0, 1)


def _mottle(head: Head, f: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """HU by which each bleed differs from its mean at single points: texture, and a fluid level where it has one."""
    noise = 0.7 * f["middle"] + 0.7 * f["fine"]
    return [b.mottle_hu * noise + b.settled_hu * ((b.settled_at - f["by"]) / 2.5).clamp(-1, 1) for b in head.bleeds]


def _inside(head: Head, f: dict[str, torch.Tensor], pixel: float):
    """HU, share of the brain case, share of brain and shares of bleeds at single points (M,)."""
    anatomy = load_anatomy(str(head.device))
    n = head.numbers
    width = max(1.0, pixel)
    gray, white, ventricle = sample(anatomy.tissue, torch.stack([f["bx"], f["by"], f["bz"]]))
    depth = rough_depth(f, n)
    tissue = gray + white
    space = brain_space(tissue, ventricle, depth, n)
    csf = space.csf
    folds = n["folds"] * (0.6 * f["middle"] + f["fine"])
    whiteness = crisp(white / (tissue + 1e-3) + folds, n["half_white"], n["crispness"])
    hu = n["gray"] + (n["white"] - n["gray"] + f["pale"]) * whiteness + f["change"]
    hu = _paint(hu, n["csf"], csf)
    hu = _paint(hu, n["vessel"], step(f["vessel"], width) * step(csf - 0.2, 0.4))
    hu = _paint(hu, n["vein"], step(f["vein"], width))
    falx = step(n["falx_mm"] - f["midline"].abs(), width) * step(f["falx"], 3.0)
    # The tentorium is thickest along its free edge, which stands in cisterns beside the midbrain.
    edge = n["edge_mm"] * step(5.0 - f["tent_region"], 4.0)
    tent = step(n["tent_mm"] + edge - f["tent"].abs(), width) * step(f["tent_region"], 3.0)
    dura = torch.maximum(falx * n["falx_share"], tent * n["tent_share"])
    dura = torch.maximum(dura, step(n["dura_mm"] - depth, width) * 0.8)
    hu = _paint(hu, n["dura"], dura)
    hu = _paint(hu, n["sinus"], step(f["sinus"], width) * step(depth + 0.5, 1.0))
    if "collection" in f:
        hu = _paint(hu, n["collection"], step(f["collection"], width) * step(depth + 0.4, width))
    blood, left = [], torch.ones_like(hu)
    for bleed in head.bleeds:  # what an earlier bleed took, a later one can't
        if bleed.fluid_hu:
            hu = _paint(hu, bleed.fluid_hu, share_of_space(bleed.whole, f[bleed.field], space, width))
        blood.append(share_of_space(bleed, f[bleed.field], space, width) * left)
        left = left - blood[-1]
    calcified = step(f["calcification"], width)
    hu = _paint(hu, n["calcification"], calcified)
    inside = step(depth, width)
    inner_bone = step(f["inner_bone"], width)
    hu = _paint(hu, n["base_bone"] + 150 * f["fine"], inner_bone)
    brain = inside * (1 - inner_bone) * step(f["bz"] + 66, 2.0)
    keep = brain * (1 - calcified)
    if n["bubbles_above"] < FAR_MM:
        near = step(6 - depth, 2.0) * step(0.6 * n["crack_reach_mm"] - f["trauma"], 4.0)
        bubbles = step(3.0 * (f["fine"] - n["bubbles_above"]), width) * near
        hu, keep = _paint(hu, AIR, bubbles), keep * (1 - bubbles)
    return hu, inside, brain, [b * keep for b in blood]
