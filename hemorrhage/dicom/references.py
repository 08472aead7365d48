"""What a new DICOM object must repeat of the slices that it belongs to, and nothing else of them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds, validate_value

from hemorrhage.dicom.headers import Slice, slices_of
from hemorrhage.dicom.scan_folder import FileHeader, read_dataset
from hemorrhage.dicom.slice_map import SliceMap
from hemorrhage.errors import ScanError

__all__ = ["References", "read_references"]

_REMEDY = "Export the series again."
# DICOM PS3.3 C.7.1.1 and C.7.2.1: of type 2, so they must be there and may be empty.
_PERSONAL = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID", "SOPClassUID")
_COMPRESSION = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


@dataclass(frozen=True)
class References:
    """The images that a new object belongs to.

    Attributes:
        images: one for each slice, or one of many frames; with the identifiers, the geometry and the entries of patient
            and study that the standard requires, the latter empty where the source has none or breaks their rules.
        order: (N,) for each image, or each frame, the native slice that it is.
    """

    images: list[Dataset]
    order: np.ndarray


def read_references(source: Path, slice_map: SliceMap) -> References:
    """What a new object must say of the slices that were imported.

    Args:
        source: the folder, or the one file, that was imported.
        slice_map: with the names of the files.

    Raises:
        ScanError: ``E_REFERENCE`` if the slices lack an identifier or do not share one; what reading them raises.
    """
    root = source if source.is_dir() else source.parent
    headers = {name: _header(root / name, name) for name in dict.fromkeys(slice_map.files)}
    slices = {name: slices_of(header) for name, header in headers.items()}
    first = slices[slice_map.files[0]][slice_map.frames[0]]
    common = _common(first.header)
    if all(len(frames) == 1 for frames in slices.values()):
        images = [_single(slices[name][0], first, common) for name in slice_map.files]
        return References(images, np.arange(len(images)))
    if len(headers) > 1:
        raise ScanError("E_REFERENCE", source, f"its slices are frames of {len(headers)} files", _REMEDY)
    frames = slices[slice_map.files[0]]
    if sorted(slice_map.frames) != list(range(len(frames))):
        raise ScanError("E_REFERENCE", first.header.name, f"not all of its {len(frames)} frames were used", _REMEDY)
    return References([_multiple(frames, common)], np.argsort(slice_map.frames))


def _header(path: Path, name: str) -> FileHeader:
    dataset = read_dataset(path, name, headers_only=True, also=(*_PERSONAL, *_IDENTIFIERS, *_COMPRESSION))
    return FileHeader(path, name, dataset, str(dataset.get("SOPClassUID", "")), True)


def _value(header: FileHeader, keyword: str) -> Any:
    """The value, or None if it is missing, empty or against the rules of its kind."""
    element = header.dataset.get(keyword) and header.dataset[keyword]
    if not element or element.value in (None, ""):
        return None
    try:
        validate_value(element.VR, element.value, config.RAISE)
    except ValueError:
        return None
    return element.value


def _identifiers(header: FileHeader) -> dict[str, str]:
    found = {keyword: _value(header, keyword) for keyword in _IDENTIFIERS}
    for keyword, value in found.items():
        if value is None:
            raise ScanError("E_REFERENCE", header.name, f"{keyword} is missing or no UID", _REMEDY)
    return {keyword: str(value) for keyword, value in found.items()}


def _common(header: FileHeader) -> Dataset:
    common = Dataset()
    common.SpecificCharacterSet = "ISO_IR 192"  # texts were decoded; they are written as UTF-8
    for keyword in _PERSONAL:
        value = _value(header, keyword)
        if keyword == "PatientSex" and value not in ("M", "F", "O"):
            value = None
        setattr(common, keyword, "" if value is None else value)
    for keyword in _COMPRESSION:
        if (value := _value(header, keyword)) is not None:
            setattr(common, keyword, value)
    for keyword, value in _identifiers(header).items():
        setattr(common, keyword, value)
    common.Modality = "CT"
    return common


def _single(one: Slice, first: Slice, common: Dataset) -> Dataset:
    dataset = copy.deepcopy(common)  # setting an entry changes the element itself, which must not be shared
    for keyword, value in _identifiers(one.header).items():
        if keyword not in ("SOPInstanceUID", "SOPClassUID") and value != common[keyword].value:
            raise ScanError("E_REFERENCE", one.header.name, f"its {keyword} differs from that of the others", _REMEDY)
        setattr(dataset, keyword, value)
    dataset.Rows, dataset.Columns = one.rows, one.columns
    dataset.update(_plane(one, first))
    return dataset


def _plane(one: Slice, first: Slice) -> Dataset:
    plane = Dataset()
    plane.ImagePositionPatient = _decimals(one.position)
    # Slices were found parallel; objects with many frames have one orientation and one pixel size for all.
    plane.ImageOrientationPatient = _decimals((*first.along_row, *first.along_column))
    plane.PixelSpacing = _decimals(first.spacing)
    plane.SliceThickness = one.thickness
    return plane


def _decimals(numbers: Iterable[float]) -> list[str]:
    return [format_number_as_ds(float(x)) for x in numbers]


def _multiple(frames: list[Slice], common: Dataset) -> Dataset:
    dataset = copy.deepcopy(common)
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = frames[0].rows, frames[0].columns, len(frames)
    planes = [_plane(one, frames[0]) for one in frames]
    shared = Dataset()
    shared.PixelMeasuresSequence = [_part(planes[0], "PixelSpacing", "SliceThickness")]
    shared.PlaneOrientationSequence = [_part(planes[0], "ImageOrientationPatient")]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [_of_frame(plane) for plane in planes]
    return dataset


def _of_frame(plane: Dataset) -> Dataset:
    group = Dataset()
    group.PlanePositionSequence = [_part(plane, "ImagePositionPatient")]
    return group


def _part(dataset: Dataset, *keywords: str) -> pydicom.Dataset:
    part = Dataset()
    for keyword in keywords:
        part[keyword] = dataset[keyword]
    return part
