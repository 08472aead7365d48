"""Which of the images of a folder are the scan: one patient, one series, one reconstruction, or a refusal."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from hemorrhage.dicom.headers import Slice
from hemorrhage.dicom.scan_folder import FileHeader
from hemorrhage.errors import ScanError, ScanWarning, printable

__all__ = ["choose_series", "drop_copies", "refuse_mixtures", "series_uids"]

_CT_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT image",
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced CT image",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy converted enhanced CT image",
}
_CHOOSE = "Pass one of them as --series_uid (import_dicom.py: --series)."
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_MODALITY = re.compile(r"[A-Z]{2,12}")


def choose_series(
    headers: Sequence[FileHeader], series_uid: str | None, folder: Path
) -> tuple[list[FileHeader], list[ScanWarning]]:
    """The files of the one CT series that is to be read.

    Args:
        headers: all DICOM files of the folder.
        series_uid: the series to take; needed where several qualify.
        folder: name for the errors.

    Returns:
        its files, and ``W_SKIPPED`` with the kinds of those left out (reports, localizers, secondary captures).

    Raises:
        ScanError: ``E_NO_CT``, ``E_UID``, ``E_TWO_PATIENTS``, ``E_CHOOSE`` or ``E_NO_SERIES``.
    """
    kinds = [_kind(h) for h in headers]
    images = [h for h, kind in zip(headers, kinds, strict=True) if kind == "CT"]
    skipped = Counter(kind for kind in kinds if kind != "CT")
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(skipped.items()))
    if not images:
        raise ScanError("E_NO_CT", folder, f"found {listed}, but no CT slice", "Name the folder of the CT series.")
    _refuse_two_patients(images, folder)
    series: dict[str, list[FileHeader]] = {}
    for header in images:
        series.setdefault(_series_uid(header), []).append(header)
    if series_uid is not None and series_uid not in series:
        raise ScanError(
            "E_NO_SERIES",
            folder,
            f"it has no CT series {series_uid}, but {_listing(series)}",
            _CHOOSE,
        )
    if series_uid is None and len(series) > 1:
        raise ScanError(
            "E_CHOOSE",
            folder,
            f"{len(series)} CT series: {_listing(series)}",
            _CHOOSE,
        )
    chosen = series[series_uid or next(iter(series))]
    if not skipped:
        return chosen, []
    text = f"Left out beside the CT slices: {listed}."
    return chosen, [ScanWarning("W_SKIPPED", text, numbers={"files": sum(skipped.values())})]


def series_uids(headers: Sequence[FileHeader]) -> list[str]:
    """SeriesInstanceUID of each CT series, in the order of their text.

    Raises:
        ScanError: ``E_UID``, ``E_TAG_MISSING`` or ``E_FILE_UNREADABLE`` for a file that names none.
    """
    return sorted({_series_uid(header) for header in headers if _kind(header) == "CT"})


def _kind(header: FileHeader) -> str:
    """``CT`` for a slice; else what else the file is, in words that cannot hold header text."""
    modality = str(header.dataset.get("Modality", ""))
    modality = modality if _MODALITY.fullmatch(modality) else "object without modality"
    if header.sop_class not in _CT_CLASSES:
        return "CT secondary capture or other object" if modality == "CT" else modality
    image_type = header.dataset.get("ImageType") or []
    if "LOCALIZER" in (image_type if not isinstance(image_type, str) else [image_type]):
        return "localizer"
    # A header that breaks off before its modality is still a slice that must not be lost unseen.
    return "CT" if modality == "CT" or "Modality" not in header.dataset else modality


def _series_uid(header: FileHeader) -> str:
    uid = str(header.dataset.get("SeriesInstanceUID") or "")
    if not uid:
        if "PixelData" not in header.dataset:
            size = header.path.stat().st_size
            raise ScanError(
                "E_FILE_UNREADABLE", header.name, f"its header breaks off after {size} bytes", "Copy it again."
            )
        raise ScanError("E_TAG_MISSING", header.name, "SeriesInstanceUID is missing", "Export the series again.")
    if len(uid) > 64 or not _UID.fullmatch(uid):
        raise ScanError("E_UID", header.name, "SeriesInstanceUID is not a UID (digits and dots)", "Export it again.")
    return uid


def _refuse_two_patients(images: Sequence[FileHeader], folder: Path) -> None:
    """One folder, one patient: identifiers are compared and never shown."""
    for keyword in ("PatientID", "PatientName"):
        stated = {str(h.dataset[keyword].value).strip().upper() for h in images if keyword in h.dataset} - {""}
        if len(stated) > 1:
            raise ScanError(
                "E_TWO_PATIENTS", folder, f"its images name {len(stated)} patients", "Give each patient a folder."
            )


def _listing(series: dict[str, list[FileHeader]]) -> str:
    return "; ".join(f"{uid} ({_described(files)})" for uid, files in sorted(series.items())[:8])


def _described(files: Sequence[FileHeader]) -> str:
    first = files[0].dataset
    kernel, thickness = (
        printable(first.get("ConvolutionKernel", "?"), 30),
        printable(first.get("SliceThickness", "?"), 12),
    )
    return f"{len(files)} images, kernel {kernel}, thickness {thickness} mm"


def drop_copies(slices: Sequence[Slice]) -> tuple[list[Slice], list[ScanWarning]]:
    """Leave out files that repeat another byte by byte.

    Raises:
        ScanError: ``E_DUPLICATE`` if two different files claim to be the same image.
    """
    seen: dict[tuple[str, int], Slice] = {}
    kept, copies = [], []
    for one in slices:
        key = (str(one.header.dataset.get("SOPInstanceUID", one.header.name)), one.frame)
        first = seen.setdefault(key, one)
        if first is one:
            kept.append(one)
        elif _digest(first.header.path) == _digest(one.header.path):
            copies.append(one.header.name)
        else:
            raise ScanError(
                "E_DUPLICATE",
                one.header.name,
                f"it claims to be the same image as {first.header.name} but differs",
                "Remove the wrong one.",
            )
    if not copies:
        return kept, []
    text = f"{len(copies)} files are copies of others and were left out."
    return kept, [ScanWarning("W_DUPLICATE", text, tuple(copies[:5]), {"files": len(copies)})]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refuse_mixtures(slices: Sequence[Slice], distances: Sequence[float], folder: Path) -> None:
    """Refuse slices that share a position, naming what tells them apart.

    Args:
        slices: in order along the normal.
        distances: mm along the normal, growing.
        folder: name for the error.

    Raises:
        ScanError: ``E_CHOOSE`` if they fall into whole scans by kernel, contrast or acquisition, else ``E_DUPLICATE``.
    """
    pairs = [k for k in range(len(slices) - 1) if distances[k + 1] - distances[k] < 0.01]
    if not pairs:
        return
    traits: dict[str, Callable[[Slice], str]] = {
        "kernel": lambda s: s.kernel,
        "contrast": lambda s: "with" if s.contrast else "without",
        "thickness": lambda s: f"{s.thickness} mm",
        "acquisition": lambda s: s.acquisition[0],
        "acquisition time": lambda s: s.acquisition[1],
        "image type": lambda s: s.acquisition[2],
    }
    for trait, value in traits.items():
        groups = Counter(value(s) for s in slices)
        if len(groups) > 1 and all(value(slices[k]) != value(slices[k + 1]) for k in pairs):
            listed = ", ".join(f"{name or 'none'} ({count} images)" for name, count in sorted(groups.items())[:8])
            raise ScanError(
                "E_CHOOSE",
                folder,
                f"one series holds several scans of the same place, by {trait}: {listed}",
                "Give each of them a folder.",
            )
    one, two = slices[pairs[0]], slices[pairs[0] + 1]
    raise ScanError(
        "E_DUPLICATE",
        two.header.name,
        f"it lies where {one.header.name} lies ({len(pairs)} such pairs)",
        "Remove the wrong one.",
    )
