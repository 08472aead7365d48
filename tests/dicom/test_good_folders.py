"""Folders that are read exactly, without a word."""

from __future__ import annotations

import os
from pathlib import Path

import gdcm
import numpy as np
import pytest
from dicom_folders import (
    Maker,
    assert_exact,
    codes,
    compressed,
    each,
    hostile,
    rewritten,
    rotation,
)
from dicom_phantom import COLUMNS, EVEN, ROWS, ds_text, enhanced, series, set_pixels, write
from monai.data import ITKReader
from monai.transforms import LoadImage
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from hemorrhage.dicom.importer import read_series
from hemorrhage.geometry import shear_degrees


def shuffled() -> list[Dataset]:
    datasets = series()
    return [datasets[k] for k in np.random.default_rng(0).permutation(len(datasets))]


def transcoded(folder: Path, syntax: gdcm.TransferSyntax) -> Path:
    unsigned = each(lambda _, d: set_pixels(d), series(PixelRepresentation=0, BitsStored=12, HighBit=11))
    for path in sorted(write(folder, unsigned).iterdir()):
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
    return folder


def overlay_bits(_: int, dataset: Dataset) -> None:
    dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
    set_pixels(dataset)
    stored = np.frombuffer(dataset.PixelData, "<u2") | 0x8000
    dataset.PixelData = stored.tobytes()


def signed_12_bits(_: int, dataset: Dataset) -> None:
    dataset.BitsStored, dataset.HighBit, dataset.RescaleIntercept = 12, 11, "0"
    set_pixels(dataset)
    dataset.PixelData = (np.frombuffer(dataset.PixelData, "<u2") & 0x0FFF).tobytes()


def slope_of_its_own(k: int, dataset: Dataset) -> None:
    dataset.RescaleSlope, dataset.RescaleIntercept = ("0.5", "-1000") if k % 2 else ("1", "-1024")
    set_pixels(dataset)


def private_tags(_: int, dataset: Dataset) -> None:
    block = dataset.private_block(0x0029, "SOMEBODY 1.0", create=True)
    block.add_new(0x10, "OB", bytes(9000))
    block.add_new(0x11, "LO", "secret")


def far_table(_: int, dataset: Dataset) -> None:
    x, y, z = (float(v) for v in dataset.ImagePositionPatient)
    dataset.ImagePositionPatient = ds_text([x, y, z + 1900.123])


def jitter(k: int, dataset: Dataset) -> None:
    shift = np.random.default_rng(k).uniform(-0.08, 0.08, 3)
    dataset.ImagePositionPatient = ds_text(np.array([float(v) for v in dataset.ImagePositionPatient]) + shift)


def junk(folder: Path) -> Path:
    write(folder, series())
    (folder / "README.txt").write_text("burned by a PACS")
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(100))
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (folder / "viewer").mkdir()
    (folder / "viewer" / "run.exe").write_bytes(b"MZ" + bytes(3000))
    return folder


def links(folder: Path) -> Path:
    write(folder, series())
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "again.dcm").symlink_to(folder / "IM0000.dcm")
    return folder


def fifo(folder: Path) -> Path:
    write(folder, series())
    os.mkfifo(folder / "pipe.dcm")
    return folder


GOOD: dict[str, Maker] = {
    "D66 clean": lambda d: write(d, series()),
    "D28 pipe in the folder": fifo,
    "D52 links": links,
    "D65 big endian": lambda d: rewritten(d, ExplicitVRBigEndian),
    "D67 coronal": lambda d: write(d, series(tuple(np.arange(44) * 5.0), turn=rotation("x", 90))),
    "D68 deflated": lambda d: rewritten(d, DeflatedExplicitVRLittleEndian),
    "D69 descending": lambda d: write(d, series(EVEN[::-1])),
    "D70 enhanced": lambda d: write(d, [enhanced(series())]),
    "D72 feet first": lambda d: write(d, series(turn=rotation("y", 180))),
    "D73 hostile header": lambda d: write(d, each(hostile)),
    "D74 implicit VR": lambda d: rewritten(d, ImplicitVRLittleEndian),
    "D75 image numbers reversed": lambda d: write(d, each(lambda k, s: setattr(s, "InstanceNumber", str(38 - k)))),
    "D76 JPEG 2000": lambda d: transcoded(d, gdcm.TransferSyntax.JPEG2000Lossless),
    "D77 JPEG lossless": lambda d: transcoded(d, gdcm.TransferSyntax.JPEGLosslessProcess14_1),
    "D78 JPEG-LS": lambda d: compressed(d, JPEGLSLossless),
    "D79 junk in the folder": junk,
    "D80 no ending": lambda d: write(d, series(), "IM{:04d}"),
    "D81 pixels not square": lambda d: write(d, series(PixelSpacing=["3.5", "5"])),
    "D82 oblique": lambda d: write(d, series(tuple(np.arange(44) * 5.0), turn=rotation("x", 20) @ rotation("z", 10))),
    "D83 overlay in the high bits": lambda d: write(d, each(overlay_bits)),
    "D84 private entries": lambda d: write(d, each(private_tags)),
    "D85 prone": lambda d: write(d, series(turn=rotation("z", 180))),
    "D86 slope of each slice": lambda d: write(d, each(slope_of_its_own)),
    "D87 RLE": lambda d: compressed(d, RLELossless),
    "D88 shuffled names": lambda d: write(d, shuffled()),
    "D89 signed 12 of 16 bits": lambda d: write(d, each(signed_12_bits)),
    "D90 odd path": lambda d: write(d.parent / "Schädel, nativ 1", series()),
    "D91 thin overlap": lambda d: write(d, series(SliceThickness="7.5")),
    "D92 corrected but tagged": lambda d: write(d, series(GantryDetectorTilt="15")),
    "GE step and shoot": lambda d: write(d, each(lambda k, s: setattr(s, "AcquisitionNumber", str(k + 1)))),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_folders_are_read_exactly(tmp_path: Path, name: str) -> None:
    volume = read_series(GOOD[name](tmp_path / "ct"))
    assert codes(volume) == []
    assert shear_degrees(volume.affine) < 1e-6
    assert volume.hu.size == ROWS * COLUMNS * volume.hu.shape[2]
    assert_exact(volume)


def test_d71_a_far_table_position_keeps_its_decimals(tmp_path: Path) -> None:
    volume = read_series(write(tmp_path / "ct", each(far_table)))
    assert codes(volume) == []
    volume.affine[2, 3] -= 1900.123
    assert_exact(volume)


def test_d8_jitter_below_a_tenth_of_a_millimeter_is_tolerated(tmp_path: Path) -> None:
    volume = read_series(write(tmp_path / "ct", each(jitter)))
    assert codes(volume) == []
    assert volume.hu.shape == (COLUMNS, ROWS, 38)
    np.testing.assert_array_equal(volume.hu, read_series(write(tmp_path / "b", series())).hu)


@pytest.mark.parametrize("name", ["D67 coronal", "D69 descending", "D72 feet first", "D82 oblique", "D85 prone"])
def test_itk_puts_every_voxel_at_the_same_place(tmp_path: Path, name: str) -> None:
    pytest.importorskip("itk", reason="a second opinion where itk is installed")
    folder = GOOD[name](tmp_path / "ct")
    ours, theirs = read_series(folder), LoadImage(reader=ITKReader())(str(folder))
    place = np.linalg.inv(ours.affine) @ theirs.affine.numpy()
    index = np.indices(theirs.shape).reshape(3, -1)
    voxel = place[:3, :3] @ index + place[:3, 3:]
    np.testing.assert_allclose(voxel, np.round(voxel), atol=1e-3)
    i, j, k = np.round(voxel).astype(int)
    np.testing.assert_array_equal(ours.hu[i, j, k], theirs.numpy().ravel())
