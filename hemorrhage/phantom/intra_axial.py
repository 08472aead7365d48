"""Blood within the brain's outline: in tissue, in ventricles, among the gyri."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from hemorrhage.phantom.head import Head, grid_points
from hemorrhage.phantom.placing import (
    VOXEL_ML,
    atlas_points,
    column,
    displace,
    distance_from,
    noise,
    pick,
    room_ml,
    shift_midline,
    solve,
)
from hemorrhage.phantom.shapes import step
from hemorrhage.phantom.space import space_of

__all__ = ["intraparenchymal", "intraventricular", "subarachnoid"]

IPH_SITES = {
    "basal ganglia": (0.30, ((26.0, -2.0, 4.0), (5.0, 9.0, 6.0))),
    "thalamus": (0.14, ((12.0, -18.0, 8.0), (3.0, 4.0, 4.0))),
    "cerebellum": (0.08, ((22.0, -62.0, -36.0), (9.0, 8.0, 6.0))),
    "pons": (0.03, ((2.0, -27.0, -32.0), (2.0, 2.0, 4.0))),
    "lobar": (0.30, None),
    "contusion": (0.15, None),
}
DEEP_ROOM_ML = {"pons": 6.0, "cerebellum": 35.0, "thalamus": 30.0}


def intraparenchymal(head, bleed, space, taken, r):
    """An irregular blob, deep or lobar, at times with satellites, with edema around it."""
    f = head.fields
    x, y, z = atlas_points(head)
    sites = {s: w for s, (w, _) in IPH_SITES.items() if bleed.volume_ml < DEEP_ROOM_ML.get(s, 1e9)}
    site = r.choice(list(sites), list(sites.values()))
    bleed = replace(bleed, site=site)
    side = r.sign()
    solid = (f["depth"] > 4) & (space.csf < 0.35) & (z > -58)
    place = IPH_SITES[site][1]
    if place is not None:
        target = [(side if a == 0 else 1.0) * r.normal(place[0][a], place[1][a]) for a in range(3)]
        away = sum((p - t) ** 2 for p, t in zip((x, y, z), target, strict=True))
        weight = torch.exp(-away / 30.0) + 1e-12
    elif site == "contusion":
        low_front = (y > 25) & (z < 0) & (f["depth"] < 22)
        pole = (x.abs() > 28) & (y > -25) & (z < -12) & (f["depth"] < 22)
        weight = (low_front | pole).float() + 1e-6
    else:
        weight = ((f["depth"] > 8) & (f["depth"] < 32) & (f["tent"] > 4) & (x.abs() > 10)).float() + 1e-6
    at = pick(solid, weight, r)
    side = float(torch.sign(x[at]))
    radius = (bleed.volume_ml * 1000 * 3 / (4 * math.pi)) ** (1 / 3)
    stretch = [r.uniform(0.75, 1.3) for _ in range(3)]
    ragged = r.uniform(0.08, 0.4)
    texture = ragged * (noise(r, max(10.0, radius * 1.1)) + 0.45 * noise(r, max(7.0, radius * 0.5)))
    distance = distance_from(head, at, stretch)
    satellites = []
    if r.chance(0.3) or site == "contusion":
        for _ in range(int(r.numbers.integers(1, 4))):
            near = solid & (distance > radius * 1.1) & (distance < radius * 1.8 + 8)
            if near.any():
                satellites.append((distance_from(head, pick(near, torch.ones_like(x), r)), r.uniform(0.15, 0.5)))
    fence = torch.minimum(side * f["midline"] - 0.5, f["tent"].abs() - 1.0)
    if site in ("pons", "thalamus"):
        fence = torch.full_like(x, 99.0)

    # What is torn is destroyed in part and pushed aside in part.
    pushed = r.uniform(0.3, 0.8)
    rim = torch.where(distance > radius, distance, torch.full_like(distance, radius))
    moved = rim - (rim**3 - pushed * radius**3).clamp(min=0) ** (1 / 3)
    points = grid_points(str(head.device))
    center = points[column(at)]
    out = (points - center[:, None, None, None]) / (distance + 1.0)
    fade = step(f["depth"] - 8, 16) * (distance / radius).clamp(max=1.0)
    head = displace(head, out * (moved * fade))
    head = shift_midline(head, side, 0.6 * bleed.volume_ml, r)
    space = space_of(head)

    def level_of(size: float) -> torch.Tensor:
        level = size * (1 + texture) - distance
        for d, share in satellites:
            level = torch.maximum(level, size * share * (1 + texture) - d)
        return torch.minimum(level, fence)

    level = solve(bleed, level_of, space, taken, (0.5, 75.0))
    ring = r.uniform(0, 12) * min(1.0, radius / 12) if r.chance(0.75) else 0.0
    if ring > 1:
        drop = r.uniform(6, 18) * step(level + ring * 0.6, ring) * step(fence, 2.0)
        # Most of the swelling is in white matter.
        head = head.with_fields(change=head.fields["change"] - 0.5 * drop, pale=head.fields["pale"] - 0.6 * drop)
    return head, bleed, level


def intraventricular(head, bleed, space, taken, r):
    """Blood that settles in the dependent parts of the ventricles, or a cast of some of them."""
    points = grid_points(str(head.device))
    room = float((space.ventricle * (1 - taken)).sum()) * VOXEL_ML
    # A patient lies supine: blood sinks toward the back of the head.
    down = (r.normal(0, 0.2), -1.0, r.normal(0, 0.25))
    settled = sum(p * d for p, d in zip(points, down, strict=True))
    layered = r.chance(0.6) and bleed.volume_ml < 0.6 * room
    if layered:
        bleed = replace(bleed, site="layered", softness=r.uniform(1.0, 5.0))
        sides = r.choice((0.0, -1.0, 1.0), (0.6, 0.2, 0.2))
        prefer = 3.0 * noise(r, 30) + 14.0 * sides * torch.sign(points[0])
        level = settled + prefer
        bounds = (-120.0, 140.0)
    else:
        bleed = replace(bleed, site="cast", softness=r.uniform(1.5, 6.0))
        at = pick(space.ventricle > 0.7, torch.ones_like(points[0]), r)
        level = 8.0 * noise(r, 20) - distance_from(head, at)
        bounds = (-30.0, 160.0)
    if bleed.volume_ml > 0.9 * room:
        # Blood under pressure widens the ventricles.
        head = _widen_ventricles(head, bleed.volume_ml / max(room, 1.0))
        space = space_of(head)
        room = float((space.ventricle * (1 - taken)).sum()) * VOXEL_ML
        bleed = replace(bleed, volume_ml=min(bleed.volume_ml, 0.95 * room))
    return head, bleed, solve(bleed, lambda s: level + s, space, taken, bounds)


def _widen_ventricles(head: Head, ratio: float) -> Head:
    """Draw brain tissue from nearer the ventricles' middle, so that they appear larger by about ``ratio``."""
    x, y, z = atlas_points(head)
    grow = min(0.45, 0.35 * (ratio ** (1 / 3) - 0.6))
    pull = 1 - grow * torch.exp(-((x / 36) ** 2) - ((y + 12) / 55) ** 2 - ((z - 12) / 32) ** 2)
    return head.with_fields(bx=x * pull, by=(y + 12) * pull - 12, bz=(z - 10) * pull + 10)


def subarachnoid(head, bleed, space, taken, r):
    """Blood among the gyri of one region, in the basal cisterns and fissures, or both."""
    f = head.fields
    x, y, z = atlas_points(head)
    site = r.choice(("cisterns", "convexity", "fissure", "diffuse"), (0.35, 0.4, 0.15, 0.10))
    if bleed.volume_ml > 12:
        site = r.choice(("cisterns", "diffuse"), (0.5, 0.5))
    texture = 0.5 * noise(r, 28) + 0.35 * noise(r, 12)
    if site == "cisterns":
        away = torch.sqrt((x / r.uniform(0.8, 1.3)) ** 2 + (y + 8) ** 2 + ((z + 16) * 1.4) ** 2) / 22
    elif site == "diffuse":
        away = 0.4 * torch.sqrt(x**2 + (y + 8) ** 2 + ((z + 10) * 1.2) ** 2) / 22
    elif site == "fissure":
        s = r.sign()
        away = torch.sqrt((x - 38 * s) ** 2 + ((y + 4) / 1.5) ** 2 + ((z - 2) / 1.1) ** 2) / 15
    else:
        at = pick((f["depth"].abs() < 6) & (f["depth"] > 0) & (z > -30), torch.ones_like(x), r)
        away = distance_from(head, at) / (8 + 2.2 * bleed.volume_ml**0.5)
    bleed = replace(bleed, site=site, softness=r.uniform(0.25, 0.8))
    level = texture - away
    room = room_ml(bleed, level + 20, space, taken)
    bleed = replace(bleed, volume_ml=min(bleed.volume_ml, 0.9 * room))
    return head, bleed, solve(bleed, lambda s: level + s, space, taken, (-6.0, 20.0))
