"""The DICOM files of a folder, their headers read under limits and the rest told apart."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.config import disable_value_validation
from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian
from pydicom.valuerep import VR

from hemorrhage.errors import ScanError, ScanWarning, printable

__all__ = ["FileHeader", "read_dataset", "read_headers", "unquoted"]

_MAX_FILE_BYTES = 2 << 30
_MAX_INFLATED_BYTES = 256 << 20
_AGAIN = "Export or copy the series again."
_PIXEL_DATA = Tag("PixelData")
_KNOWN_VR = frozenset(VR)
_NUMERIC_VR = ("DS", "IS", "US", "SQ", "US or SS")
_DICOM_ENDINGS = (".dcm", ".ima", ".dicom", ".dc3")
_DICOMDIR_CLASS = "1.2.840.10008.1.3.10"
# Names that operating systems, viewers and PACS exports leave beside slices.
_INDEX_NAMES = ("dicomdir", "thumbs.db", "desktop.ini", "lockfile", "version", ".ds_store")

# What the importer looks at, and nothing else: the parser then skips every private or personal entry by its length.
_KEYWORDS = [
    "SpecificCharacterSet",
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "AcquisitionTime",
    "ContrastBolusAgent",
    "PatientID",
    "PatientName",
    "SliceThickness",
    "KVP",
    "GantryDetectorTilt",
    "ConvolutionKernel",
    "SeriesInstanceUID",
    "AcquisitionNumber",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "RescaleIntercept",
    "RescaleSlope",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "PixelData",
]


@dataclass(frozen=True)
class FileHeader:
    """Header of one DICOM file.

    Attributes:
        path: where the file is.
        name: path below the folder that was asked for, safe to print.
        dataset: the entries that the importer knows; large ones are fetched when asked for.
        sop_class: what kind of object the file holds.
        has_preamble: whether it is a complete Part 10 file.
    """

    path: Path
    name: str
    dataset: pydicom.Dataset
    sop_class: str
    has_preamble: bool


@contextlib.contextmanager
def unquoted() -> Iterator[None]:
    """Silence the parser while entries are decoded: its warnings quote what damaged headers say, names included."""
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def read_headers(folder: Path) -> tuple[list[FileHeader], list[ScanWarning]]:
    """Headers of all DICOM files in ``folder`` and below it, in the order of their names.

    Links, pipes and devices are never opened, DICOMDIR and files that are not DICOM are passed over.

    Args:
        folder: a folder, or one DICOM file.

    Returns:
        at least one header, and ``W_NO_PREAMBLE`` where files are incomplete but readable.

    Raises:
        ScanError: ``E_NOT_FOUND``; ``E_NO_DICOM``; ``E_FILE_UNREADABLE`` for a file that should be a slice and is not;
            ``E_BOMB``.
    """
    if not folder.exists():
        raise ScanError("E_NOT_FOUND", folder, "there is no such folder", "Check the path.")
    root = folder if folder.is_dir() else folder.parent
    paths = sorted(_regular_files(folder)) if folder.is_dir() else [folder]
    headers, doubtful = [], []
    for path in paths:
        name = printable(path.relative_to(root).as_posix())
        if path.name.lower() in _INDEX_NAMES or path.name.startswith("._"):
            continue
        with unquoted():
            header = _header(path, name)
        if header is None:
            doubtful.append((path, name))
        elif header.sop_class != _DICOMDIR_CLASS:
            headers.append(header)
    endings = {h.path.suffix.lower() for h in headers}
    for path, name in doubtful:
        if _should_be_a_slice(path, endings):
            size = path.stat().st_size
            raise ScanError("E_FILE_UNREADABLE", name, f"{size} bytes that are not DICOM; a slice may be lost", _AGAIN)
    if not headers:
        links = sum(p.is_symlink() for p in folder.rglob("*")) if folder.is_dir() else 0
        cause = f"none of its {len(paths)} files is DICOM" if paths else "it holds no file"
        cause += f"; {links} links in it were not opened" if links else ""
        remedy = "Name the folder with the slices" + (", or put the files in place of the links." if links else ".")
        raise ScanError("E_NO_DICOM", folder.name or folder, cause, remedy)
    bare = [h.name for h in headers if not h.has_preamble]
    if not bare:
        return headers, []
    text = f"{len(bare)} files have no DICOM preamble; they were read as if they had one."
    return headers, [ScanWarning("W_NO_PREAMBLE", text, tuple(bare[:5]), {"files": len(bare)})]


def _regular_files(folder: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(folder, followlinks=False):
        for name in names:
            path = Path(directory, name)
            if not path.is_symlink() and path.is_file():
                yield path


def _should_be_a_slice(path: Path, endings: set[str]) -> bool:
    """Whether a file that is not DICOM was meant to be: by its ending, or like its neighbors and not text."""
    ending = path.suffix.lower()
    if ending in _DICOM_ENDINGS:
        return True
    if ending not in endings:
        return False
    with path.open("rb") as file:
        start = file.read(512)
    return not start or not all(32 <= byte < 127 or byte in (9, 10, 13) for byte in start)


def _header(path: Path, name: str) -> FileHeader | None:
    """The header, or None if the file is not DICOM at all."""
    try:
        with path.open("rb") as file:
            start = file.read(140)
    except OSError as fault:
        raise ScanError(
            "E_FILE_UNREADABLE", name, f"the system refuses it ({fault.strerror})", "Check its rights."
        ) from (fault)
    has_preamble = start[128:132] == b"DICM"
    if not has_preamble and not _looks_like_bare_dicom(start):
        return None
    dataset = read_dataset(path, name, headers_only=True)
    meta = getattr(dataset, "file_meta", None)
    sop_class = str(dataset.get("SOPClassUID") or (meta or {}).get("MediaStorageSOPClassUID") or "")
    if not sop_class:
        if not has_preamble:
            return None
        size = path.stat().st_size
        raise ScanError("E_FILE_UNREADABLE", name, f"its {size} bytes hold no complete DICOM header", _AGAIN)
    return FileHeader(path, name, dataset, sop_class, has_preamble)


def _looks_like_bare_dicom(start: bytes) -> bool:
    """Whether the first element is one of group 2 or 8, as in a data set without preamble."""
    group, element = int.from_bytes(start[:2], "little"), int.from_bytes(start[2:4], "little")
    return len(start) == 140 and group in (2, 8) and element < 0x100 and int.from_bytes(start[4:8], "little") != 0


def read_dataset(path: Path, name: str, *, headers_only: bool = False, also: Sequence[str] = ()) -> pydicom.Dataset:
    """Read one DICOM file under limits.

    Args:
        path: a regular file.
        name: its name for the errors.
        headers_only: leave pixels in the file.
        also: keywords of further entries to read.

    Raises:
        ScanError: ``E_FILE_UNREADABLE`` or ``E_BOMB``.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_FILE_BYTES:
            raise ScanError("E_SIZE", name, f"{size} bytes, more than {_MAX_FILE_BYTES}", "This is no head CT.")
        with unquoted():
            keywords = [*_KEYWORDS, *also]
            dataset = _inflated(path, name, keywords)
            if dataset is None:
                dataset = pydicom.dcmread(
                    path, force=True, specific_tags=list(keywords), defer_size=4096 if headers_only else None
                )
            if headers_only:
                _convert_texts(dataset)
            return dataset
    except (ScanError, MemoryError):
        raise
    except RecursionError as fault:
        raise ScanError("E_BOMB", name, "its header is nested beyond reason", "Do not open this file.") from fault
    except Exception as fault:  # the parser has no base class for what damaged bytes make it raise
        raise ScanError("E_FILE_UNREADABLE", name, f"its header is damaged ({type(fault).__name__})", _AGAIN) from fault


def _convert_texts(dataset: pydicom.Dataset) -> None:
    """Make damaged entries show themselves here and not where they are used; numbers are judged one by one later."""
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if element is None or (element.VR is not None and element.VR not in _KNOWN_VR):
            raise ValueError(f"unknown value representation in {tag}")
        if tag != _PIXEL_DATA and dictionary_VR(tag) not in _NUMERIC_VR:
            _ = dataset[tag]


def _inflated(path: Path, name: str, keywords: Sequence[str]) -> pydicom.Dataset | None:
    """The data set of a deflated file, inflated under a cap; None for every other file."""
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return None
        meta = pydicom.filereader.read_file_meta_info(path)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return None
        # The group length counts what follows its own element of 12 bytes, behind preamble and magic.
        file.seek(132 + 12 + int(meta.FileMetaInformationGroupLength))
        inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        content = inflater.decompress(file.read(), _MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail or not inflater.eof:
        if len(content) >= _MAX_INFLATED_BYTES:
            raise ScanError(
                "E_BOMB", name, f"it inflates to over {_MAX_INFLATED_BYTES} bytes", "Do not open this file."
            )
        raise ScanError("E_TRUNCATED", name, f"its deflated data end early, after {len(content)} bytes", _AGAIN)
    dataset = pydicom.filereader.read_dataset(
        io.BytesIO(content), is_implicit_VR=False, is_little_endian=True, specific_tags=[Tag(k) for k in keywords]
    )
    plain = pydicom.FileDataset(str(path), dataset, file_meta=meta, is_implicit_VR=False, is_little_endian=True)
    # The bytes in memory are no longer deflated; decoders must not be told that they are.
    plain.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1")
    return plain
