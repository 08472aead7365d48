"""Growth of a bleed between two scans of one patient. Research use only; not for diagnosis."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hemorrhage.errors import ScanError, first_sentence

__all__ = ["GROWTH_ML", "GROWTH_SHARE", "IVH_GROWTH_ML", "compare_findings", "growth_of", "read_result"]

# Hematoma expansion as trials define it: 33 % or 6 mL (Dowlatshahi et al., Neurology 2011); revised definitions add any
# new IVH, or growth of IVH by 1 mL (Yogendrakumar et al., Stroke 2020).
GROWTH_SHARE = 0.33
GROWTH_ML = 6.0
IVH_GROWTH_ML = 1.0
# Brains of one person measure alike in two scans; those of two people need not differ by as much.
_BRAIN_SHARE = 0.1
_NOTICE = "research use only, not for diagnosis; registration and threshold of both scans add to the difference"
_FILE = "findings.json"  # hemorrhage.runs.FINDINGS, whose module would load torch for a subtraction
# Settings that follow from what a scan's files are like; all others must be equal for a comparison.
_OF_ONE_SCAN = ("series", "own_brain_masks", "hu_offset", "assume_ras")


def read_result(folder: Path) -> dict[str, Any]:
    """The findings of one scan.

    Args:
        folder: result folder of an inference, or its ``findings.json``.

    Raises:
        ScanError: E_NOT_FOUND if there is none; E_FILE_UNREADABLE if it is damaged or of another kind.
    """
    path = folder if folder.name == _FILE else folder / _FILE
    remedy = "Name the folder of one scan's result, such as results/049."
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        findings, _ = found["findings"], found["warnings"]
        for part in (findings["volume_ml"], found["threshold"]):
            float(part)
        for part in (found["name"], found["weights"]["sha256"], found["input"]["sha256"]):
            if not isinstance(part, str):
                raise ValueError(f"it holds {part!r} where a text should be")
    except (FileNotFoundError, NotADirectoryError):
        cause = f"it holds no {_FILE}" if path.parent.is_dir() else "there is no such folder"
        if results := sorted(p.parent.name for p in path.parent.glob(f"*/{_FILE}")):
            cause = f"it holds the results of {len(results)} scans, not one"
            remedy = f"Name one of them, such as {path.parent / results[0]}."
        raise ScanError("E_NOT_FOUND", folder, cause, remedy) from None
    except KeyError as error:
        raise ScanError("E_FILE_UNREADABLE", path, f"it lacks {error}", "Read the scan again.") from None
    except (OSError, TypeError, ValueError) as error:
        raise ScanError("E_FILE_UNREADABLE", path, first_sentence(error), "Read the scan again.") from None
    return found


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
        "change_ml", "change_percent" (None from 0 mL), "grown_33_percent_or_6_ml", "ivh_new" (none before, any volume
        now) and "ivh_new_or_grown_1_ml" (1 mL more than before, which may have been none); the last two None where
        subtypes were not named. A bleed that is new altogether is growth from 6 mL on.
    """
    change = later_ml - earlier_ml
    before, after = earlier_ml, later_ml
    ivh_new = ivh_grown = None
    if earlier_ivh_ml is not None and later_ivh_ml is not None:
        before, after = earlier_ml - earlier_ivh_ml, later_ml - later_ivh_ml
        ivh_new = bool(earlier_ivh_ml == 0 < later_ivh_ml)
        ivh_grown = bool(later_ivh_ml - earlier_ivh_ml + 1e-9 >= IVH_GROWTH_ML)
    growth = after - before + 1e-9  # a limit that is met exactly counts, whatever the rounding
    grown = growth >= GROWTH_ML or (before > 0 and growth >= GROWTH_SHARE * before)
    return {
        "change_ml": change,
        "change_percent": 100 * change / earlier_ml if earlier_ml > 0 else None,
        "grown_33_percent_or_6_ml": bool(grown),
        "ivh_new": ivh_new,
        "ivh_new_or_grown_1_ml": ivh_grown,
    }


def _doubts(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> list[str]:
    """What speaks against taking the difference for growth."""
    first, second = earlier["findings"], later["findings"]
    doubts = []
    change = second["volume_ml"] - first["volume_ml"]
    if change <= -GROWTH_ML or (change < 0 and change <= -GROWTH_SHARE * first["volume_ml"]):
        doubts.append(
            f"The volume fell by {-change:.1f} mL: so it may after surgery or weeks, but also if the scans were named "
            "in the wrong order. Results hold no dates: check which scan came first."
        )
    brains = [f.get("brain_ml") for f in (first, second)]
    if None not in brains and max(brains) > (1 + _BRAIN_SHARE) * min(brains):
        doubts.append(
            f"The brains that were searched measure {brains[0]:.0f} and {brains[1]:.0f} mL: check that both scans are "
            "of one patient and cover the whole head."
        )
    sides = [f.get("side") for f in (first, second)]
    if set(sides) == {"left", "right"}:
        doubts.append(f"The blood was {sides[0]} and is {sides[1]}: check that both scans are of one patient.")
    thick = [max((r.get("grid") or {}).get("voxel_mm") or [0.0]) for r in (earlier, later)]
    if max(thick) > 1.5 * min(thick) > 0:
        doubts.append(f"Slices of {thick[0]:g} and {thick[1]:g} mm: thick ones blur edges, which changes volumes.")
    versions = [(r.get("versions") or {}).get("hemorrhage") for r in (earlier, later)]
    if versions[0] != versions[1]:
        doubts.append(f"The scans were read by versions {versions[0]} and {versions[1]} of this software.")
    return doubts


def compare_findings(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Growth between two results.

    Args:
        earlier: the first scan's ``findings.json``.
        later: the second's.

    Returns:
        the volumes and :func:`growth_of` them, by subtype too where both name subtypes, "doubts" about the
        comparison in sentences, and the codes of the warnings of both.

    Raises:
        ScanError: E_OTHER_RUN if the two were read with other weights, or another threshold or setting; E_OTHER_INPUT
            if both are one scan.
    """
    ways = [found.get("settings", {}) for found in (earlier, later)]
    others = [k for k, v in ways[0].items() if k not in _OF_ONE_SCAN and ways[1].get(k, v) != v]
    for differing, how in (
        (earlier["weights"]["sha256"] != later["weights"]["sha256"], f"with other weights than {earlier['name']}"),
        (
            earlier["threshold"] != later["threshold"],
            f"at a threshold of {later['threshold']:g}, {earlier['name']} at {earlier['threshold']:g}",
        ),
        (bool(others), f"with another {', '.join(others)} than {earlier['name']}"),
    ):
        if differing:
            raise ScanError(
                "E_OTHER_RUN",
                later["name"],
                f"it was read {how}",
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
        "doubts": _doubts(earlier, later),
        "warnings": sorted({w["code"] for f in (earlier, later) for w in f["warnings"]}),
    }
