"""Bleeds of five subtypes on a head: how many mL of which, how dense, in which order.

A bleed is a level field on the head grid, positive inside, and the space it may fill: ``extra`` below the inner table
(epidural, subdural), ``tissue``, ``ventricle`` or ``csf`` outside the ventricles. Its size is solved for, so that the
share of the space below its level amounts to the wanted mL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.extra_axial import epidural, subdural
from hemorrhage.phantom.head import GRID_STEP_MM, Head
from hemorrhage.phantom.intra_axial import intraparenchymal, intraventricular, subarachnoid
from hemorrhage.phantom.recipe import Recipe
from hemorrhage.phantom.space import DOMAINS, Bleed, share_of_space, space_of
from hemorrhage.phantom.statistics import draw_density, draw_volume
from hemorrhage.subtypes import BY_NAME

__all__ = ["add_bleeds"]

LEAST_CONTRAST_HU = 3.0
VISIBLE = ("EDH", "SAH", "IPH")  # subdural blood may be as old, and blood in a ventricle as thin, as the table says
PLAIN_CONTRAST_HU = 15.0


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
        hu = (density_hu or {}).get(subtype) or draw_density(subtype, ml, r, max(1.0, recipe.faint_blood))
        if subtype in VISIBLE and not density_hu:
            # The table's lowest values are of scans whose brain was darker too: no reader outlines what he can't see.
            hu = max(hu, head.numbers["gray"] + LEAST_CONTRAST_HU)
        if subtype != "IVH":  # around which there is fluid, not gray matter
            hu = max(hu, head.numbers["gray"] + recipe.least_contrast_hu)
        if recipe.faint_blood < 1:
            hu = max(hu, head.numbers["gray"] + (1.0 - recipe.faint_blood) * PLAIN_CONTRAST_HU)
        fluid = _fluid(subtype, ml, r) if r.chance(recipe.mixed_clots) else {}
        plan.append(
            Bleed(
                subtype=subtype, index=BY_NAME[subtype].index, field=f"level_{subtype}", domain=DOMAINS[subtype],
                site="", volume_ml=ml, density_hu=hu, softness=1.0,
                spares_csf=r.uniform(0.2, 0.95), mottle_hu=r.log_uniform(1.0, 6.0),
                **fluid,
            )
        )  # fmt: skip
    build = {"EDH": epidural, "SDH": subdural, "IPH": intraparenchymal, "IVH": intraventricular,
             "SAH": subarachnoid}  # fmt: skip
    taken = torch.zeros_like(head.fields["depth"])
    if not plan:
        return head
    space = space_of(head)
    for bleed in plan:
        before = head.fields["bx"]
        head, placed, level = build[bleed.subtype](head, bleed, space, taken, r)
        placed = _settle(placed, level, head, r)
        if head.fields["bx"] is not before:  # tissue moved: looking it up again takes as long as placing the bleed
            space = space_of(head)
        share = share_of_space(placed, level, space, GRID_STEP_MM)
        taken = (taken + share).clamp_(max=1.0)
        head = replace(head.with_fields(**{bleed.field: level}), bleeds=(*head.bleeds, placed))
    return replace(head, bare=bare) if head.bleeds else head


def _fluid(subtype: str, ml: float, r: Draws) -> dict[str, float]:
    """Unclotted fluid in a collection: a layer under the table, or all behind a sheet of clot at the brain."""
    if subtype == "EDH" and ml > 1.5 and r.chance(0.6):
        return {"lamina_mm": r.uniform(2.5, 7.0), "fluid_hu": r.uniform(18, 36)}
    if subtype in ("EDH", "SDH") and ml > 4:
        return {"fluid_mm": r.uniform(1.0, 1.0 + min(5.0, 1.2 * ml ** (1 / 3))), "fluid_hu": r.uniform(18, 36)}
    return {}


def _settle(bleed: Bleed, level: torch.Tensor, head: Head, r: Draws) -> Bleed:
    """Let the cells of some larger collections sink: plasma in front, a denser layer behind."""
    rate = {"SDH": 0.3, "IPH": 0.15, "EDH": 0.1}.get(bleed.subtype, 0.0)
    inside = (level > 0) & (head.fields["depth"] > 0)
    if not r.chance(rate) or bleed.volume_ml < 8 or not inside.any():
        return bleed
    heights = head.fields["by"][inside]
    at = float(heights.quantile(r.uniform(0.25, 0.75))) if heights.numel() < 1_000_000 else float(heights.mean())
    return replace(bleed, settled_hu=r.uniform(3.0, 12.0), settled_at=at)
