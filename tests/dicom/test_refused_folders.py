"""Folders that are refused by a code, with the files at fault and the numbers."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from dicom_folders import (
    Maker,
    assert_exact,
    compressed,
    each,
    report,
    rewritten,
    scout,
)
from dicom_phantom import COLUMNS, ROWS, SERIES, ds_text, enhanced, series, set_pixels, write
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from hemorrhage.dicom.importer import read_series
from hemorrhage.errors import ScanError


def changed(index: int, **tags: object) -> list[Dataset]:
    datasets = series()
    for keyword, value in tags.items():
        setattr(datasets[index], keyword, value)
    return datasets


def without(keyword: str, index: int | None = None) -> list[Dataset]:
    datasets = series()
    for dataset in datasets if index is None else [datasets[index]]:
        delattr(dataset, keyword)
    return datasets


def with_file(content: Callable[[bytes], bytes], name: str = "IM0009.dcm") -> Maker:
    def make(folder: Path) -> Path:
        write(folder, series())
        (folder / name).write_bytes(content((folder / "IM0009.dcm").read_bytes()))
        return folder

    return make


def raw_text(keyword: str, old: bytes, new: bytes) -> Maker:
    """A value that no DICOM library would write."""

    def make(folder: Path) -> Path:
        for path in write(folder, series()).iterdir():
            content = path.read_bytes()
            assert content.count(old) >= 1
            assert len(old) == len(new)
            path.write_bytes(content.replace(old, new))
        return folder

    return make


def renamed(datasets: list[Dataset], **tags: object) -> list[Dataset]:
    for k, dataset in enumerate(datasets):
        dataset.SOPInstanceUID = f"1.2.77.{k}"
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
    return datasets


def same_place(folder: Path) -> Path:
    datasets = series()
    for dataset in datasets:
        dataset.ImagePositionPatient = datasets[0].ImagePositionPatient
    return write(folder, datasets)


def other_matrix(folder: Path) -> Path:
    datasets = series()
    datasets[5] = series(Rows=40)[5]
    return write(folder, datasets)


def deflate_bomb(folder: Path) -> Path:
    path = rewritten(folder, DeflatedExplicitVRLittleEndian) / "IM0003.dcm"
    meta = pydicom.filereader.read_file_meta_info(path)
    head = path.read_bytes()[: 144 + int(meta.FileMetaInformationGroupLength)]
    deflate = zlib.compressobj(9, wbits=-15)
    body = b"".join(deflate.compress(bytes(1 << 24)) for _ in range(20)) + deflate.flush()
    path.write_bytes(head + body)
    return folder


def deep_sequence(folder: Path) -> Path:
    path = write(folder, series()) / "IM0003.dcm"
    content = path.read_bytes()
    start = content.index(b"\x28\x00\x02\x00US")  # before SamplesPerPixel, so that the parser must pass through it
    nested = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 20000
    path.write_bytes(content[:start] + nested + content[start:])
    return folder


def wrapped(_: int, dataset: Dataset) -> None:
    dataset.RescaleIntercept = "0"
    set_pixels(dataset)
    dataset.PixelRepresentation = 0


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def orientation_of_one(folder: Path) -> Path:
    return write(folder, changed(4, ImageOrientationPatient=ds_text([1, 0, 0, 0, 0.9848077530, 0.1736481777])))


def damaged_rle(folder: Path) -> Path:
    path = compressed(folder, RLELossless) / "IM0003.dcm"
    content = bytearray(path.read_bytes())
    content[-1500:-1000] = bytes(500)
    path.write_bytes(content)
    return folder


REFUSED: dict[str, tuple[str, Maker]] = {
    "D2 two files at one place": ("E_DUPLICATE", lambda d: write(d, [*series(), *renamed(series()[6:7])])),
    "same image, other content": ("E_DUPLICATE", lambda d: write(d, [*series(), series(tilt=0.01)[6]])),
    "D20 two patients": ("E_TWO_PATIENTS", lambda d: write(d, changed(3, PatientID="P2"))),
    "two names": ("E_TWO_PATIENTS", lambda d: write(d, changed(3, PatientName="Roe^Ann"))),
    "D21 two phases in one series": (
        "E_CHOOSE",
        lambda d: write(d, [*series(), *renamed(series(), AcquisitionNumber="2", ContrastBolusAgent="IOMERON")]),
    ),
    "D22 two kernels in one series": (
        "E_CHOOSE",
        lambda d: write(d, [*series(), *renamed(series(), ConvolutionKernel="H60s")]),
    ),
    "D23 two series": ("E_CHOOSE", lambda d: write(d, [*series(), *renamed(series(), SeriesInstanceUID="1.2.5")])),
    "D24 deep sequence": ("E_BOMB", deep_sequence),
    "D25 deflate bomb": ("E_BOMB", deflate_bomb),
    "D26 empty folder": ("E_NO_DICOM", empty),
    "no such folder": ("E_NOT_FOUND", lambda d: d),
    "D27 enhanced with a frame missing": (
        "E_MISSING_SLICE",
        lambda d: write(d, [enhanced([*series()[:9], *series()[10:]])]),
    ),
    "D29 garbage": ("E_FILE_UNREADABLE", with_file(lambda b: bytes(range(256)) * 9, "extra.dcm")),
    "D30 hostile UID": ("E_UID", raw_text("SeriesInstanceUID", SERIES.encode(), b"../../../etc/passwd; rm -rf")),
    "D31 no orientation": ("E_TAG_MISSING", lambda d: write(d, without("ImageOrientationPatient"))),
    "D32 all at one place": ("E_POSITIONS", same_place),
    "D33 no positions": ("E_TAG_MISSING", lambda d: write(d, without("ImagePositionPatient"))),
    "D34 one position missing": ("E_TAG_MISSING", lambda d: write(d, without("ImagePositionPatient", 9))),
    "D35 other matrix": ("E_MIXED", other_matrix),
    "D36 five slices missing": ("E_MISSING_SLICE", lambda d: write(d, [*series()[:9], *series()[14:]])),
    "D37 one slice missing": ("E_MISSING_SLICE", lambda d: write(d, [*series()[:9], *series()[10:]])),
    "one slice missing, renumbered": (
        "E_MISSING_SLICE",
        lambda d: write(
            d, each(lambda k, s: setattr(s, "InstanceNumber", str(k + 1)), [*series()[:9], *series()[10:]])
        ),
    ),
    "D38 MONOCHROME1": ("E_PHOTOMETRIC", lambda d: write(d, changed(0, PhotometricInterpretation="MONOCHROME1"))),
    "D39 only a scout": ("E_NO_CT", lambda d: write(d, [scout()])),
    "D40 only a report": ("E_NO_CT", lambda d: write(d, [report()])),
    "D41 other orientation": ("E_MIXED", orientation_of_one),
    "D42 pixels of another length": (
        "E_TRUNCATED",
        lambda d: write(d, changed(4, PixelData=bytes(2 * ROWS * COLUMNS - 64))),
    ),
    "more pixels than stated": ("E_SIZE", lambda d: write(d, changed(4, PixelData=bytes(2 * ROWS * COLUMNS + 64)))),
    "D43 decimal comma": ("E_TAG_BAD", raw_text("PixelSpacing", b"DS\x04\x004\\4 ", b"DS\x04\x004,4 ")),
    "D44 other pixel spacing": ("E_MIXED", lambda d: write(d, changed(4, PixelSpacing=["4.2", "4.2"]))),
    "D45 no pixel spacing": ("E_TAG_MISSING", lambda d: write(d, without("PixelSpacing"))),
    "D46 pixel spacing NaN": ("E_TAG_BAD", raw_text("PixelSpacing", b"DS\x04\x004\\4 ", b"DS\x04\x00nan ")),
    "D47 pixel spacing zero": ("E_TAG_BAD", lambda d: write(d, changed(4, PixelSpacing=["0", "0"]))),
    "D48 no rescale": ("E_RESCALE", lambda d: write(d, without("RescaleSlope"))),
    "D49 rescale slope zero": ("E_RESCALE", lambda d: write(d, changed(4, RescaleSlope="0"))),
    "D50 rows lie": ("E_SIZE", lambda d: write(d, changed(4, Rows=65535, Columns=65535))),
    "D51 single slice": ("E_TOO_FEW", lambda d: write(d, series()[:1])),
    "D53 truncated header": ("E_FILE_UNREADABLE", with_file(lambda b: b[:420])),
    "D54 truncated pixels": ("E_TRUNCATED", with_file(lambda b: b[:-1000])),
    "D55 MR": ("E_NO_CT", lambda d: write(d, each(lambda k, s: setattr(s, "Modality", "MR")))),
    "D56 zero bytes": ("E_FILE_UNREADABLE", with_file(lambda b: b"")),
    "D63 two slices": ("E_TOO_FEW", lambda d: write(d, series()[:2])),
    "D64 wrapped integers": ("E_NOT_HU", lambda d: write(d, each(wrapped))),
    "damaged RLE": ("E_FILE_UNREADABLE", lambda d: damaged_rle(d)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_folders_are_refused_by_code(tmp_path: Path, name: str) -> None:
    code, make = REFUSED[name]
    folder = make(tmp_path / "ct")
    with pytest.raises(ScanError) as caught:
        read_series(folder)
    assert caught.value.code == code, str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("D2 two files at one place", ["IM0006.dcm", "IM0038.dcm"]),
        ("D23 two series", [SERIES, "1.2.5", "38 images", "kernel H30s", "thickness 5 mm"]),
        ("D22 two kernels in one series", ["H30s (38 images)", "H60s (38 images)"]),
        ("D34 one position missing", ["IM0009.dcm", "ImagePositionPatient"]),
        ("D37 one slice missing", ["10.0 mm", "5.0 mm", "IM0008.dcm", "IM0009.dcm"]),
        ("D54 truncated pixels", ["IM0009.dcm", "4376 of 5376 bytes"]),
        ("D55 MR", ["found 38 MR"]),
        ("D56 zero bytes", ["IM0009.dcm", "0 bytes"]),
        ("D64 wrapped integers", ["64536"]),
    ],
)
def test_refusals_name_the_files_and_the_numbers(tmp_path: Path, name: str, words: list[str]) -> None:
    with pytest.raises(ScanError) as caught:
        read_series(REFUSED[name][1](tmp_path / "ct"))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_folder_of_links_says_that_they_were_not_opened(tmp_path: Path) -> None:
    """As version control of large files leaves it."""
    source = write(tmp_path / "store", series((0.0, 5.0, 10.0)))
    (tmp_path / "ct").mkdir()
    for path in source.iterdir():
        (tmp_path / "ct" / path.name).symlink_to(path)
    with pytest.raises(ScanError, match=r"E_NO_DICOM.*3 links in it were not opened.*in place of the links"):
        read_series(tmp_path / "ct")


def test_a_missing_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = compressed(tmp_path / "ct", JPEGLSLossless)
    monkeypatch.setattr(get_decoder(JPEGLSLossless), "_available", {})
    with pytest.raises(ScanError, match=r"E_CODEC.*JPEG-LS.*pyjpegls"):
        read_series(folder)


def test_two_patients_are_never_named(tmp_path: Path) -> None:
    with pytest.raises(ScanError) as caught:
        read_series(write(tmp_path / "ct", changed(3, PatientName="Roe^Ann")))
    assert "Roe" not in str(caught.value)
    assert "Doe" not in str(caught.value)


@pytest.mark.parametrize("start", [132, 180, 230, 280])
def test_damaged_headers_are_quoted_nowhere(tmp_path: Path, start: int, recwarn: pytest.WarningsRecorder) -> None:
    folder = write(tmp_path / "ct", series((0.0, 5.0, 10.0)))
    path = folder / "IM0001.dcm"
    intact = path.read_bytes()
    for place in range(start, start + 50):
        path.write_bytes(intact[:place] + bytes([intact[place] ^ 0x55]) + intact[place + 1 :])
        with contextlib.suppress(ScanError):
            read_series(folder)
    assert not [str(w.message) for w in recwarn if "Doe" in str(w.message) or "value" in str(w.message).lower()]


def test_d23_the_series_can_be_chosen(tmp_path: Path) -> None:
    folder = REFUSED["D23 two series"][1](tmp_path / "ct")
    assert_exact(read_series(folder, series_uid="1.2.5"))
    with pytest.raises(ScanError, match="E_NO_SERIES"):
        read_series(folder, series_uid="1.2.6")
