"""What a bleed is, and the compartments of a head that it may fill."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from hemorrhage.phantom.anatomy import load_anatomy, sample
from hemorrhage.phantom.head import Head
from hemorrhage.phantom.shapes import step

__all__ = ["DOMAINS", "Bleed", "NoRoomError", "Space", "brain_space", "rough_depth", "share_of_space", "space_of"]

DOMAINS = {"EDH": "extra", "SDH": "extra", "SAH": "csf", "IPH": "tissue", "IVH": "ventricle"}


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
        lamina_mm: thickness of the clot where it lies against the brain as a sheet, such fluid behind it.
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
    lamina_mm: float = math.inf
    fluid_hu: float = 0.0

    @property
    def whole(self) -> Bleed:
        """The collection: clot and fluid together."""
        return replace(self, fluid_mm=0.0, lamina_mm=math.inf)


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
    # The atlas, an average, has fluid everywhere under the table; in most heads the gyri touch it.
    csf = csf * (1 - numbers["snug"] * step(numbers["snug_mm"] - depth, 3.0))
    return Space(depth, torch.maximum(csf, vent), vent)


def rough_depth(fields: dict[str, torch.Tensor], numbers: dict[str, float]) -> torch.Tensor:
    """Depth below an inner table that is uneven: impressions of gyri and vessels raise bone into the brain case."""
    uneven = numbers["rough_mm"] * fields["middle"].abs() + numbers["rough_fine_mm"] * fields["fine"].abs()
    return fields["depth"] - uneven


def share_of_space(bleed: Bleed, level: torch.Tensor, space: Space, width: float) -> torch.Tensor:
    """Share of each point, drawn ``width`` mm wide, that ``bleed`` fills."""
    if bleed.domain == "extra":
        share = step(level, width) * step(space.depth + 0.4 - bleed.fluid_mm, width)
        return share * step(bleed.lamina_mm - level, width) if math.isfinite(bleed.lamina_mm) else share
    if bleed.domain == "tissue":
        sulci = 1 - space.csf * bleed.spares_csf
        return step(level, width) * (1 - space.ventricle) * step(space.depth - 1.2, width) * sulci
    if bleed.domain == "ventricle":
        return space.ventricle * step(level, bleed.softness)
    sulci = step(space.csf - 0.3, 0.5) * (1 - space.ventricle)
    return sulci * step(level, bleed.softness) * step(space.depth - 0.3, width)


def space_of(head: Head) -> Space:
    """Compartments of a head on its own grid."""
    anatomy = load_anatomy(str(head.device))
    f = head.fields
    maps = sample(anatomy.tissue, torch.stack([f["bx"], f["by"], f["bz"]]))
    return brain_space(maps[0] + maps[1], maps[2], rough_depth(f, head.numbers), head.numbers)
