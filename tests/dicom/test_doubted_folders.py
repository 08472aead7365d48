"""Folders that are read exactly and say what is odd about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from analytic_head import hu_at
from dicom_folders import (
    Maker,
    assert_exact,
    codes,
    each,
    hostile,
    other_object,
    report,
    scout,
)
from dicom_phantom import COLUMNS, ROWS, pixel_points, series, set_pixels, write
from pydicom.dataset import Dataset

from hemorrhage.dicom.importer import read_series


def copy_of_one(folder: Path) -> Path:
    write(folder, series())
    (folder / "copy.dcm").write_bytes((folder / "IM0007.dcm").read_bytes())
    return folder


def numbered(numbers: Callable[[int], str | None]) -> Maker:
    def make(folder: Path) -> Path:
        return write(folder, each(lambda k, s: setattr(s, "InstanceNumber", numbers(k))))

    return make


def without_preamble(folder: Path) -> Path:
    for path in write(folder, series()).iterdir():
        dataset = pydicom.dcmread(path)
        plain = Dataset(dataset)
        pydicom.dcmwrite(path, plain, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[128:132] != b"DICM"
    return folder


def dose_sheet() -> Dataset:
    return other_object("CT", "1.2.840.10008.5.1.4.1.1.7", PhotometricInterpretation="RGB", SamplesPerPixel=3)


def with_padding(folder: Path) -> Path:
    datasets = series(RescaleIntercept="0")
    for dataset in datasets:
        hu = hu_at(pixel_points(dataset))
        hu[:3] = -2000
        dataset.add_new("PixelPaddingValue", "SS", -2000)
        set_pixels(dataset, hu)
    return write(folder, datasets)


FIXED: dict[str, tuple[str, Maker]] = {
    "D1 identical copy": ("W_DUPLICATE", copy_of_one),
    "D4 all image numbers equal": ("W_INSTANCE", numbered(lambda k: "1")),
    "D5 no image numbers": ("W_INSTANCE", numbered(lambda k: None)),
    "D6 random image numbers": ("W_INSTANCE", numbered(lambda k: str(k * 7 % 38 + 1))),
    "D7 no preamble": ("W_NO_PREAMBLE", without_preamble),
    "D16 dose sheet": ("W_SKIPPED", lambda d: write(d, [*series(), dose_sheet()])),
    "D17 scout, other series": ("W_SKIPPED", lambda d: write(d, [*series(), scout("1.2.8")])),
    "D18 scout, same series": ("W_SKIPPED", lambda d: write(d, [*series(), scout()])),
    "D19 structured report": ("W_SKIPPED", lambda d: write(d, [*series(), report()])),
    "D57 bone kernel": ("W_KERNEL", lambda d: write(d, series(ConvolutionKernel="H70h"))),
    "D58 contrast": ("W_CONTRAST", lambda d: write(d, series(ContrastBolusAgent="IOMERON"))),
    "D59 eight slices": ("W_COVERAGE", lambda d: write(d, series(tuple(np.arange(8) * 5.0)))),
    "D61 ends missing": ("W_ENDS", lambda d: write(d, series()[3:-3])),
    "D62 padding -2000": ("W_PADDING", with_padding),
}


@pytest.mark.parametrize("name", FIXED)
def test_odd_folders_are_read_exactly_and_say_so(tmp_path: Path, name: str) -> None:
    code, make = FIXED[name]
    volume = read_series(make(tmp_path / "ct"))
    assert codes(volume) == [code]
    assert_exact(volume)


def test_d60_every_second_image(tmp_path: Path) -> None:
    volume = read_series(write(tmp_path / "ct", series()[::2]))
    assert codes(volume) == ["W_EVERY_NTH"]
    assert volume.warnings[0].numbers["every"] == 2
    assert_exact(volume)


def test_gaps_between_thin_slices_are_doubted_whatever_their_numbers(tmp_path: Path) -> None:
    volume = read_series(write(tmp_path / "ct", series(tuple(np.arange(19) * 10.0))))
    assert codes(volume) == ["W_EVERY_NTH"]
    assert volume.warnings[0].numbers == {"thickness_mm": 5.0, "distance_mm": pytest.approx(10.0)}
    assert_exact(volume)


def test_slices_that_were_exchanged_are_doubted(tmp_path: Path) -> None:
    datasets = series()
    datasets[10].PixelData, datasets[4].PixelData = datasets[4].PixelData, datasets[10].PixelData
    volume = read_series(write(tmp_path / "ct", datasets))
    assert codes(volume) == ["W_ORDER"]
    assert volume.warnings[0].files == ("IM0004.dcm", "IM0010.dcm")


def test_headers_give_nothing_personal_to_the_result(tmp_path: Path) -> None:
    volume = read_series(write(tmp_path / "ct", each(hostile)))
    assert not any(word in repr((volume.warnings, volume.source)) for word in ("script", "P1", "passwd", "cmd"))


def test_a_single_slice_is_for_2d_systems(tmp_path: Path) -> None:
    volume = read_series(write(tmp_path / "ct", series()[19:20]), min_slices=1)
    assert volume.hu.shape == (COLUMNS, ROWS, 1)
    assert "W_COVERAGE" in codes(volume)
    assert_exact(volume)
