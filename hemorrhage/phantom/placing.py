"""Place a bleed: draw its middle, solve for its size, push the brain aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.head import FAR_MM, GRID_STEP_MM, Head, grid_points
from hemorrhage.phantom.shapes import step
from hemorrhage.phantom.space import Bleed, NoRoomError, Space, share_of_space

__all__ = [
    "VOXEL_ML",
    "atlas_points",
    "column",
    "displace",
    "distance_from",
    "noise",
    "pick",
    "push_inward",
    "room_ml",
    "shift_midline",
    "solve",
    "where_hit",
]

UNMARKED_MM = 1.2
VOXEL_ML = GRID_STEP_MM**3 / 1000.0


def solve(
    bleed: Bleed,
    level_of: Callable[[float], torch.Tensor],
    space: Space,
    taken: torch.Tensor,
    bounds: tuple[float, float],
    width: float = GRID_STEP_MM,
) -> torch.Tensor:
    """Level field whose volume is the wanted one, by bisection over the size that ``level_of`` takes.

    ``width`` is that of the surface's ramp: a grid step, or less for sheets thinner than that, whose two faces a wide
    ramp would blur into each other.
    """
    free = 1.0 - taken
    # Readers mark no voxel that the skull's edge has brightened, so blood counts from a little below the table.
    space = replace(space, depth=space.depth - UNMARKED_MM)

    def volume(size: float) -> float:
        share = share_of_space(bleed, level_of(size), space, width)
        return float((share * free).sum()) * VOXEL_ML

    low, high = bounds
    most = volume(high)
    if most < bleed.volume_ml * 0.97:
        raise NoRoomError(f"{bleed.subtype} of {bleed.volume_ml:.1f} mL at {bleed.site}: room for {most:.1f} mL")
    for _ in range(16):
        middle = (low + high) / 2
        if volume(middle) < bleed.volume_ml:
            low = middle
        else:
            high = middle
    return level_of((low + high) / 2)


def room_ml(bleed: Bleed, level: torch.Tensor, space: Space, taken: torch.Tensor) -> float:
    """Volume in mL that a bleed would have at ``level``, less what others have taken."""
    return float((share_of_space(bleed, level, space, GRID_STEP_MM) * (1 - taken)).sum()) * VOXEL_ML


def noise(r: Draws, mm: float) -> torch.Tensor:
    """Noise on the head grid that varies over ``mm``."""
    shape = grid_points(str(r.device)).shape[1:]
    return r.smooth(shape, [max(3, round(n * GRID_STEP_MM / mm)) for n in shape])


def atlas_points(head: Head) -> torch.Tensor:
    """(3, X, Y, Z) coordinates in the atlas at which each grid point looks up its tissue."""
    return torch.stack([head.fields[k] for k in ("bx", "by", "bz")])


def pick(where: torch.Tensor, weight: torch.Tensor, r: Draws) -> tuple[int, int, int]:
    """A grid point of the mask ``where``, drawn by ``weight``."""
    index = where.nonzero()
    if len(index) == 0:
        raise NoRoomError("no place for a bleed in this head")
    w = weight[where].double().cumsum(0)
    chosen = int(torch.searchsorted(w, w.new_tensor(r.uniform(0, 1)) * w[-1]).clamp(max=len(index) - 1))
    i, j, k = index[chosen].tolist()
    return i, j, k


def where_hit(head: Head, weight: torch.Tensor, r: Draws) -> torch.Tensor:
    """``weight``, in most heads that were hit drawn to below the blow."""
    trauma = head.fields["trauma"]
    if float(trauma.min()) >= FAR_MM or not r.chance(0.75):
        return weight
    return weight * torch.exp(-((trauma / 18) ** 2)) + 1e-9


def column(index: tuple[int, int, int]) -> tuple:
    """Index of all channels of a (C, X, Y, Z) tensor at one grid point."""
    return (slice(None), *index)


def distance_from(head: Head, index: tuple[int, int, int], stretch: Sequence[float] = (1, 1, 1)) -> torch.Tensor:
    """Distance in mm of each grid point from one of them, each axis divided by its ``stretch``."""
    points = grid_points(str(head.device))
    center = points[:, index[0], index[1], index[2]]
    return torch.sqrt(sum(((points[a] - center[a]) / stretch[a]) ** 2 for a in range(3)))  # type: ignore[arg-type]


def displace(head: Head, move: torch.Tensor) -> Head:
    """Brain that was at p comes to p + move; with it, by half, the falx."""
    fields = {name: head.fields[name] - move[a] * head.scale[a] for a, name in enumerate(("bx", "by", "bz"))}
    return head.with_fields(**fields, midline=head.fields["midline"] - 0.5 * move[0])


def push_inward(head: Head, height: torch.Tensor, r: Draws) -> Head:
    """Move brain away from a collection of ``height`` mm under the inner table, less and less with depth."""
    depth = head.fields["depth"]
    normal = torch.stack(torch.gradient(depth, spacing=GRID_STEP_MM))
    normal = normal / (torch.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + 1e-3)
    amount = height.clamp(min=0) * torch.exp(-(depth - height).clamp(min=0) / r.uniform(16, 30)) * (depth > -2)
    return displace(head, normal * amount * r.uniform(0.6, 1.0))


def shift_midline(head: Head, side: float, ml: float, r: Draws) -> Head:
    """Midline shift away from ``side``, from nothing at 10 mL to about 1 cm at 100 mL."""
    shift = min(14.0, max(0.0, ml - 10.0) * r.uniform(0.04, 0.16))
    x, y, z = grid_points(str(head.device))
    envelope = torch.exp(-((x / 38) ** 2) - ((y - 5) / 48) ** 2 - ((z - 5) / 40) ** 2)
    move = torch.zeros((3, *x.shape), device=x.device)
    move[0] = -side * shift * envelope * step(head.fields["depth"] - 4, 8)
    return displace(head, move)
