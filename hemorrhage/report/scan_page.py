"""The page of one scan: its numbers, its picture, and what was corrected or is in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hemorrhage.files import write_atomically
from hemorrhage.marks import seed_of
from hemorrhage.report.pages import number, render
from hemorrhage.runs import FINDINGS, read_findings

__all__ = ["PAGE", "scan_page", "write_scan_pages"]

PAGE = "report.html"
_FLAGS = {
    "at_least_30_ml": "The volume of all blood reaches 30 mL.",
    "at_least_60_ml": "The volume of all blood reaches 60 mL.",
}


def _ml(value: Any) -> str:
    return "-" if value is None else f"{number(float(value), 1)} mL"


def _numbers(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [("volume of blood", _ml(found["volume_ml"]))]
    if found.get("volume_ml_native") is not None:
        rows.append(("on the slices of the scanner", _ml(found["volume_ml_native"])))
    at = found.get("volume_ml_at", {})
    if at:
        volumes = " / ".join(number(float(value), 1) for value in at.values())
        rows.append((f"volume had the threshold been {' / '.join(at)}", f"{volumes} mL"))
    rows += [
        ("patient's left / right", f"{_ml(found.get('volume_left_ml'))} / {_ml(found.get('volume_right_ml'))}"),
        ("side", str(found.get("side", "-"))),
        ("separate bleeds", str(found.get("number_of_components", "-"))),
        ("scan score, 0 (no trace) to 1 (sure)", number(found.get("scan_score"), 2)),
        *_calibrated(found),
        ("brain that was searched", f"{number(found.get('brain_ml'), 0)} mL"),
    ]
    derived = found.get("derived") or {}
    above = derived.get("volume_ml_by_compartment")
    if above:
        rows.append(("above / below the tentorium", f"{_ml(above['supratentorial'])} / {_ml(above['infratentorial'])}"))
    abc = derived.get("abc_half")
    if abc:
        sizes = " x ".join(f"{abc[k]:.0f}" for k in ("a_mm", "b_mm", "c_mm"))
        rows.append((f"ABC/2 of the {derived['abc_half_of']}", f"{_ml(abc['ml'])} (A x B x C: {sizes} mm)"))
        rows.append(("the same bleed by its voxels", _ml(derived["planimetric_ml_of_it"])))
    for subtype, thick in (derived.get("thickness_mm") or {}).items():
        if thick:
            rows.append((f"largest thickness, {subtype}", f"{thick:.1f} mm"))
    residual = (derived.get("flags") or {}).get("at_most_15_ml")
    if residual is not None:
        rows.append(("at most 15 mL, the aim after surgery in MISTIE III", "yes" if residual else "no"))
    return rows


def _calibrated(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    chance = found.get("probability_of_hemorrhage")
    return [] if chance is None else [("probability of any blood, calibrated", number(float(chance), 2))]


def _tables(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    tables = []
    by_subtype = found.get("volume_ml_by_subtype")
    if by_subtype:
        sides = (found.get("derived") or {}).get("volume_ml_by_side") or {}
        sure = found.get("certainty_by_subtype") or {}
        rows = [
            [s, _ml(ml), _ml(sides.get(s, {}).get("left")), _ml(sides.get(s, {}).get("right")), number(sure.get(s), 2)]
            for s, ml in by_subtype.items()
        ]
        caption = (
            "Sides are those of the header, split at the midline of the template. Certainty is the mean probability of "
            "the name where it was given, from 0.2, a guess, to 1."
        )
        head = ["subtype", "volume", "left", "right", "certainty of the name"]
        tables.append({"title": "By subtype", "caption": caption, "head": head, "rows": rows})
    bleeds = found.get("components") or []
    if bleeds:
        rows = [
            [str(n), _ml(b["volume_ml"]), number(b["mean_hu"], 0), number(b["mean_probability"], 2)]
            for n, b in enumerate(bleeds[:12], 1)
        ]
        tables.append(
            {
                "title": "Separate bleeds",
                "caption": f"The largest {len(rows)} of {len(bleeds)}. A low mean probability is a doubtful one.",
                "head": ["bleed", "volume", "mean HU", "mean probability"],
                "rows": rows,
            }
        )
    return tables


def scan_page(findings: Mapping[str, Any], picture: bytes | None) -> str:
    """HTML of a scan's result.

    Args:
        findings: as ``findings.json`` holds them.
        picture: the PNG of ``overlay.png``, or None.
    """
    found = findings["findings"]
    flags = (found.get("derived") or {}).get("flags") or {}
    return render(
        "scan",
        {
            "title": f"Hemorrhage on head CT: {findings['name']}",
            "flags": [text for key, text in _FLAGS.items() if flags.get(key)],
            "numbers": _numbers(found),
            "picture": picture,
            "tables": _tables(found),
            "warnings": findings.get("warnings", []),
            "file": findings["input"]["file"],
            "sha256": findings["input"]["sha256"],
            "weights": findings["weights"]["sha256"],
            "threshold": findings["threshold"],
            "seed": seed_of(findings),
            "version": findings["versions"]["hemorrhage"],
        },
    )


def write_scan_pages(output_dir: str) -> None:
    """Write ``report.html`` into each result folder that has none newer than its findings.

    Args:
        output_dir: folder of the results.
    """
    for path in sorted(Path(output_dir).expanduser().absolute().glob(f"*/{FINDINGS}")):
        page, picture = path.parent / PAGE, path.parent / "overlay.png"
        findings = read_findings(path.parent)
        if findings is None or (page.exists() and page.stat().st_mtime_ns >= path.stat().st_mtime_ns):
            continue
        html = scan_page(findings, picture.read_bytes() if picture.exists() else None).encode()
        write_atomically(page, partial(Path.write_bytes, data=html))
