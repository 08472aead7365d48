"""Which scans a run is to read, and the name that each result gets."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hemorrhage.errors import ScanError

__all__ = ["NIFTI_ENDINGS", "Scan", "find_scans"]

NIFTI_ENDINGS = (".nii.gz", ".nii", ".hdr")
_DICOM_ENDINGS = (".dcm", ".ima")


@dataclass(frozen=True)
class Scan:
    """One scan to read.

    Attributes:
        path: a NIfTI file, or a folder that holds the DICOM files of a series.
        name: name of its result, unique in the run and free of separators.
    """

    path: Path
    name: str


def find_scans(source: Path) -> list[Scan]:
    """The scans that ``source`` means, in the order of their names.

    Args:
        source: a NIfTI file; a folder of NIfTI files; a folder of DICOM files; or a folder in which such DICOM folders
            lie at any depth, links to folders included. In a folder that has NIfTI files these are taken and folders
            below it are not searched.

    Returns:
        at least one scan. A result is named for its file or folder without the ending (``a.nii.gz`` -> ``a``; with
        its parents where it lies deeper: ``p1/ct`` -> ``p1_ct``). Where two would share a name, both keep their
        ending.

    Raises:
        ScanError: E_NOT_FOUND if ``source`` does not exist, E_NO_SCANS if nothing in it looks like a scan.
    """
    if not source.exists():
        raise ScanError("E_NOT_FOUND", source, "there is no such file or folder", "Check --dataset_dir.")
    if not source.is_dir():
        return [Scan(source, _name(source.name))]
    volumes = sorted(p for p in source.iterdir() if p.name.lower().endswith(NIFTI_ENDINGS) and not _hidden(p))
    paths = volumes or sorted(_dicom_folders(source))
    if not paths:
        raise ScanError(
            "E_NO_SCANS",
            source,
            "it holds no NIfTI file (.nii, .nii.gz, .hdr) and no folder with DICOM files",
            "Name one scan, a folder of NIfTI files, a DICOM folder, or a folder of DICOM folders.",
        )
    full = [source.name if p == source else "_".join(p.relative_to(source).parts) for p in paths]
    names = [_name(f) for f in full]
    count = Counter(n.casefold() for n in names)  # two names that a file system may hold for one are one
    names = [f if count[n.casefold()] > 1 else n for f, n in zip(full, names, strict=True)]
    return [Scan(p, _safe(n)) for p, n in zip(paths, names, strict=True)]


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")  # also the "._x.nii" that macOS leaves on shared disks


def _name(file_name: str) -> str:
    for ending in NIFTI_ENDINGS:
        if file_name.lower().endswith(ending) and len(file_name) > len(ending):
            return _safe(file_name[: -len(ending)])
    return _safe(file_name)


def _safe(name: str) -> str:
    """``name`` without what breaks a path, a log line or a table; other letters of any script stay."""
    kept = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name).strip(". ")
    return kept or "scan"


def _dicom_folders(source: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(source, followlinks=True):
        below[:] = sorted(b for b in below if not b.startswith(".") and not _loops(Path(folder, b), source))
        if any(_looks_like_dicom(Path(folder, f)) for f in sorted(files)):
            yield Path(folder)


def _loops(folder: Path, source: Path) -> bool:
    """Whether a link leads back to a folder that the way to it has come through."""
    if not folder.is_symlink():
        return False
    way = [p for p in folder.parents if p == source or source in p.parents]
    return folder.resolve() in {p.resolve() for p in way}


def _looks_like_dicom(path: Path) -> bool:
    if not path.is_file() or _hidden(path):
        return False
    if path.suffix.lower() in _DICOM_ENDINGS:
        return True
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"
