"""Blood between skull and brain: epidural lenses, subdural crescents and sheets, and fluid without blood."""

from __future__ import annotations

from dataclasses import replace

import torch

from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.head import Head
from hemorrhage.phantom.placing import (
    atlas_points,
    column,
    distance_from,
    noise,
    pick,
    push_inward,
    shift_midline,
    solve,
    where_hit,
)
from hemorrhage.phantom.shapes import step
from hemorrhage.phantom.space import Bleed, space_of

__all__ = ["add_collection", "epidural", "subdural"]


def epidural(head, bleed, space, taken, r):
    """A lens under the vault that stops at the sutures."""
    f = head.fields
    x, y, z = atlas_points(head)
    table = (f["depth"].abs() < 2.0) & (z > -40) & (x.abs() > 18)
    weight = torch.where((x.abs() > 40) & (z < 40), 3.0, 1.0) * torch.where(f["tent"] > 0, 1.0, 0.25)
    # Coronal and lambdoid suture as planes, the sagittal at the midline; the lens keeps to the side of its center.
    seams = torch.stack([y - 6 + 0.25 * (z - 60), y + 62 - 0.5 * (60 - z), x])
    roomy = seams.abs().amin(0) > min(24.0, 6.0 * bleed.volume_ml ** (1 / 3))
    at = pick(table & roomy, where_hit(head, weight, r), r)
    bleed = replace(bleed, site="posterior fossa" if f["tent"][at] < 0 else "vault")
    flat = r.uniform(0.11, 0.42)
    reach = r.uniform(10.0, 30.0)
    distance = distance_from(head, at)
    wave = 0.12 * noise(r, 18)
    side = torch.sign(seams[column(at)])
    wall = (seams * side[:, None, None, None]).amin(0)
    if r.chance(0.15):  # a fracture through a suture lets it cross
        wall = (seams[2] * side[2]) if r.chance(0.8) else torch.full_like(wall, 99.0)

    def height(size: float) -> torch.Tensor:
        lens = size * flat * (1 - (distance / size) ** 2 + wave * 0.5)
        return torch.where(lens > 0, lens * torch.sqrt((wall / reach).clamp(0, 1)), lens.clamp(min=-6))

    level = solve(bleed, lambda s: height(s) - f["depth"], space, taken, (3.0, 110.0))
    top = level + f["depth"]
    head = push_inward(head, top, r)
    return shift_midline(head, float(torch.sign(x[at])), bleed.volume_ml, r), bleed, level


def subdural(head, bleed, space, taken, r):
    """A crescent over one hemisphere, or a layer along falx or tentorium."""
    f = head.fields
    x, _, z = atlas_points(head)
    small = bleed.volume_ml < 12
    site = r.choice(("convexity", "falx", "tentorium"), (0.7, 0.18, 0.12) if small else (1, 0, 0))
    if site == "convexity":
        table = (f["depth"].abs() < 2.0) & (f["tent"] > 4) & (x.abs() > 12)
        at = pick(table, where_hit(head, torch.where(z > -5, 1.0, 0.4), r), r)
        side = float(torch.sign(x[at]))
        bleed = replace(bleed, site="convexity")
        distance = distance_from(head, at, (1.0, r.uniform(1.0, 1.6), r.uniform(0.9, 1.2)))
        wave = 1 + 0.25 * noise(r, 22)
        thin = r.uniform(0.035, 0.11)
        wall = torch.minimum(side * f["midline"] - 1, f["tent"])

        def height(size: float) -> torch.Tensor:
            arc = (2.2 * (1 - (distance / size) ** 1.5)).clamp(max=1.0)
            top = (size * thin + 1.0) * arc * wave
            return torch.where(top > 0, top * step(wall, 6.0), top.clamp(min=-6))

        level = solve(bleed, lambda s: height(s) - f["depth"], space, taken, (6.0, 190.0))
        head = push_inward(head, level + f["depth"], r)
        return shift_midline(head, side, bleed.volume_ml, r), bleed, level
    side = r.sign()
    bleed = replace(bleed, site=site)
    if site == "falx":
        sheet, region = side * f["midline"], torch.minimum(f["falx"], f["depth"] + 1)
        at = pick((f["falx"] > 4) & (f["midline"].abs() < 3), torch.ones_like(x), r)
    else:
        sheet, region = f["tent"], torch.minimum(f["tent_region"], side * x - 8)
        at = pick((f["tent_region"] > 4) & (f["tent"].abs() < 3) & (side * x > 12), torch.ones_like(x), r)
    distance = distance_from(head, at)
    wave = 1 + 0.3 * noise(r, 16)

    def sheet_level(size: float) -> torch.Tensor:
        thick = (1.0 + 0.045 * size) * (1.6 * (1 - (distance / size) ** 2)).clamp(-2.0, 1.0) * wave
        thick = thick * step(region, 5.0) - 3 * step(-region, 5.0)
        # From the membrane outward on one side of it.
        return torch.minimum(thick - sheet, sheet + 0.5)

    return head, bleed, solve(bleed, sheet_level, space, taken, (5.0, 120.0), width=1.2)


def add_collection(head: Head, r: Draws) -> Head:
    """Put a hygroma of 5 to 60 mL over one hemisphere: fluid under the dura, as dense as CSF, no blood."""
    shape = Bleed(
        subtype="SDH", index=0, field="collection", domain="extra", site="", volume_ml=r.log_uniform(12, 60),
        density_hu=0.0, softness=1.0, spares_csf=1.0, mottle_hu=0.0,
    )  # fmt: skip
    head, _, level = subdural(head, shape, space_of(head), torch.zeros_like(head.fields["depth"]), r)
    numbers = {**head.numbers, "collection": head.numbers["csf"] + r.uniform(0.0, 8.0)}
    return replace(head.with_fields(collection=level), numbers=numbers)
