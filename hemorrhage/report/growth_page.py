"""The page of two scans of one patient: how much blood there was, is, and whether that counts as growth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hemorrhage.report.pages import render

__all__ = ["growth_lines", "growth_page"]


def _signed(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:+.1f} {unit}"


def _yes(value: bool | None) -> str:
    return "not known: the network names no subtypes" if value is None else "yes" if value else "no"


def growth_lines(growth: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What :func:`hemorrhage.report.growth.compare_findings` found, as names and values for people."""
    of = " (outside the ventricles)" if growth["by_subtype"] else " (of all blood)"
    return [
        (f"earlier, {growth['earlier']['name']}", f"{growth['earlier']['volume_ml']:.1f} mL"),
        (f"later, {growth['later']['name']}", f"{growth['later']['volume_ml']:.1f} mL"),
        ("change", f"{_signed(growth['change_ml'], 'mL')} ({_signed(growth['change_percent'], '%')})"),
        (f"grown by 33 % or 6 mL{of}", _yes(growth["grown_33_percent_or_6_ml"])),
        ("new blood in the ventricles", _yes(growth["ivh_new"])),
        ("new or grown by 1 mL in the ventricles", _yes(growth["ivh_new_or_grown_1_ml"])),
    ]


def growth_page(
    growth: Mapping[str, Any],
    earlier: Mapping[str, Any],
    later: Mapping[str, Any],
    pictures: tuple[bytes | None, bytes | None],
) -> str:
    """HTML of a comparison of two scans.

    Args:
        growth: of :func:`hemorrhage.report.growth.compare_findings`.
        earlier: the first scan's findings.
        later: the second's.
        pictures: the ``overlay.png`` of each, or None.
    """
    flags = []
    if growth["grown_33_percent_or_6_ml"]:
        flags.append("The bleed grew by 33 % or 6 mL.")
    if growth["ivh_new_or_grown_1_ml"]:
        flags.append("Blood in the ventricles is new or grew by 1 mL.")
    rows = [
        (subtype, volumes["earlier_ml"], volumes["later_ml"], volumes["later_ml"] - volumes["earlier_ml"])
        for subtype, volumes in (growth["by_subtype"] or {}).items()
    ]
    return render(
        "growth",
        {
            "title": f"Growth from {growth['earlier']['name']} to {growth['later']['name']}",
            "flags": flags,
            "numbers": growth_lines(growth),
            "doubts": growth["doubts"],
            "by_subtype": rows,
            "scans": [
                {"name": found["name"], "when": when, "png": png, "warnings": found["warnings"],
                 "file": found["input"].get("file", "-"), "sha256": found["input"]["sha256"]}
                for when, found, png in zip(("earlier", "later"), (earlier, later), pictures, strict=True)
            ],
            "weights": later["weights"]["sha256"],
            "threshold": later["threshold"],
        },
    )  # fmt: skip
