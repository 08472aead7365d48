"""Bleeds of five subtypes on a head: where each lies, how large it grows, what it pushes aside.

A bleed is a level field on the head grid, positive inside, and the space it may fill: ``extra`` below the inner table
(epidural, subdural), ``tissue``, ``ventricle`` or ``csf`` outside the ventricles. Its size is solved for, so that the
share of the space below its level amounts to the wanted mL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from hemorrhage.phantom.anatomy import load_anatomy, sample
from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.head import FAR_MM, GRID_STEP_MM, Head, grid_points
from hemorrhage.phantom.recipe import Recipe
from hemorrhage.phantom.shapes import step
from hemorrhage.phantom.statistics import draw_density, draw_volume
from hemorrhage.subtypes import BY_NAME

__all__ = [
    "DOMAINS",
    "Bleed",
    "NoRoomError",
    "Space",
    "add_bleeds",
    "add_collection",
    "brain_space",
    "rough_depth",
    "share_of_space",
]

DOMAINS = {"EDH": "extra", "SDH": "extra", "SAH": "csf", "IPH": "tissue", "IVH": "ventricle"}
VISIBLE = ("EDH", "IPH")
LEAST_CONTRAST_HU = 3.0
PLAIN_CONTRAST_HU = 15.0
UNMARKED_MM = 1.2
VOXEL_ML = GRID_STEP_MM**3 / 1000.0


class NoRoomError(ValueError):
    """A head has no room for the bleed that was asked for."""


@dataclass(frozen=True)
class Bleed:
    """One bleed of a head.

    Attributes:
        subtype: short name.
        index: label value.
        field: name of its level field on the head grid; in mm, except for ``csf`` where its unit is ``softness``.
        domain: the space it may fill.
        site: where it was put, in words.
        volume_ml: what was asked for.
        density_hu: mean HU that it should measure.
        softness: width of its edge in units of the level.
        spares_csf: 1 where it leaves sulci free, 0 where it fills them.
        mottle_hu: SD of HU within the clot.
        settled_hu: half the step in HU across a fluid level, denser toward the back; 0 for none.
        settled_at: atlas height of that level on the axis from back to front.
        fluid_mm: thickness of unclotted fluid between the inner table and the clot, which is not counted as blood.
        fluid_hu: HU of that fluid.
    """

    subtype: str
    index: int
    field: str
    domain: str
    site: str
    volume_ml: float
    density_hu: float
    softness: float
    spares_csf: float
    mottle_hu: float
    settled_hu: float = 0.0
    settled_at: float = 0.0
    fluid_mm: float = 0.0
    fluid_hu: float = 0.0


@dataclass(frozen=True)
class Space:
    """Compartments at points, all of one shape.

    Attributes:
        depth: mm below the inner table.
        csf: share of CSF, 0 to 1, ventricles included.
        ventricle: share of ventricle, 0 to 1.
    """

    depth: torch.Tensor
    csf: torch.Tensor
    ventricle: torch.Tensor


def brain_space(tissue: torch.Tensor, ventricle: torch.Tensor, depth: torch.Tensor, numbers: dict[str, float]) -> Space:
    """Compartments from the atlas' shares: sulci sharpened by the head's own numbers, ventricles cut at their edge."""
    vent = step(ventricle - 0.42, 0.45)
    csf = ((1.0 - tissue - numbers["csf_floor"]) * numbers["csf_gain"]).clamp_(0, 1)
    return Space(depth, torch.maximum(csf, vent), vent)


def rough_depth(fields: dict[str, torch.Tensor], numbers: dict[str, float]) -> torch.Tensor:
    """Depth below an inner table that is uneven: impressions of gyri and vessels raise bone into the brain case."""
    uneven = numbers["rough_mm"] * fields["middle"].abs() + numbers["rough_fine_mm"] * fields["fine"].abs()
    return fields["depth"] - uneven


def share_of_space(bleed: Bleed, level: torch.Tensor, space: Space, width: float) -> torch.Tensor:
    """Share of each point, drawn ``width`` mm wide, that ``bleed`` fills."""
    if bleed.domain == "extra":
        return step(level, width) * step(space.depth + 0.4 - bleed.fluid_mm, width)
    if bleed.domain == "tissue":
        sulci = 1 - space.csf * bleed.spares_csf
        return step(level, width) * (1 - space.ventricle) * step(space.depth - 1.2, width) * sulci
    if bleed.domain == "ventricle":
        return space.ventricle * step(level, bleed.softness)
    sulci = step(space.csf - 0.3, 0.5) * (1 - space.ventricle)
    return sulci * step(level, bleed.softness) * step(space.depth - 0.3, width)


def add_bleeds(
    head: Head,
    subtypes: Sequence[str],
    r: Draws,
    volume_ml: dict[str, float] | None = None,
    density_hu: dict[str, float] | None = None,
    recipe: Recipe | None = None,
) -> Head:
    """Put one bleed of each of ``subtypes`` into a head.

    Args:
        head: a head without blood.
        subtypes: short names; those that push (EDH, SDH, IPH) are placed before those that only fill (IVH, SAH).
        r: chance.
        volume_ml: wanted volumes by subtype, drawn from BHSD where absent.
        density_hu: wanted mean HU by subtype, drawn likewise.
        recipe: ingredients.

    Raises:
        NoRoomError: a volume is larger than the space of its subtype can hold.
    """
    recipe = recipe or Recipe()
    bare = head
    order = [s for s in ("EDH", "SDH", "IPH", "IVH", "SAH") if s in subtypes]
    plan = []
    for subtype in order:
        ml = (volume_ml or {}).get(subtype) or draw_volume(subtype, r)
        hu = (density_hu or {}).get(subtype) or draw_density(subtype, ml, r)
        if subtype in VISIBLE and not density_hu:
            # The table's lowest values are of scans whose brain was darker too: no reader outlines what he can't see.
            hu = max(hu, head.numbers["gray"] + LEAST_CONTRAST_HU)
        if recipe.faint_blood == 0:
            hu = max(hu, head.numbers["gray"] + PLAIN_CONTRAST_HU)
        fluid_mm, fluid_hu = 0.0, 0.0
        if subtype in ("EDH", "SDH") and ml > 4 and r.chance(recipe.mixed_clots):
            fluid_mm, fluid_hu = r.uniform(1.0, 1.0 + min(5.0, 1.2 * ml ** (1 / 3))), r.uniform(18, 36)
        plan.append(
            Bleed(
                subtype=subtype, index=BY_NAME[subtype].index, field=f"level_{subtype}", domain=DOMAINS[subtype],
                site="", volume_ml=ml, density_hu=hu, softness=1.0,
                spares_csf=r.uniform(0.2, 0.95), mottle_hu=r.log_uniform(1.0, 6.0),
                fluid_mm=fluid_mm, fluid_hu=fluid_hu,
            )
        )  # fmt: skip
    build = {"EDH": _epidural, "SDH": _subdural, "IPH": _intraparenchymal, "IVH": _intraventricular,
             "SAH": _subarachnoid}  # fmt: skip
    taken = torch.zeros_like(head.fields["depth"])
    for bleed in plan:
        space = _space(head)
        head, placed, level = build[bleed.subtype](head, bleed, space, taken, r)
        placed = _settle(placed, level, head, r)
        share = share_of_space(placed, level, _space(head), GRID_STEP_MM)
        taken = (taken + share).clamp_(max=1.0)
        head = replace(head.with_fields(**{bleed.field: level}), bleeds=(*head.bleeds, placed))
    return replace(head, bare=bare) if head.bleeds else head


def add_collection(head: Head, r: Draws) -> Head:
    """Put a hygroma of 5 to 60 mL over one hemisphere: fluid under the dura, as dense as CSF, no blood."""
    shape = Bleed(
        subtype="SDH", index=0, field="collection", domain="extra", site="", volume_ml=r.log_uniform(12, 60),
        density_hu=0.0, softness=1.0, spares_csf=1.0, mottle_hu=0.0,
    )  # fmt: skip
    head, _, level = _subdural(head, shape, _space(head), torch.zeros_like(head.fields["depth"]), r)
    numbers = {**head.numbers, "collection": head.numbers["csf"] + r.uniform(0.0, 8.0)}
    return replace(head.with_fields(collection=level), numbers=numbers)


def _settle(bleed: Bleed, level: torch.Tensor, head: Head, r: Draws) -> Bleed:
    """Let the cells of some larger collections sink: plasma in front, a denser layer behind."""
    rate = {"SDH": 0.3, "IPH": 0.15, "EDH": 0.1}.get(bleed.subtype, 0.0)
    inside = (level > 0) & (head.fields["depth"] > 0)
    if not r.chance(rate) or bleed.volume_ml < 8 or not inside.any():
        return bleed
    heights = head.fields["by"][inside]
    at = float(heights.quantile(r.uniform(0.25, 0.75))) if heights.numel() < 1_000_000 else float(heights.mean())
    return replace(bleed, settled_hu=r.uniform(3.0, 12.0), settled_at=at)


def _space(head: Head) -> Space:
    anatomy = load_anatomy(str(head.device))
    f = head.fields
    maps = sample(anatomy.tissue, torch.stack([f["bx"], f["by"], f["bz"]]))
    return brain_space(maps[0] + maps[1], maps[2], rough_depth(f, head.numbers), head.numbers)


def _solve(
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


def _noise(r: Draws, mm: float) -> torch.Tensor:
    """Noise on the head grid that varies over ``mm``."""
    shape = grid_points(str(r.device)).shape[1:]
    return r.smooth(shape, [max(3, round(n * GRID_STEP_MM / mm)) for n in shape])


def _atlas_points(head: Head) -> torch.Tensor:
    return torch.stack([head.fields[k] for k in ("bx", "by", "bz")])


def _pick(where: torch.Tensor, weight: torch.Tensor, r: Draws) -> tuple[int, int, int]:
    """A grid point of the mask ``where``, drawn by ``weight``."""
    index = where.nonzero()
    if len(index) == 0:
        raise NoRoomError("no place for a bleed in this head")
    w = weight[where].double().cumsum(0)
    chosen = int(torch.searchsorted(w, w.new_tensor(r.uniform(0, 1)) * w[-1]).clamp(max=len(index) - 1))
    i, j, k = index[chosen].tolist()
    return i, j, k


def _column(index: tuple[int, int, int]) -> tuple:
    """Index of all channels of a (C, X, Y, Z) tensor at one grid point."""
    return (slice(None), *index)


def _distance(head: Head, index: tuple[int, int, int], stretch: Sequence[float] = (1, 1, 1)) -> torch.Tensor:
    points = grid_points(str(head.device))
    center = points[:, index[0], index[1], index[2]]
    return torch.sqrt(sum(((points[a] - center[a]) / stretch[a]) ** 2 for a in range(3)))  # type: ignore[arg-type]


def _where_hit(head: Head, weight: torch.Tensor, r: Draws) -> torch.Tensor:
    """``weight``, in most heads that were hit drawn to below the blow."""
    trauma = head.fields["trauma"]
    if float(trauma.min()) >= FAR_MM or not r.chance(0.75):
        return weight
    return weight * torch.exp(-((trauma / 18) ** 2)) + 1e-9


def _push_inward(head: Head, height: torch.Tensor, r: Draws) -> Head:
    """Move brain away from a collection of ``height`` mm under the inner table, less and less with depth."""
    depth = head.fields["depth"]
    normal = torch.stack(torch.gradient(depth, spacing=GRID_STEP_MM))
    normal = normal / (torch.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + 1e-3)
    amount = height.clamp(min=0) * torch.exp(-(depth - height).clamp(min=0) / r.uniform(16, 30)) * (depth > -2)
    return _displace(head, normal * amount * r.uniform(0.6, 1.0))


def _displace(head: Head, move: torch.Tensor) -> Head:
    """Brain that was at p comes to p + move; with it, by half, the falx."""
    fields = {name: head.fields[name] - move[a] * head.scale[a] for a, name in enumerate(("bx", "by", "bz"))}
    return head.with_fields(**fields, midline=head.fields["midline"] - 0.5 * move[0])


def _shift_midline(head: Head, side: float, ml: float, r: Draws) -> Head:
    """Midline shift away from ``side``, from nothing at 10 mL to about 1 cm at 100 mL."""
    shift = min(14.0, max(0.0, ml - 10.0) * r.uniform(0.04, 0.16))
    x, y, z = grid_points(str(head.device))
    envelope = torch.exp(-((x / 38) ** 2) - ((y - 5) / 48) ** 2 - ((z - 5) / 40) ** 2)
    move = torch.zeros((3, *x.shape), device=x.device)
    move[0] = -side * shift * envelope * step(head.fields["depth"] - 4, 8)
    return _displace(head, move)


def _epidural(head, bleed, space, taken, r):
    """A lens under the vault that stops at the sutures."""
    f = head.fields
    x, y, z = _atlas_points(head)
    table = (f["depth"].abs() < 2.0) & (z > -40) & (x.abs() > 18)
    weight = torch.where((x.abs() > 40) & (z < 40), 3.0, 1.0) * torch.where(f["tent"] > 0, 1.0, 0.25)
    # Coronal and lambdoid suture as planes, the sagittal at the midline; the lens keeps to the side of its center.
    seams = torch.stack([y - 6 + 0.25 * (z - 60), y + 62 - 0.5 * (60 - z), x])
    roomy = seams.abs().amin(0) > min(24.0, 6.0 * bleed.volume_ml ** (1 / 3))
    at = _pick(table & roomy, _where_hit(head, weight, r), r)
    bleed = replace(bleed, site="posterior fossa" if f["tent"][at] < 0 else "vault")
    flat = r.uniform(0.16, 0.42)
    reach = r.uniform(10.0, 30.0)
    distance = _distance(head, at)
    wave = 0.12 * _noise(r, 18)
    side = torch.sign(seams[_column(at)])
    wall = (seams * side[:, None, None, None]).amin(0)
    if r.chance(0.15):  # a fracture through a suture lets it cross
        wall = (seams[2] * side[2]) if r.chance(0.8) else torch.full_like(wall, 99.0)

    def height(size: float) -> torch.Tensor:
        lens = size * flat * (1 - (distance / size) ** 2 + wave * 0.5)
        return torch.where(lens > 0, lens * torch.sqrt((wall / reach).clamp(0, 1)), lens.clamp(min=-6))

    level = _solve(bleed, lambda s: height(s) - f["depth"], space, taken, (3.0, 110.0))
    top = level + f["depth"]
    head = _push_inward(head, top, r)
    return _shift_midline(head, float(torch.sign(x[at])), bleed.volume_ml, r), bleed, level


def _subdural(head, bleed, space, taken, r):
    """A crescent over one hemisphere, or a layer along falx or tentorium."""
    f = head.fields
    x, _, z = _atlas_points(head)
    small = bleed.volume_ml < 12
    site = r.choice(("convexity", "falx", "tentorium"), (0.7, 0.18, 0.12) if small else (1, 0, 0))
    if site == "convexity":
        table = (f["depth"].abs() < 2.0) & (f["tent"] > 4) & (x.abs() > 12)
        at = _pick(table, _where_hit(head, torch.where(z > -5, 1.0, 0.4), r), r)
        side = float(torch.sign(x[at]))
        bleed = replace(bleed, site="convexity")
        distance = _distance(head, at, (1.0, r.uniform(1.0, 1.6), r.uniform(0.9, 1.2)))
        wave = 1 + 0.25 * _noise(r, 22)
        thin = r.uniform(0.035, 0.11)
        wall = torch.minimum(side * f["midline"] - 1, f["tent"])

        def height(size: float) -> torch.Tensor:
            arc = (2.2 * (1 - (distance / size) ** 1.5)).clamp(max=1.0)
            top = (size * thin + 1.0) * arc * wave
            return torch.where(top > 0, top * step(wall, 6.0), top.clamp(min=-6))

        level = _solve(bleed, lambda s: height(s) - f["depth"], space, taken, (6.0, 190.0))
        head = _push_inward(head, level + f["depth"], r)
        return _shift_midline(head, side, bleed.volume_ml, r), bleed, level
    side = r.sign()
    bleed = replace(bleed, site=site)
    if site == "falx":
        sheet, region = side * f["midline"], torch.minimum(f["falx"], f["depth"] + 1)
        at = _pick((f["falx"] > 4) & (f["midline"].abs() < 3), torch.ones_like(x), r)
    else:
        sheet, region = f["tent"], torch.minimum(f["tent_region"], side * x - 8)
        at = _pick((f["tent_region"] > 4) & (f["tent"].abs() < 3) & (side * x > 12), torch.ones_like(x), r)
    distance = _distance(head, at)
    wave = 1 + 0.3 * _noise(r, 16)

    def sheet_level(size: float) -> torch.Tensor:
        thick = (1.0 + 0.045 * size) * (1.6 * (1 - (distance / size) ** 2)).clamp(-2.0, 1.0) * wave
        thick = thick * step(region, 5.0) - 3 * step(-region, 5.0)
        # From the membrane outward on one side of it.
        return torch.minimum(thick - sheet, sheet + 0.5)

    return head, bleed, _solve(bleed, sheet_level, space, taken, (5.0, 120.0), width=1.2)


IPH_SITES = {
    "basal ganglia": (0.30, ((26.0, -2.0, 4.0), (5.0, 9.0, 6.0))),
    "thalamus": (0.14, ((12.0, -18.0, 8.0), (3.0, 4.0, 4.0))),
    "cerebellum": (0.08, ((22.0, -62.0, -36.0), (9.0, 8.0, 6.0))),
    "pons": (0.03, ((2.0, -27.0, -32.0), (2.0, 2.0, 4.0))),
    "lobar": (0.30, None),
    "contusion": (0.15, None),
}
DEEP_ROOM_ML = {"pons": 6.0, "cerebellum": 35.0, "thalamus": 30.0}


def _intraparenchymal(head, bleed, space, taken, r):
    """An irregular blob, deep or lobar, at times with satellites, with edema around it."""
    f = head.fields
    x, y, z = _atlas_points(head)
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
    at = _pick(solid, weight, r)
    side = float(torch.sign(x[at]))
    radius = (bleed.volume_ml * 1000 * 3 / (4 * math.pi)) ** (1 / 3)
    stretch = [r.uniform(0.75, 1.3) for _ in range(3)]
    ragged = r.uniform(0.08, 0.4)
    texture = ragged * (_noise(r, max(10.0, radius * 1.1)) + 0.45 * _noise(r, max(7.0, radius * 0.5)))
    distance = _distance(head, at, stretch)
    satellites = []
    if r.chance(0.3) or site == "contusion":
        for _ in range(int(r.numbers.integers(1, 4))):
            near = solid & (distance > radius * 1.1) & (distance < radius * 1.8 + 8)
            if near.any():
                satellites.append((_distance(head, _pick(near, torch.ones_like(x), r)), r.uniform(0.15, 0.5)))
    fence = torch.minimum(side * f["midline"] - 0.5, f["tent"].abs() - 1.0)
    if site in ("pons", "thalamus"):
        fence = torch.full_like(x, 99.0)

    # What is torn is destroyed in part and pushed aside in part.
    pushed = r.uniform(0.3, 0.8)
    rim = torch.where(distance > radius, distance, torch.full_like(distance, radius))
    moved = rim - (rim**3 - pushed * radius**3).clamp(min=0) ** (1 / 3)
    points = grid_points(str(head.device))
    center = points[_column(at)]
    out = (points - center[:, None, None, None]) / (distance + 1.0)
    fade = step(f["depth"] - 8, 16) * (distance / radius).clamp(max=1.0)
    head = _displace(head, out * (moved * fade))
    head = _shift_midline(head, side, 0.6 * bleed.volume_ml, r)
    space = _space(head)

    def level_of(size: float) -> torch.Tensor:
        level = size * (1 + texture) - distance
        for d, share in satellites:
            level = torch.maximum(level, size * share * (1 + texture) - d)
        return torch.minimum(level, fence)

    level = _solve(bleed, level_of, space, taken, (0.5, 75.0))
    ring = r.uniform(0, 12) * min(1.0, radius / 12) if r.chance(0.75) else 0.0
    change = head.fields["change"]
    if ring > 1:
        change = change - r.uniform(6, 18) * step(level + ring * 0.6, ring) * step(fence, 2.0)
    return head.with_fields(change=change), bleed, level


def _intraventricular(head, bleed, space, taken, r):
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
        prefer = 3.0 * _noise(r, 30) + 14.0 * sides * torch.sign(points[0])
        level = settled + prefer
        bounds = (-120.0, 140.0)
    else:
        bleed = replace(bleed, site="cast", softness=r.uniform(1.5, 6.0))
        at = _pick(space.ventricle > 0.7, torch.ones_like(points[0]), r)
        level = 8.0 * _noise(r, 20) - _distance(head, at)
        bounds = (-30.0, 160.0)
    if bleed.volume_ml > 0.9 * room:
        # Blood under pressure widens the ventricles.
        head = _widen_ventricles(head, bleed.volume_ml / max(room, 1.0))
        space = _space(head)
        room = float((space.ventricle * (1 - taken)).sum()) * VOXEL_ML
        bleed = replace(bleed, volume_ml=min(bleed.volume_ml, 0.95 * room))
    return head, bleed, _solve(bleed, lambda s: level + s, space, taken, bounds)


def _widen_ventricles(head: Head, ratio: float) -> Head:
    """Draw brain tissue from nearer the ventricles' middle, so that they appear larger by about ``ratio``."""
    x, y, z = _atlas_points(head)
    grow = min(0.45, 0.35 * (ratio ** (1 / 3) - 0.6))
    pull = 1 - grow * torch.exp(-((x / 36) ** 2) - ((y + 12) / 55) ** 2 - ((z - 12) / 32) ** 2)
    return head.with_fields(bx=x * pull, by=(y + 12) * pull - 12, bz=(z - 10) * pull + 10)


def _subarachnoid(head, bleed, space, taken, r):
    """Blood among the gyri of one region, in the basal cisterns and fissures, or both."""
    f = head.fields
    x, y, z = _atlas_points(head)
    site = r.choice(("cisterns", "convexity", "fissure", "diffuse"), (0.35, 0.4, 0.15, 0.10))
    if bleed.volume_ml > 12:
        site = r.choice(("cisterns", "diffuse"), (0.5, 0.5))
    texture = 0.5 * _noise(r, 28) + 0.35 * _noise(r, 12)
    if site == "cisterns":
        away = torch.sqrt((x / r.uniform(0.8, 1.3)) ** 2 + (y + 8) ** 2 + ((z + 16) * 1.4) ** 2) / 22
    elif site == "diffuse":
        away = 0.4 * torch.sqrt(x**2 + (y + 8) ** 2 + ((z + 10) * 1.2) ** 2) / 22
    elif site == "fissure":
        s = r.sign()
        away = torch.sqrt((x - 38 * s) ** 2 + ((y + 4) / 1.5) ** 2 + ((z - 2) / 1.1) ** 2) / 15
    else:
        at = _pick((f["depth"].abs() < 6) & (f["depth"] > 0) & (z > -30), torch.ones_like(x), r)
        away = _distance(head, at) / (8 + 2.2 * bleed.volume_ml**0.5)
    bleed = replace(bleed, site=site, softness=r.uniform(0.25, 0.8))
    level = texture - away
    room = _room(bleed, level + 20, space, taken)
    bleed = replace(bleed, volume_ml=min(bleed.volume_ml, 0.9 * room))
    return head, bleed, _solve(bleed, lambda s: level + s, space, taken, (-6.0, 20.0))


def _room(bleed: Bleed, level: torch.Tensor, space: Space, taken: torch.Tensor) -> float:
    return float((share_of_space(bleed, level, space, GRID_STEP_MM) * (1 - taken)).sum()) * VOXEL_ML
