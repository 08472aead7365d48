"""Growth of a bleed between two scans of one patient. Research use only; not for diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hemorrhage.errors import ScanError

__all__ = ["GROWTH_ML", "GROWTH_SHARE", "IVH_GROWTH_ML", "compare_findings", "growth_of"]

# Hematoma expansion as trials define it: 33 % or 6 mL (Dowlatshahi et al., Neurology 2011); revised with any new IVH or
# growth of IVH by 1 mL (Yogendrakumar et al., Stroke 2020).
GROWTH_SHARE = 0.33
GROWTH_ML = 6.0
IVH_GROWTH_ML = 1.0
_NOTICE = "research use only, not for diagnosis; registration and threshold of both scans add to the difference"


def growth_of(
    earlier_ml: float, later_ml: float, earlier_ivh_ml: float | None = None, later_ivh_ml: float | None = None
) -> dict[str, Any]:
    """Change of volume and whether it counts as growth.

    Args:
        earlier_ml: volume in the first scan; where IVH is known the flag for 33 % or 6 mL is of what lies outside it.
        later_ml: volume in the second.
        earlier_ivh_ml: of it intraventricular; None where subtypes were not named.
        later_ivh_ml: likewise in the second.

    Returns:
        "change_ml", "change_percent" (None from 0 mL), "grown_33_percent_or_6_ml", and "ivh_new_or_grown_1_ml" (None
        where subtypes were not named).
    """
    change = later_ml - earlier_ml
    known = earlier_ivh_ml is not None and later_ivh_ml is not None
    before, after = earlier_ml, later_ml
    if earlier_ivh_ml is not None and later_ivh_ml is not None:
        before, after = earlier_ml - earlier_ivh_ml, later_ml - later_ivh_ml
    growth = after - before + 1e-9  # a limit that is met exactly counts, whatever the rounding
    grown = growth >= GROWTH_ML or (before > 0 and growth >= GROWTH_SHARE * before)
    return {
        "change_ml": change,
        "change_percent": 100 * change / earlier_ml if earlier_ml > 0 else None,
        "grown_33_percent_or_6_ml": bool(grown),
        "ivh_new_or_grown_1_ml": bool(later_ivh_ml - earlier_ivh_ml >= IVH_GROWTH_ML)  # type: ignore[operator]
        if known
        else None,
    }


def compare_findings(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Growth between two results.

    Args:
        earlier: the first scan's ``findings.json``.
        later: the second's.

    Returns:
        the volumes and :func:`growth_of` them, by subtype too where both name subtypes, and the warnings of both.

    Raises:
        ScanError: E_OTHER_RUN if the two were read with other weights or another threshold; E_OTHER_INPUT if both are
            one scan.
    """
    for key, name in (("weights", "weights"), ("threshold", "threshold")):
        if earlier[key] != later[key]:
            raise ScanError(
                "E_OTHER_RUN",
                later["name"],
                f"it was read with another {name} than {earlier['name']}",
                "Read both scans in one way: a change of method is no growth.",
            )
    if earlier["input"]["sha256"] == later["input"]["sha256"]:
        raise ScanError("E_OTHER_INPUT", later["name"], "both results are of one scan", "Name two scans.")
    first, second = earlier["findings"], later["findings"]
    kinds = [f.get("volume_ml_by_subtype") for f in (first, second)]
    ivh = [None if k is None else k["IVH"] for k in kinds]
    growth = growth_of(first["volume_ml"], second["volume_ml"], *ivh)
    by_subtype = None
    if kinds[0] is not None and kinds[1] is not None:
        by_subtype = {s: {"earlier_ml": kinds[0][s], "later_ml": kinds[1][s]} for s in kinds[0]}
    return {
        "notice": _NOTICE,
        "earlier": {"name": earlier["name"], "volume_ml": first["volume_ml"]},
        "later": {"name": later["name"], "volume_ml": second["volume_ml"]},
        **growth,
        "by_subtype": by_subtype,
        "warnings": sorted({w["code"] for f in (earlier, later) for w in f["warnings"]}),
    }
