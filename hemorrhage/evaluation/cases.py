"""The scans of an evaluation: their names, what is still to do, and what is there already."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hemorrhage.errors import ScanError, first_sentence
from hemorrhage.files import write_atomically

__all__ = ["RUN", "SCORES", "begin_run", "named_cases", "pending_cases", "read_run", "read_scores"]

SCORES = "scores.json"
RUN = "run.json"
_ENDINGS = (".nii.gz", ".nii", ".hdr", ".img")


def _stem(path: Path) -> str:
    name = path.name
    return next((name[: -len(e)] for e in _ENDINGS if name.lower().endswith(e)), name)


def named_cases(cases: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Cases with a "name" each: the file's, or where two files share it, the folders below their common one too."""
    found = [dict(case) for case in cases]
    paths = [Path(case["image"]) for case in found]
    stems = [_stem(path) for path in paths]
    if len(set(stems)) < len(stems):
        base = Path(os.path.commonpath([path.parent for path in paths]))
        stems = [
            "_".join([*path.parent.relative_to(base).parts, stem]) for path, stem in zip(paths, stems, strict=True)
        ]
    for case, stem in zip(found, stems, strict=True):
        case["name"] = stem
    return found


def _place(output_dir: Path, name: str) -> Path:
    return output_dir / "scans" / name / SCORES


def read_scores(output_dir: Path, name: str) -> dict[str, Any] | None:
    """What was written for a scan: "row", "slices" and "version" of its files; None where there is nothing yet.

    Raises:
        ScanError: E_FILE_UNREADABLE if the file is damaged.
    """
    path = _place(output_dir, name)
    try:
        return _read(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ScanError(
            "E_FILE_UNREADABLE", path, first_sentence(error), "Delete the file: the same command scores the scan again."
        ) from None


def _read(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError("it holds no record")
    return found


def read_run(output_dir: Path) -> dict[str, Any]:
    """What was scored in a folder: "name", "weights_sha256" and the settings.

    Raises:
        ScanError: E_NOT_FOUND if the folder holds no evaluation; E_FILE_UNREADABLE if its record is damaged.
    """
    try:
        found = _read(output_dir / RUN)
        if "name" not in found:
            raise ValueError("it names no system")
    except (FileNotFoundError, NotADirectoryError):
        cause = f"it holds no {RUN}" if output_dir.is_dir() else "there is no such folder"
        remedy = "Name the output folder of an evaluation, as --output_dir of evaluate.yaml named it."
        raise ScanError("E_NOT_FOUND", output_dir, cause, remedy) from None
    except (OSError, ValueError) as error:
        raise ScanError(
            "E_FILE_UNREADABLE",
            output_dir / RUN,
            first_sentence(error),
            "Delete the folder and evaluate again: without this file nobody knows what was scored.",
        ) from None
    return found


def begin_run(output_dir: Path, settings: Mapping[str, Any]) -> None:
    """Claim a folder for the scores of one system, or go on in it.

    Args:
        output_dir: folder of the evaluation.
        settings: "name", "weights_sha256", "threshold" and whatever else decides the scores.

    Raises:
        ScanError: E_OTHER_RUN if the folder holds scores made with other settings.
    """
    path = output_dir / RUN
    if path.exists():
        before = read_run(output_dir)
        differing = [k for k in settings if k != "name" and before.get(k) != settings[k]]
        if differing:
            raise ScanError(
                "E_OTHER_RUN",
                output_dir,
                f"it holds scores made with another {', '.join(differing)}",
                "Name another --output_dir, or delete the folder to score anew.",
            )
    write_atomically(path, lambda p: p.write_text(json.dumps(dict(settings), indent=2) + "\n", encoding="utf-8"))


def pending_cases(cases: Sequence[Mapping[str, Any]], output_dir: str) -> list[dict[str, Any]]:
    """The cases without scores, named; those with scores of files that were changed since count as without.

    Args:
        cases: as :func:`hemorrhage.datalist.read_cases` gives them.
        output_dir: folder of the evaluation.
    """
    out = Path(output_dir).expanduser().absolute()
    pending = []
    for case in named_cases(cases):
        there = read_scores(out, case["name"])
        if there is None or there.get("version") != case.get("version"):
            pending.append(case)
    return pending
