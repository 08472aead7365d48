"""What one image says of itself, read from its header and checked number by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from hemorrhage.dicom.scan_folder import FileHeader
from hemorrhage.errors import ScanError, printable

__all__ = ["Slice", "slices_of"]

_MAX_SIDE = 4096
_UNDEFINED_LENGTH = 0xFFFFFFFF
_AGAIN = "Export the series again."


@dataclass(frozen=True)
class Slice:
    """One axial image.

    Attributes:
        header: file that it lies in.
        frame: index in that file.
        position: (3,) center of the first pixel, LPS mm.
        along_row: (3,) unit vector of growing column number, LPS.
        along_column: (3,) unit vector of growing row number, LPS.
        spacing: (2,) mm between rows and between columns.
        rows: number of rows.
        columns: number of columns.
        slope: HU per stored unit.
        intercept: HU of stored 0.
        number: InstanceNumber, or the place in the stack; None if it is not told.
        thickness: mm, or None.
        tilt_tag: degrees that the scanner states, or None.
        kernel: reconstruction kernel, safe to print.
        contrast: whether a contrast agent is named.
        acquisition: number and time of acquisition and image type, to tell mixed series apart.
    """

    header: FileHeader
    frame: int
    position: np.ndarray
    along_row: np.ndarray
    along_column: np.ndarray
    spacing: tuple[float, float]
    rows: int
    columns: int
    slope: float
    intercept: float
    number: int | None
    thickness: float | None
    tilt_tag: float | None
    kernel: str
    contrast: bool
    acquisition: tuple[str, str, str]


def slices_of(header: FileHeader) -> list[Slice]:
    """The slices of one CT file: one, or one for each frame of an enhanced file.

    Raises:
        ScanError: ``E_TAG_MISSING``, ``E_TAG_BAD``, ``E_RESCALE``, ``E_PHOTOMETRIC``, ``E_SIZE``, ``E_TRUNCATED``,
            ``E_FILE_UNREADABLE`` with the file's name and the numbers.
    """
    try:
        return _checked_slices(header)
    except (ScanError, MemoryError):
        raise
    except RecursionError as fault:
        raise ScanError(
            "E_BOMB", header.name, "its header is nested beyond reason", "Do not open this file."
        ) from fault
    except Exception as fault:  # entries are decoded when they are looked at, and damaged ones raise what they like
        raise ScanError(
            "E_FILE_UNREADABLE", header.name, f"its header is damaged ({type(fault).__name__})", _AGAIN
        ) from fault


def _checked_slices(header: FileHeader) -> list[Slice]:
    dataset, name = header.dataset, header.name
    if "PixelData" not in dataset:
        size = header.path.stat().st_size
        raise ScanError("E_FILE_UNREADABLE", name, f"it breaks off after {size} bytes, before its pixels", _AGAIN)
    rows, columns = (_whole(dataset, key, name) for key in ("Rows", "Columns"))
    if not (1 < rows <= _MAX_SIDE and 1 < columns <= _MAX_SIDE):
        raise ScanError("E_SIZE", name, f"{columns} columns x {rows} rows", "This is no head CT; export it again.")
    photometric = str(dataset.get("PhotometricInterpretation", "nothing"))
    samples = _optional([dataset], "SamplesPerPixel", name)
    if photometric != "MONOCHROME2" or samples not in (None, 1.0):
        raise ScanError("E_PHOTOMETRIC", name, f"pixels are {photometric}, not MONOCHROME2", "Export the original CT.")
    frames = _frames(dataset, name)
    _check_pixel_bytes(header, rows * columns * len(frames))
    return [_slice(header, k, places, rows, columns) for k, places in enumerate(frames)]


def _frames(dataset: pydicom.Dataset, name: str) -> list[list[pydicom.Dataset]]:
    """For each frame the data sets in which its entries may stand, nearest first."""
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        if _optional([dataset], "NumberOfFrames", name) not in (None, 1.0):
            raise ScanError("E_TAG_MISSING", name, "several frames without their functional groups", _AGAIN)
        return [[dataset]]
    frames = list(dataset.PerFrameFunctionalGroupsSequence)
    stated = _whole(dataset, "NumberOfFrames", name)
    if stated != len(frames):
        raise ScanError("E_TAG_BAD", name, f"{stated} frames are stated and {len(frames)} described", _AGAIN)
    shared = [_merged(group) for group in dataset.get("SharedFunctionalGroupsSequence") or []]
    return [[_merged(group), *shared, dataset] for group in frames]


def _merged(group: pydicom.Dataset) -> pydicom.Dataset:
    """The entries of all functional groups of one frame, side by side."""
    merged = pydicom.Dataset()
    for element in group:
        if element.VR == "SQ" and len(element.value) == 1:
            merged.update(element.value[0])
    return merged


def _check_pixel_bytes(header: FileHeader, pixels: int) -> None:
    """Compare the bytes of uncompressed pixels with the file, before any of them is read."""
    dataset, name = header.dataset, header.name
    bits = _whole(dataset, "BitsAllocated", name)
    stored, high = _whole(dataset, "BitsStored", name), _whole(dataset, "HighBit", name)
    if bits not in (8, 16, 32) or not 1 <= stored <= bits or high != stored - 1:
        raise ScanError("E_TAG_BAD", name, f"{stored} bits up to bit {high} stored in {bits}", _AGAIN)
    element = dataset.get_item("PixelData")
    meta = getattr(dataset, "file_meta", {})
    syntax = meta.get("TransferSyntaxUID")
    if syntax is not None and syntax.is_compressed and syntax != "1.2.840.10008.1.2.1.99":
        return
    need = pixels * bits // 8
    length = element.length if isinstance(element, RawDataElement) else len(element.value)
    if length == _UNDEFINED_LENGTH:
        raise ScanError("E_TAG_BAD", name, "the length of its uncompressed pixels is undefined", _AGAIN)
    there = length
    if isinstance(element, RawDataElement) and element.value is None:  # left in the file by the reader
        there = min(length, header.path.stat().st_size - element.value_tell)
    if there < need:
        raise ScanError("E_TRUNCATED", name, f"it has {there} of {need} bytes of pixels", "Copy or export it again.")
    if length > need + 1:
        raise ScanError("E_SIZE", name, f"{length} bytes of pixels where rows x columns need {need}", _AGAIN)


def _slice(header: FileHeader, frame: int, places: list[pydicom.Dataset], rows: int, columns: int) -> Slice:
    name = header.name
    orientation = _numbers(places, "ImageOrientationPatient", 6, name)
    along_row, along_column = orientation[:3], orientation[3:]
    lengths = np.linalg.norm(along_row), np.linalg.norm(along_column)
    if not np.allclose(lengths, 1.0, atol=1e-3) or abs(along_row @ along_column) > 1e-3:
        raise ScanError(
            "E_TAG_BAD", name, "ImageOrientationPatient is not a pair of unit vectors at right angles", _AGAIN
        )
    along_row = along_row / lengths[0]
    along_column = along_column - (along_column @ along_row) * along_row
    spacing = _numbers(places, "PixelSpacing", 2, name)
    if not ((spacing > 0.05) & (spacing < 10.0)).all():
        raise ScanError("E_TAG_BAD", name, f"PixelSpacing is {spacing[0]:g} x {spacing[1]:g} mm", _AGAIN)
    slope, intercept = _rescale(places, name)
    content = next((p for p in places if "InStackPositionNumber" in p), None)
    number = _optional(places, "InstanceNumber", name) if content is None else float(content.InStackPositionNumber)
    if content is None and len(places) > 1:
        number = frame + 1.0
    acquisition = tuple(
        printable(_text(places, key), 60) for key in ("AcquisitionNumber", "AcquisitionTime", "ImageType")
    )
    return Slice(
        header=header,
        frame=frame,
        position=_numbers(places, "ImagePositionPatient", 3, name),
        along_row=along_row,
        along_column=along_column / np.linalg.norm(along_column),
        spacing=(float(spacing[0]), float(spacing[1])),
        rows=rows,
        columns=columns,
        slope=slope,
        intercept=intercept,
        number=None if number is None else round(number),
        thickness=_optional(places, "SliceThickness", name),
        tilt_tag=_optional(places, "GantryDetectorTilt", name),
        kernel=printable(_text(places, "ConvolutionKernel"), 30),
        contrast=bool(_text(places, "ContrastBolusAgent")),
        acquisition=(acquisition[0], acquisition[1], acquisition[2]),
    )


def _rescale(places: list[pydicom.Dataset], name: str) -> tuple[float, float]:
    try:
        slope = float(_numbers(places, "RescaleSlope", 1, name)[0])
        intercept = float(_numbers(places, "RescaleIntercept", 1, name)[0])
    except ScanError as error:
        raise ScanError("E_RESCALE", name, f"no way from stored numbers to HU: {error.cause}", _AGAIN) from error
    if slope <= 0.0:
        raise ScanError("E_RESCALE", name, f"RescaleSlope is {slope:g}", _AGAIN)
    return slope, intercept


def _find(places: list[pydicom.Dataset], keyword: str) -> Any:
    for place in places:
        if keyword in place:
            return place[keyword].value
    return None


def _text(places: list[pydicom.Dataset], keyword: str) -> str:
    value = _find(places, keyword)
    if value is None:
        return ""
    return str(value) if isinstance(value, str | int | float) else "\\".join(str(v) for v in value)


def _numbers(places: list[pydicom.Dataset], keyword: str, count: int, name: str) -> np.ndarray:
    """``count`` finite numbers, float64."""
    shown = f"{keyword} {Tag(tag_for_keyword(keyword) or 0)}"
    try:
        value = _find(places, keyword)
        if value is None or value == "":
            raise ScanError("E_TAG_MISSING", name, f"{shown} is missing", _AGAIN)
        numbers = np.array([float(v) for v in np.atleast_1d(np.asarray(value, dtype=object))])
    except (ValueError, TypeError, OverflowError) as fault:
        raise ScanError("E_TAG_BAD", name, f"{shown} is not numbers", _AGAIN) from fault
    if numbers.size == 0:
        raise ScanError("E_TAG_MISSING", name, f"{shown} is empty", _AGAIN)
    if numbers.size != count or not np.isfinite(numbers).all() or np.abs(numbers).max() > 1e6:
        listed = " ".join(f"{n:g}" for n in numbers[:8])
        raise ScanError("E_TAG_BAD", name, f"{shown} is {listed}", _AGAIN)
    return numbers


def _whole(dataset: pydicom.Dataset, keyword: str, name: str) -> int:
    number = float(_numbers([dataset], keyword, 1, name)[0])
    if number != round(number) or number < 0:
        raise ScanError("E_TAG_BAD", name, f"{keyword} is {number:g}", _AGAIN)
    return int(number)


def _optional(places: list[pydicom.Dataset], keyword: str, name: str) -> float | None:
    """A number that only confirms; nonsense counts as absent."""
    try:
        return float(_numbers(places, keyword, 1, name)[0])
    except ScanError:
        return None
