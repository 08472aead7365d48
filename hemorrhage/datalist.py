"""Folders and lists of training cases, divided by patient."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hemorrhage.errors import ScanError
from hemorrhage.scans import NIFTI_ENDINGS

__all__ = ["read_cases"]

FOLDS = 5


def read_cases(
    dataset_dir: str | None, datalist: str | None, fold: int | None, held_out: bool, by_subtype: bool = False
) -> list[dict[str, Any]]:
    """The cases to train on, or those held out.

    Args:
        dataset_dir: a folder in the form of the CT-ICH data set: ``ct_scans/NAME.nii[.gz]`` beside
            ``masks/NAME.nii[.gz]``, one scan a patient. With ``datalist``, the folder that its paths start from.
        datalist: a JSON file ``{"training": [{"image": ..., "label": ..., "fold": 0, "patient": ...}, ...]}``;
            "fold" and "patient" may be left out of all.
        fold: the fold that is held out, 0 to 4; None holds all cases out.
        held_out: return its cases instead of the others.
        by_subtype: "label" is the map of subtypes beside the mask, where there are such maps; without any the masks
            are taken, which may hold subtypes themselves.

    Returns:
        dictionaries with "image", "label" (absolute paths) and "version" (sizes and times of the files, so that a
        cache of them cannot outlive a change), and where a list names them "patient" and "subtypes" (a label map on
        the grid of the mask, for evaluation); empty where neither a folder nor a list is named.

    Raises:
        ScanError: E_NOT_FOUND, E_DATALIST or E_LEAK (one patient in two folds), naming file and cause.
    """
    if datalist:
        cases = _from_json(Path(datalist).expanduser(), dataset_dir)
    elif dataset_dir:
        cases = _from_folder(Path(dataset_dir).expanduser())
    else:
        return []
    _refuse_leaks(cases, datalist or dataset_dir)
    chosen = [c for c in cases if (fold is None or c["fold"] == fold) == held_out]
    if not chosen:
        raise ScanError(
            "E_DATALIST",
            datalist or dataset_dir,
            f"fold {fold} leaves no case to {'validate' if held_out else 'train'} with ({len(cases)} cases in all)",
            f"Give at least {FOLDS} cases, or folds of your own in a datalist.",
        )
    if by_subtype:
        chosen = _by_subtype(chosen, datalist or dataset_dir)
    keys = ("image", "label", "subtypes", "patient")
    return [{**{k: c[k] for k in keys if c.get(k)}, "version": _version(c)} for c in chosen]


def _by_subtype(cases: list[dict[str, Any]], source: Any) -> list[dict[str, Any]]:
    """Cases whose label is their map of subtypes: of all or of none, because a mask's 1 would be taken for epidural."""
    bare = [Path(c["label"]).name for c in cases if not c.get("subtypes")]
    if len(bare) == len(cases):
        return cases
    if bare:
        raise ScanError(
            "E_DATALIST",
            source,
            f"no map of subtypes beside the mask {', '.join(bare[:5])} ({len(bare)} of {len(cases)} cases)",
            "Add it (all zero where there is no blood), or train a config without subtypes.",
        )
    return [{**c, "label": c["subtypes"]} for c in cases]


def _from_folder(folder: Path) -> list[dict[str, Any]]:
    scans, masks = folder / "ct_scans", folder / "masks"
    for part in (scans, masks):
        if not part.is_dir():
            raise ScanError(
                "E_NOT_FOUND", part, "there is no such folder", "Use ct_scans/ and masks/, or give --datalist FILE."
            )
    by_name = {_stem(p): p for p in sorted(masks.iterdir()) if _is_nifti(p)}
    paths = [p for p in sorted(scans.iterdir()) if _is_nifti(p)]
    missing = [p.name for p in paths if _stem(p) not in by_name]
    if missing:
        raise ScanError(
            "E_DATALIST",
            masks,
            f"no mask for {', '.join(missing[:5])} ({len(missing)} in all)",
            "Add it (all zero where there is no blood) or move the scan away.",
        )
    if not paths:
        raise ScanError("E_DATALIST", scans, "it holds no .nii or .nii.gz file", "Check --dataset_dir.")
    kinds = folder / "subtypes"
    maps = {_stem(p): str(p.absolute()) for p in sorted(kinds.iterdir()) if _is_nifti(p)} if kinds.is_dir() else {}
    return [
        {
            "image": str(p.absolute()),
            "label": str(by_name[_stem(p)].absolute()),
            "subtypes": maps.get(_stem(p)),
            "fold": i % FOLDS,
            "patient": None,
        }
        for i, p in enumerate(paths)
    ]


def _from_json(path: Path, dataset_dir: str | None) -> list[dict[str, Any]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))["training"]
    except FileNotFoundError:
        raise ScanError("E_NOT_FOUND", path, "there is no such file", "Check --datalist.") from None
    except json.JSONDecodeError as error:
        raise ScanError(
            "E_DATALIST", path, f"line {error.lineno} is not JSON ({error.msg})", "Correct the line."
        ) from error
    except (KeyError, TypeError) as error:
        raise ScanError("E_DATALIST", path, 'it has no list "training"', "See docs/data.md for the form.") from error
    base = Path(dataset_dir).expanduser() if dataset_dir else path.parent
    numbered = sum("fold" in e for e in entries)
    if 0 < numbered < len(entries):
        raise ScanError(
            "E_DATALIST", path, f'"fold" is given for {numbered} of {len(entries)} cases', "Give all or none."
        )
    patients = list(dict.fromkeys(e.get("patient", e.get("image")) for e in entries))
    cases = []
    for index, entry in enumerate(entries):
        case: dict[str, Any] = {"patient": entry.get("patient")}
        for key in ("image", "label", *(["subtypes"] if "subtypes" in entry else [])):
            if key not in entry:
                raise ScanError("E_DATALIST", path, f'case {index} has no "{key}"', "Add it.")
            case[key] = str((base / entry[key]).absolute())
            if not Path(case[key]).exists():
                raise ScanError("E_NOT_FOUND", entry[key], f"case {index} of {path.name} names it", "Correct the path.")
        case["fold"] = int(entry.get("fold", patients.index(entry.get("patient", entry["image"])) % FOLDS))
        cases.append(case)
    return cases


def _refuse_leaks(cases: list[dict[str, Any]], source: str | None) -> None:
    folds: dict[Any, int] = {}
    for case in cases:
        who = case["patient"]
        if who is not None and folds.setdefault(who, case["fold"]) != case["fold"]:
            raise ScanError(
                "E_LEAK",
                source,
                f"patient {who} is in folds {folds[who]} and {case['fold']}",
                "Keep all scans of a patient in one fold, or results on held-out cases mean nothing.",
            )


def _version(case: dict[str, Any]) -> str:
    stats = [Path(case[k]).stat() for k in ("image", "label")]
    return " ".join(f"{s.st_size}-{s.st_mtime_ns}" for s in stats)


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI_ENDINGS) and not path.name.startswith(".")


def _stem(path: Path) -> str:
    return path.name.split(".")[0]
