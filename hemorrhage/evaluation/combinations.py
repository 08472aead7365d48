"""Which bleeds come together in a scan: the groups of DeepBleed's Table 2."""

from __future__ import annotations

__all__ = ["COMBINATIONS", "combination_of"]

# The groups of the table first.
COMBINATIONS = ("ICH only", "ICH + IVH", "ICH + SDH", "ICH + IVH + SDH", "other", "unknown", "no blood")


def combination_of(present: set[str] | None, any_blood: bool) -> str:
    """The group of DeepBleed's Table 2 that a scan belongs to.

    Args:
        present: abbreviations of the subtypes in the reference; None where it names none.
        any_blood: whether the reference has blood at all.

    Returns:
        one of :data:`COMBINATIONS`; ICH there is intraparenchymal blood. "other" has none, or subarachnoid or epidural
        blood beside it.
    """
    if not any_blood:
        return "no blood"
    if present is None:
        return "unknown"
    if "IPH" not in present or present & {"EDH", "SAH"}:
        return "other"
    return "ICH" + "".join(f" + {s}" for s in ("IVH", "SDH") if s in present) if len(present) > 1 else "ICH only"
