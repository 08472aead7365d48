"""Each kind of DICOM folder: imported exactly, imported with its warning, or refused by its code."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from analytic_head import BLEED_ML, BLEEDS, grid_points, hu_at
from dicom_phantom import COLUMNS, EVEN, ROWS, SERIES, ds_text, enhanced, pixel_points, series, set_pixels, write
from monai.data import ITKReader
from monai.transforms import LoadImage
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from hemorrhage.dicom.importer import import_series, read_series
from hemorrhage.dicom.slice_map import SliceMap
from hemorrhage.errors import ScanError
from hemorrhage.geometry import shear_degrees, voxel_volume_ml
from hemorrhage.volume import Volume

Maker = Callable[[Path], Path]


def codes(volume: Volume) -> list[str]:
    return [warning.code for warning in volume.warnings]


def assert_exact(volume: Volume) -> None:
    """Every voxel holds what the head has where the volume's affine puts it."""
    assert volume.hu.dtype == np.float32
    truth = hu_at(grid_points(volume.hu.shape, volume.affine)).astype(np.float32)
    # Decimal strings of 16 characters move a voxel on the very border of an ellipsoid now and then.
    assert (volume.hu != truth).sum() <= 4


def rotation(axis: str, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    turn = np.eye(3)
    turn[a, a] = turn[b, b] = c
    turn[a, b], turn[b, a] = -s, s
    return turn


# --- read exactly ----------------------------------------------------------------------------------------------------


def each(change: Callable[[int, Dataset], None], datasets: list[Dataset] | None = None) -> list[Dataset]:
    datasets = series() if datasets is None else datasets
    for k, dataset in enumerate(datasets):
        change(k, dataset)
    return datasets


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


def compressed(folder: Path, syntax: str) -> Path:
    datasets = series()
    for dataset in datasets:
        dataset.compress(syntax, generate_instance_uid=False)
    return write(folder, datasets)


def rewritten(folder: Path, syntax: str) -> Path:
    datasets = series()
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            set_pixels(dataset, dtype=">i2")
    return write(folder, datasets)


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


def hostile(_: int, dataset: Dataset) -> None:
    dataset.PatientName = "<script>alert(1)</script>^=cmd()"
    dataset.SeriesDescription = "../../etc/passwd\x1b[31m"
    dataset.ConvolutionKernel = "<b>\x1b[31m"


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


# --- read, with what was corrected or is in doubt --------------------------------------------------------------------


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


def other_object(modality: str, sop_class: str, **tags: object) -> Dataset:
    dataset = series(EVEN[:2])[0]
    dataset.SOPClassUID, dataset.Modality, dataset.SOPInstanceUID = sop_class, modality, "1.2.3.4"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def report() -> Dataset:
    dataset = other_object("SR", "1.2.840.10008.5.1.4.1.1.88.22", SeriesInstanceUID="1.2.9")
    del dataset.PixelData
    return dataset


def scout(uid: str = SERIES) -> Dataset:
    return other_object(
        "CT", "1.2.840.10008.5.1.4.1.1.2", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesInstanceUID=uid
    )


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


# --- tilt and unequal distances --------------------------------------------------------------------------------------

FINE = {"Rows": 112, "Columns": 96, "PixelSpacing": ["2", "2"], "SliceThickness": "3"}
THIN = tuple(np.arange(72) * 3.0)
UNEQUAL = tuple(np.concatenate([np.arange(36) * 2.5, 36 * 2.5 + 2.5 * np.arange(20) * 2]))


def assert_bleeds_in_place(folder: Path, step_mm: float) -> None:
    imported = import_series(folder)
    volume, slice_map = imported.volume, imported.slice_map
    assert shear_degrees(volume.affine) < 1e-6
    truth_native = np.stack(
        [hu_at(pixel_points(pydicom.dcmread(folder / name))).T for name in slice_map.files], axis=-1
    )
    points = grid_points(volume.hu.shape, volume.affine)
    for (center, radius), ml in zip(BLEEDS, BLEED_ML, strict=True):
        near = np.linalg.norm(points - center, axis=-1) < radius + 6
        weight = np.clip((volume.hu - 35.0) / 25.0, 0.0, 1.0) * near
        centroid = (points * weight[..., None]).sum(axis=(0, 1, 2)) / weight.sum()
        assert np.linalg.norm(centroid - center) < 0.5
        assert weight.sum() * voxel_volume_ml(volume.affine) == pytest.approx(ml, rel=0.03)
    bleed = (truth_native == 60.0).astype(np.float64)
    assert slice_map.integrate_ml(bleed) == pytest.approx(sum(BLEED_ML), rel=0.015)
    # What the volume holds at the native pixels is what was scanned there, but for the blur of two interpolations.
    sources = [pydicom.dcmread(folder / name) for name in slice_map.files]
    places = np.stack([pixel_points(source).transpose(1, 0, 2) for source in sources], axis=2)
    brain = ((places / (62, 80, 66)) ** 2).sum(axis=-1) < 1
    back = slice_map.to_native(volume.hu)
    assert np.abs(back - truth_native)[brain].mean() < 0.2
    mask = (back > 47.5) & brain
    dice = 2 * (mask & (bleed > 0)).sum() / (mask.sum() + bleed.sum())
    assert dice > 0.99
    assert step_mm == pytest.approx(slice_map.step_mm, rel=0.01)


@pytest.mark.parametrize("tilt", [-30, -20, -15, -7, 5, 12, 20, 25, 30])
def test_d12_tilt_is_undone_from_positions(tmp_path: Path, tilt: float) -> None:
    folder = write(tmp_path / "ct", series(THIN, tilt=tilt, GantryDetectorTilt=str(tilt), **FINE))
    volume = read_series(folder)
    assert codes(volume) == ["W_TILT"]
    assert abs(volume.warnings[0].numbers["tilt_degrees"]) == pytest.approx(abs(tilt), abs=0.01)
    assert_bleeds_in_place(folder, 3.0 * np.cos(np.radians(tilt)))


@pytest.mark.parametrize("tag", [None, "0", "-20"])
def test_d11_d13_d14_the_tilt_tag_is_not_needed_and_not_believed(tmp_path: Path, tag: str | None) -> None:
    tags = {} if tag is None else {"GantryDetectorTilt": tag}
    volume = read_series(write(tmp_path / "ct", series(tilt=15, **tags)))
    assert codes(volume) == ["W_TILT"]
    assert ("positions were believed" in volume.warnings[0].text) == (tag is not None)
    untagged = read_series(write(tmp_path / "b", series(tilt=15)))
    np.testing.assert_array_equal(volume.hu, untagged.hu)


def test_d3_enhanced_tilt_equals_single_frames(tmp_path: Path) -> None:
    slices = series(tilt=-18.5)
    one, many = read_series(write(tmp_path / "a", [enhanced(slices)])), read_series(write(tmp_path / "b", slices))
    assert codes(one) == codes(many) == ["W_TILT"]
    np.testing.assert_array_equal(one.hu, many.hu)
    np.testing.assert_array_equal(one.affine, many.affine)


@pytest.mark.parametrize("tilt", [0, 18])
def test_d9_d15_unequal_distances_are_resampled_on_the_finest(tmp_path: Path, tilt: float) -> None:
    folder = write(tmp_path / "ct", series(UNEQUAL, tilt=tilt, **{**FINE, "SliceThickness": "2.5"}))
    volume = read_series(folder)
    assert codes(volume) == (["W_TILT", "W_SPACING"] if tilt else ["W_SPACING"])
    assert_bleeds_in_place(folder, 2.5 * np.cos(np.radians(tilt)))


def test_slices_that_the_volume_keeps_are_exact_and_the_others_lie_between(tmp_path: Path) -> None:
    table = (*np.arange(0, 100, 5.0), *np.arange(100, 200, 10.0))
    thick = each(lambda k, s: setattr(s, "SliceThickness", "5" if k < 20 else "10"), series(table))
    imported = import_series(write(tmp_path / "ct", thick))
    volume, slice_map = imported.volume, imported.slice_map
    assert volume.hu.shape[2] == 39
    for k in range(39):
        sources = slice_map.sources_of(k)
        assert sum(weight for _, weight in sources) == pytest.approx(1.0)
        place = sum(slice_map.distances_mm[n] * weight for n, weight in sources)
        assert place == pytest.approx(k * slice_map.step_mm)
        if len(sources) == 1:
            source = pydicom.dcmread(tmp_path / "ct" / slice_map.files[sources[0][0]])
            np.testing.assert_array_equal(volume.hu[:, :, k], hu_at(pixel_points(source)).T)
    assert [len(slice_map.sources_of(k)) for k in (5, 20, 21, 22)] == [1, 1, 2, 1]


def test_a_label_goes_back_to_its_own_slices(tmp_path: Path) -> None:
    imported = import_series(write(tmp_path / "ct", series(UNEQUAL, tilt=20, **FINE)))
    label = (np.abs(imported.volume.hu - 60) < 5).astype(np.uint8)
    native = imported.slice_map.to_native(label, order=0)
    assert native.shape == (96, 112, len(UNEQUAL))
    assert native.dtype == np.uint8
    assert set(np.unique(native)) == {0, 1}


def test_the_record_of_a_volume_rebuilds_the_map(tmp_path: Path) -> None:
    imported = import_series(write(tmp_path / "ct", series(UNEQUAL, tilt=20)))
    again = SliceMap.from_source(imported.volume.source)
    assert again is not None
    np.testing.assert_array_equal(again.weights_mm(), imported.slice_map.weights_mm())
    np.testing.assert_array_equal(again.offsets, imported.slice_map.offsets)
    assert SliceMap.from_source({"format": "NIfTI"}) is None


# --- refused ---------------------------------------------------------------------------------------------------------


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


def damaged_rle(folder: Path) -> Path:
    path = compressed(folder, RLELossless) / "IM0003.dcm"
    content = bytearray(path.read_bytes())
    content[-1500:-1000] = bytes(500)
    path.write_bytes(content)
    return folder


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


def test_a_missing_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = compressed(tmp_path / "ct", JPEGLSLossless)
    monkeypatch.setattr(get_decoder(JPEGLSLossless), "_available", {})
    with pytest.raises(ScanError, match=r"E_CODEC.*JPEG-LS.*pyjpegls"):
        read_series(folder)


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


def test_two_patients_are_never_named(tmp_path: Path) -> None:
    with pytest.raises(ScanError) as caught:
        read_series(write(tmp_path / "ct", changed(3, PatientName="Roe^Ann")))
    assert "Roe" not in str(caught.value)
    assert "Doe" not in str(caught.value)


def test_d23_the_series_can_be_chosen(tmp_path: Path) -> None:
    folder = REFUSED["D23 two series"][1](tmp_path / "ct")
    assert_exact(read_series(folder, series_uid="1.2.5"))
    with pytest.raises(ScanError, match="E_NO_SERIES"):
        read_series(folder, series_uid="1.2.6")


def test_a_single_slice_is_for_2d_systems(tmp_path: Path) -> None:
    volume = read_series(write(tmp_path / "ct", series()[19:20]), min_slices=1)
    assert volume.hu.shape == (COLUMNS, ROWS, 1)
    assert "W_COVERAGE" in codes(volume)
    assert_exact(volume)
