"""CT series of the analytic head, in which every pixel is sampled where its header says that it lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from analytic_head import hu_at
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

ROWS, COLUMNS, SPACING = 56, 48, (4.0, 4.0)
STUDY, FRAME_OF_REFERENCE = "1.2.826.0.1.3680043.8.498.8", "1.2.826.0.1.3680043.8.498.9"
SERIES = "1.2.826.0.1.3680043.8.498.1"
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
EVEN = tuple(np.arange(38) * 5.0)


_COMMON = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "ImageType",
    "PatientID",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)


def ds_text(numbers: Sequence[float]) -> list[str]:
    return [f"{n:.10g}"[:16] for n in numbers]


def pixel_points(dataset: Dataset) -> np.ndarray:
    """RAS mm of every pixel, (rows, columns, 3), from the header alone (DICOM PS3.3 C.7.6.2.1.1)."""
    orientation = np.array([float(v) for v in dataset.ImageOrientationPatient])
    position = np.array([float(v) for v in dataset.ImagePositionPatient])
    between_rows, between_columns = (float(v) for v in dataset.PixelSpacing)
    row, column = np.meshgrid(np.arange(dataset.Rows), np.arange(dataset.Columns), indexing="ij")
    lps = (
        position
        + column[..., None] * between_columns * orientation[:3]
        + row[..., None] * between_rows * orientation[3:]
    )
    return lps * LPS_TO_RAS


def set_pixels(dataset: Dataset, hu: np.ndarray | None = None, dtype: str = "<i2") -> None:
    """Store HU, by default those of the head, through the dataset's own slope and intercept."""
    hu = hu_at(pixel_points(dataset)) if hu is None else hu
    stored = np.round((hu - float(dataset.RescaleIntercept)) / float(dataset.RescaleSlope))
    dataset.PixelData = stored.astype(dtype).tobytes()


def one_slice(position: np.ndarray, orientation: np.ndarray, number: int, **tags: object) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{SERIES}.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = STUDY, SERIES, FRAME_OF_REFERENCE
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientID = "P1"
    dataset.PatientName = "Doe^Jane"
    dataset.InstanceNumber = str(number)
    dataset.AcquisitionNumber = "1"
    dataset.SliceThickness = "5"
    dataset.ConvolutionKernel = "H30s"
    dataset.ImagePositionPatient = ds_text(position)
    dataset.ImageOrientationPatient = ds_text(orientation)
    dataset.PixelSpacing = ds_text(SPACING)
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 1
    dataset.RescaleIntercept, dataset.RescaleSlope = "-1024", "1"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    set_pixels(dataset)
    return dataset


def series(
    table: Sequence[float] = EVEN,
    *,
    tilt: float = 0.0,
    turn: np.ndarray | None = None,
    **tags: object,
) -> list[Dataset]:
    """Slices at table positions ``table`` (mm), their planes tilted about the row by ``tilt`` degrees.

    Args:
        table: where slices lie along the patient's axis, which stays the axis of motion when the gantry leans.
        tilt: degrees, positive turns the columns toward the head.
        turn: (3, 3) rotation of the whole scan in LPS, for other ways to lie.
        tags: further entries of every slice.
    """
    turn = np.eye(3) if turn is None else turn
    t = np.radians(tilt)
    along_row, along_column = np.array([1.0, 0.0, 0.0]), np.array([0.0, np.cos(t), np.sin(t)])
    rows, columns = int(tags.get("Rows", ROWS)), int(tags.get("Columns", COLUMNS))
    between_rows, between_columns = (float(v) for v in tags.get("PixelSpacing", SPACING))
    corner = -along_row * between_columns * (columns - 1) / 2 - along_column * between_rows * (rows - 1) / 2
    middle = (table[0] + table[-1]) / 2
    orientation = np.concatenate([turn @ along_row, turn @ along_column])
    return [
        one_slice(turn @ (corner + np.array([0.0, 0.0, z - middle])), orientation, k + 1, **tags)
        for k, z in enumerate(table)
    ]


def write(folder: Path, datasets: Sequence[Dataset], name: str = "IM{:04d}.dcm", **options: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for k, dataset in enumerate(datasets):
        path = folder / name.format(k)
        pydicom.dcmwrite(path, dataset, enforce_file_format=True, **options)
    return folder


def enhanced(slices: Sequence[Dataset]) -> Dataset:
    """The same slices as the frames of one enhanced CT object."""
    first = slices[0]
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = EnhancedCTImageStorage
    dataset.SOPInstanceUID = f"{SERIES}.1000"
    for keyword in _COMMON:
        dataset[keyword] = first[keyword]
    dataset.NumberOfFrames = len(slices)

    def group(source: Dataset, keywords: str) -> DicomSequence:
        item = Dataset()
        for keyword in keywords.split():
            item[keyword] = source[keyword]
        return DicomSequence([item])

    shared = Dataset()
    shared.PixelMeasuresSequence = group(first, "PixelSpacing SliceThickness")
    shared.PlaneOrientationSequence = group(first, "ImageOrientationPatient")
    dataset.SharedFunctionalGroupsSequence = DicomSequence([shared])
    frames = []
    for k, source in enumerate(slices):
        frame = Dataset()
        frame.PlanePositionSequence = group(source, "ImagePositionPatient")
        frame.PixelValueTransformationSequence = group(source, "RescaleIntercept RescaleSlope")
        content = Dataset()
        content.InStackPositionNumber = int(source.InstanceNumber or k + 1)
        frame.FrameContentSequence = DicomSequence([content])
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    dataset.PixelData = b"".join(s.PixelData for s in slices)
    return dataset
