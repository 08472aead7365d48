"""Segmentations and reports, read back by the library that wrote them and by readers that know nothing of it."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from analytic_head import BLEED_ML, BLEEDS
from dicom_phantom import EVEN, FRAME_OF_REFERENCE, SERIES, STUDY, enhanced, pixel_points, series, write
from pydicom.dataset import Dataset

from hemorrhage.dicom.derived import IDENTIFYING, REPORT_FILE, SEGMENTATION_FILE, save_derived
from hemorrhage.dicom.importer import import_series
from hemorrhage.dicom.segmentation import Algorithm
from hemorrhage.dicom.slice_map import SliceMap
from hemorrhage.errors import ScanWarning
from hemorrhage.report.subtype_volumes import native_volumes_ml
from hemorrhage.subtypes import ANY, SUBTYPES, Subtype

LABELS = (1, 4, 2)
ALGORITHM = Algorithm("ab" * 32, 0.5, ("W_TILT",))
UNEQUAL = (*np.arange(0, 100, 4.0), *np.arange(100, 184, 7.0))
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def truth_on(sources: list[Dataset]) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the three bleeds and RAS mm of every pixel, (columns, rows, N) and (columns, rows, N, 3)."""
    places = np.stack([pixel_points(source).transpose(1, 0, 2) for source in sources], axis=2)
    labels = np.zeros(places.shape[:3], np.uint8)
    for label, (center, radius) in zip(LABELS, BLEEDS, strict=True):
        labels[((places - center) ** 2).sum(axis=-1) < radius**2] = label
    return labels, places


def derived(
    folder: Path,
    native: np.ndarray,
    slice_map: SliceMap,
    segments: tuple[Subtype, ...] = SUBTYPES,
    name_patient: bool = False,
) -> tuple[Path, list[ScanWarning]]:
    out = folder.parent / "out"
    out.mkdir()
    volumes = native_volumes_ml(slice_map, native, segments)
    return out, save_derived(out, folder, slice_map, native, volumes, segments, ALGORITHM, name_patient)


def points_by_frame(dataset: Dataset) -> dict[int, np.ndarray]:
    """RAS mm of the pixels of each segment from the functional groups alone (PS3.3 C.7.6.16)."""
    frames = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
    frames = frames[: dataset.NumberOfFrames * dataset.Rows * dataset.Columns]
    frames = frames.reshape(dataset.NumberOfFrames, dataset.Rows, dataset.Columns)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    found: dict[int, list[np.ndarray]] = {}
    for frame, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        plane = Dataset()
        plane.Rows, plane.Columns = dataset.Rows, dataset.Columns
        plane.ImagePositionPatient = group.PlanePositionSequence[0].ImagePositionPatient
        plane.ImageOrientationPatient = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        plane.PixelSpacing = shared.PixelMeasuresSequence[0].PixelSpacing
        groups = group if "SegmentIdentificationSequence" in group else shared
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found.setdefault(number, []).append(pixel_points(plane)[frame > 0])
    return {number: np.concatenate(points) for number, points in found.items()}


def points_by_highdicom(path: Path, number: int, sources: list[Dataset]) -> np.ndarray:
    segmentation = hd.seg.segread(path)
    pixels = segmentation.get_pixels_by_source_instance(
        [source.SOPInstanceUID for source in sources], segment_numbers=[number], ignore_spatial_locations=True
    )[..., 0]
    points = []
    for pixel, source in zip(pixels, sources, strict=True):
        transformer = hd.spatial.PixelToReferenceTransformer(
            image_position=source.ImagePositionPatient,
            image_orientation=source.ImageOrientationPatient,
            pixel_spacing=source.PixelSpacing,
        )
        rows, columns = np.nonzero(pixel)
        points.append(transformer(np.column_stack([columns, rows])) * LPS_TO_RAS)
    return np.concatenate(points)


@pytest.mark.parametrize(
    ("table", "tilt"), [*((EVEN, tilt) for tilt in (-30, -15, 0, 20, 30)), (UNEQUAL, -25), (UNEQUAL, 18.5)]
)
def test_both_readers_find_the_bleeds_where_they_are(
    tmp_path: Path, table: tuple[float, ...] | None, tilt: float
) -> None:
    sources = series(tilt=tilt) if table is None else series(table, tilt=tilt)
    slice_map = import_series(write(tmp_path / "ct", sources)).slice_map
    sources = [pydicom.dcmread(tmp_path / "ct" / name) for name in slice_map.files]
    native, places = truth_on(sources)
    out, doubts = derived(tmp_path / "ct", native, slice_map)
    assert doubts == []
    dataset = pydicom.dcmread(out / SEGMENTATION_FILE)
    own = points_by_frame(dataset)
    assert sorted(own) == sorted(LABELS)
    for label in LABELS:
        true = places[native == label]
        for found in (own[label], points_by_highdicom(out / SEGMENTATION_FILE, label, sources)):
            assert len(found) == len(true)
            assert np.linalg.norm(found.mean(axis=0) - true.mean(axis=0)) < 0.3
            ordered = [points[np.lexsort(points.round(1).T)] for points in (found, true)]
            assert np.linalg.norm(ordered[0] - ordered[1], axis=1).max() < 0.3


@pytest.mark.parametrize("tilt", [0, 20])
def test_simpleitk_finds_the_same_pixels_and_the_same_corner(tmp_path: Path, tilt: float) -> None:
    """It takes no pixel size and no place of later frames from functional groups: those are left to the others."""
    sitk = pytest.importorskip("SimpleITK")
    slice_map = import_series(write(tmp_path / "ct", series(tilt=tilt))).slice_map
    sources = [pydicom.dcmread(tmp_path / "ct" / name) for name in slice_map.files]
    native, places = truth_on(sources)
    native[native > 0] = 1
    out, _ = derived(tmp_path / "ct", native, slice_map, (ANY,))
    image = sitk.ReadImage(str(out / SEGMENTATION_FILE))
    frames = np.flatnonzero(native.any(axis=(0, 1)))[::-1]  # from the head down
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image) > 0, native[:, :, frames].transpose(2, 1, 0) > 0)
    assert np.linalg.norm(places[0, 0, frames[0]] - np.array(image.GetOrigin()) * LPS_TO_RAS) < 0.3
    orientation = [float(v) for v in sources[0].ImageOrientationPatient]
    np.testing.assert_allclose(np.array(image.GetDirection()).reshape(3, 3)[:, :2].T.ravel(), orientation, atol=1e-6)


def test_what_a_segmentation_says(tmp_path: Path) -> None:
    slice_map = import_series(write(tmp_path / "ct", series(tilt=12))).slice_map
    sources = [pydicom.dcmread(tmp_path / "ct" / name) for name in slice_map.files]
    out, _ = derived(tmp_path / "ct", truth_on(sources)[0], slice_map)
    dataset = pydicom.dcmread(out / SEGMENTATION_FILE)
    assert (dataset.StudyInstanceUID, dataset.FrameOfReferenceUID) == (STUDY, FRAME_OF_REFERENCE)
    assert dataset.SeriesInstanceUID != SERIES
    assert "Research use only" in dataset.SeriesDescription
    assert dataset.ContentQualification == "RESEARCH"
    described = dataset.SegmentSequence
    assert [s.SegmentLabel for s in described] == [s.name for s in SUBTYPES]
    kinds = [s.SegmentedPropertyTypeCodeSequence[0] for s in described]
    assert [(k.CodeValue, k.CodingSchemeDesignator) for k in kinds] == [(s.snomed, "SCT") for s in SUBTYPES]
    assert all(s.SegmentAlgorithmType == "AUTOMATIC" for s in described)
    parameters = described[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    assert all(text in parameters for text in ("ab" * 32, "threshold=0.5", "W_TILT", "not for diagnosis"))
    referenced = {r.ReferencedSOPInstanceUID for r in dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert referenced == {source.SOPInstanceUID for source in sources}
    for group in dataset.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        position = next(s.ImagePositionPatient for s in sources if s.SOPInstanceUID == source)
        np.testing.assert_allclose(group.PlanePositionSequence[0].ImagePositionPatient, position, atol=1e-6)


def test_a_report_gives_each_volume_and_their_sum(tmp_path: Path) -> None:
    slice_map = import_series(write(tmp_path / "ct", series(tilt=-20))).slice_map
    sources = [pydicom.dcmread(tmp_path / "ct" / name) for name in slice_map.files]
    native, _ = truth_on(sources)
    out, _ = derived(tmp_path / "ct", native, slice_map)
    report = hd.sr.srread(out / REPORT_FILE)
    assert report.VerificationFlag == "UNVERIFIED"
    volumes = {}
    for group in report.content.get_volumetric_roi_measurement_groups():
        (volume,) = group.get_measurements()
        assert volume.unit.value == "mL"
        volumes[group.finding_type.value] = volume.value
    (total,) = report.content.get_image_measurement_groups()
    expected = native_volumes_ml(slice_map, native, SUBTYPES)
    present = [s for s in SUBTYPES if s.index in LABELS]  # no finding of what was not found
    assert volumes == {s.snomed: pytest.approx(expected[s.short], abs=1e-3) for s in present}
    assert total.finding_type.value == ANY.snomed
    assert total.get_measurements()[0].value == pytest.approx(sum(BLEED_ML), rel=0.05)
    segmentation = pydicom.dcmread(out / SEGMENTATION_FILE).SOPInstanceUID
    assert str(segmentation) in str(report)


def test_binary_systems_have_one_segment_and_one_volume(tmp_path: Path) -> None:
    slice_map = import_series(write(tmp_path / "ct", series())).slice_map
    sources = [pydicom.dcmread(tmp_path / "ct" / name) for name in slice_map.files]
    out, _ = derived(tmp_path / "ct", (truth_on(sources)[0] > 0).astype(np.uint8), slice_map, (ANY,))
    dataset = pydicom.dcmread(out / SEGMENTATION_FILE)
    assert [s.SegmentLabel for s in dataset.SegmentSequence] == ["intracranial hemorrhage"]
    report = hd.sr.srread(out / REPORT_FILE)
    assert len(report.content.get_volumetric_roi_measurement_groups()) == 1
    assert not report.content.get_image_measurement_groups()


def test_no_blood_is_an_empty_frame_and_zero(tmp_path: Path) -> None:
    slice_map = import_series(write(tmp_path / "ct", series(tilt=10))).slice_map
    out, doubts = derived(tmp_path / "ct", np.zeros((48, 56, 38), np.uint8), slice_map, (ANY,))
    assert doubts == []
    dataset = pydicom.dcmread(out / SEGMENTATION_FILE)
    assert dataset.NumberOfFrames == 1
    assert not any(dataset.PixelData)
    (group,) = hd.sr.srread(out / REPORT_FILE).content.get_volumetric_roi_measurement_groups()
    assert group.get_measurements()[0].value == 0.0


@pytest.mark.parametrize("file", ["", "IM0000.dcm"])
def test_frames_of_one_file_are_referred_to_as_frames(tmp_path: Path, file: str) -> None:
    slices = series(tilt=-18.5)
    source = write(tmp_path / "ct", [enhanced(slices[::-1])]) / file
    slice_map = import_series(source).slice_map
    sources = [slices[::-1][k] for k in slice_map.frames]
    native, places = truth_on(sources)
    out, doubts = derived(source, native, slice_map)
    assert doubts == []
    dataset = pydicom.dcmread(out / SEGMENTATION_FILE)
    own = points_by_frame(dataset)
    for label in LABELS:
        true = places[native == label]
        assert len(own[label]) == len(true)
        assert np.linalg.norm(own[label].mean(axis=0) - true.mean(axis=0)) < 0.3


PERSONAL = {
    "PatientComments": "NEVER-COPIED",
    "PatientAddress": "NEVER-COPIED",
    "OtherPatientIDs": "NEVER-COPIED",
    "PatientAge": "077Y",
    "InstitutionName": "NEVER-COPIED",
    "StudyDescription": "NEVER-COPIED",
    "OperatorsName": "NEVER-COPIED",
    "StationName": "NEVER-COPIED",
    "DeviceSerialNumber": "NEVER-COPIED",
}


PLANTED = {
    "PatientName": "PLANTED^NAME", "PatientID": "PLANTED-ID", "PatientBirthDate": "19010203", "PatientSex": "O",
    "StudyDate": "19020304", "StudyTime": "010203.456789", "StudyID": "PLANTED-STUDY",
    "AccessionNumber": "PLANTED-ACC", "ReferringPhysicianName": "PLANTED^DOCTOR",
}  # fmt: skip


def test_nothing_that_names_the_patient_is_written_unless_asked_for(tmp_path: Path) -> None:
    sources = series(**{**PERSONAL, **PLANTED})
    slice_map = import_series(write(tmp_path / "ct", sources)).slice_map
    out, doubts = derived(tmp_path / "ct", np.zeros((48, 56, 38), np.uint8), slice_map, (ANY,))
    assert doubts == []
    assert set(PLANTED) == set(IDENTIFYING)
    for name in (SEGMENTATION_FILE, REPORT_FILE):
        content = (out / name).read_bytes()
        for value in (*PLANTED.values(), "NEVER-COPIED", "077Y"):
            assert len(value) == 1 or value.encode() not in content, (name, value)
        dataset = pydicom.dcmread(out / name)
        assert all(keyword in dataset and dataset[keyword].is_empty for keyword in IDENTIFYING)
        assert dataset.StudyInstanceUID == sources[0].StudyInstanceUID


def test_no_text_of_the_patient_is_copied_but_what_an_archive_requires(tmp_path: Path) -> None:
    sources = series(AccessionNumber="A1", PatientBirthDate="19440101", PatientSex="F", **PERSONAL)
    slice_map = import_series(write(tmp_path / "ct", sources)).slice_map
    out, _ = derived(tmp_path / "ct", np.zeros((48, 56, 38), np.uint8), slice_map, (ANY,), name_patient=True)
    for name in (SEGMENTATION_FILE, REPORT_FILE):
        dataset = pydicom.dcmread(out / name)
        assert (dataset.PatientID, dataset.PatientName, dataset.AccessionNumber) == ("P1", "Doe^Jane", "A1")
        assert "NEVER-COPIED" not in str(dataset)
        assert "PatientAge" not in dataset


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "FrameOfReferenceUID"])
def test_a_source_that_cannot_be_referred_to_is_said_and_leaves_nothing(tmp_path: Path, keyword: str) -> None:
    sources = series()
    for source in sources:
        delattr(source, keyword)
    slice_map = import_series(write(tmp_path / "ct", sources)).slice_map
    out, doubts = derived(tmp_path / "ct", np.zeros((48, 56, 38), np.uint8), slice_map, (ANY,))
    assert [w.code for w in doubts] == ["W_DICOM_OUT"]
    assert keyword in doubts[0].text
    assert not list(out.iterdir())


def test_entries_against_the_rules_are_left_empty(tmp_path: Path) -> None:
    sources = series(PatientSex="X", StudyDate="20240101")
    folder = write(tmp_path / "ct", sources)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"20240101", b"2024-1-1"))
    slice_map = import_series(folder).slice_map
    out, doubts = derived(folder, np.zeros((48, 56, 38), np.uint8), slice_map, (ANY,))
    assert doubts == []
    dataset = pydicom.dcmread(out / SEGMENTATION_FILE)
    assert (dataset.PatientSex, dataset.StudyDate) == ("", "")


def test_an_unforeseen_refusal_of_the_library_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AttributeError("Doe^Jane is no attribute")

    monkeypatch.setattr("hemorrhage.dicom.derived.make_measurement_report", refuse)
    slice_map = import_series(write(tmp_path / "ct", series())).slice_map
    out, doubts = derived(tmp_path / "ct", np.zeros((48, 56, 38), np.uint8), slice_map, (ANY,))
    assert [w.code for w in doubts] == ["W_DICOM_OUT"]
    assert "Doe" not in doubts[0].text
    assert not list(out.iterdir())


def test_the_record_names_the_seed_threshold_where_there_is_one():
    assert "seed_threshold" not in ALGORITHM.parameters()
    assert Algorithm("ab" * 32, 0.3, (), 0.8).parameters()["seed_threshold"] == "0.8"
