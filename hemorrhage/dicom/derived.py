"""The DICOM files of a result: a segmentation and a report of its volumes, both whole or neither."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from hemorrhage.dicom.measurement_report import make_measurement_report
from hemorrhage.dicom.references import read_references
from hemorrhage.dicom.segmentation import Algorithm, make_segmentation
from hemorrhage.dicom.slice_map import SliceMap
from hemorrhage.errors import ScanError, ScanWarning
from hemorrhage.subtypes import Subtype

__all__ = ["IDENTIFYING", "REPORT_FILE", "SEGMENTATION_FILE", "save_derived"]

SEGMENTATION_FILE = "hemorrhage.seg.dcm"
REPORT_FILE = "measurements.sr.dcm"

# What such objects take over of the patient and the study. The standard lets all of it be empty (type 2).
IDENTIFYING = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


def save_derived(
    folder: Path,
    source: Path,
    slice_map: SliceMap,
    native: np.ndarray,
    volumes_ml: Mapping[str, float],
    segments: Sequence[Subtype],
    algorithm: Algorithm,
    name_patient: bool = False,
) -> list[ScanWarning]:
    """Write ``hemorrhage.seg.dcm`` and ``measurements.sr.dcm``, or say why not.

    Args:
        folder: gets both files.
        source: the folder, or the one file, that was imported.
        slice_map: with the names of its files.
        native: (columns, rows, N) uint8 labels on its slices.
        volumes_ml: mL by :attr:`Subtype.short`, for the report.
        segments: the subtypes whose ``index`` are the labels.
        algorithm: what made the labels.
        name_patient: False leaves IDENTIFYING empty, so that the files hold no more of the patient than unique
            identifiers; True copies it, as an archive needs to file them.

    Returns:
        nothing, or ``W_DICOM_OUT`` if the source lacks what such objects must refer to. A result does not fail for
        want of them.
    """
    logging.getLogger("highdicom").setLevel(logging.ERROR)  # it tells what it copies
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            references = read_references(source, slice_map)
            segmentation = make_segmentation(native, references, segments, algorithm)
            report = make_measurement_report(volumes_ml, segmentation, references, segments, algorithm)
            if not name_patient:
                for made in (segmentation, report):
                    for keyword in IDENTIFYING:
                        setattr(made, keyword, "")
            contents = {SEGMENTATION_FILE: _encoded(segmentation), REPORT_FILE: _encoded(report)}
    except ScanError as error:
        return [_refusal(error.cause, (error.file,))]
    except MemoryError:
        raise
    except Exception as fault:  # the library has no base class for what a standard forbids, and quotes header text
        return [_refusal(f"the library that makes them does not take the source ({type(fault).__name__})", ())]
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return []


def _encoded(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def _refusal(cause: str, files: tuple[str, ...]) -> ScanWarning:
    text = f"No DICOM objects were written: {cause}. The other files of the result are whole."
    return ScanWarning("W_DICOM_OUT", text, files)
