"""Write phantoms as studies: the CT-ICH folder form in NIfTI, or DICOM series.

The folder form is that of Hssayeni et al. (Data 2020; 5:14): ``ct_scans/NNN.nii``, ``masks/NNN.nii``,
``hemorrhage_diagnosis_raw_ct.csv`` with a row a slice and ``Patient_demographics.csv``; added to it are
``subtypes/NNN.nii`` label maps and ``truth.json``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from hemorrhage.phantom.case import Case
from hemorrhage.subtypes import SUBTYPES

__all__ = ["FIRST_NUMBER", "finish_folder", "study_number", "write_dicom_series", "write_study"]

# CT-ICH numbers its patients from 049 on.
FIRST_NUMBER = 49
DIAGNOSIS = ("IVH", "IPH", "SAH", "EDH", "SDH")
LONG_NAMES = {
    "IVH": "Intraventricular", "IPH": "Intraparenchymal", "SAH": "Subarachnoid", "EDH": "Epidural", "SDH": "Subdural",
}  # fmt: skip
DIAGNOSIS_HEADER = ["PatientNumber", "SliceNumber", *(LONG_NAMES[s] for s in DIAGNOSIS), "No_Hemorrhage",
                    "Fracture_Yes_No"]  # fmt: skip
RECORD = "records"


def study_number(index: int) -> str:
    """Name of the study at ``index`` (0 for the first): ``049`` and on."""
    return f"{FIRST_NUMBER + index:03d}"


def write_study(case: Case, folder: Path, index: int, image_format: str = "nifti", unequal: bool = False) -> None:
    """Write one case below ``folder``, its record last, so that a run that was stopped knows what is whole.

    Args:
        case: the phantom.
        folder: root of the data set.
        index: place in the data set.
        image_format: ``nifti``, or ``dicom`` for a series in ``dicom/NNN/`` with masks and label maps still as NIfTI.
        unequal: the upper half of a DICOM series has slices twice as thick; masks stay on the thinner ones.
    """
    name = study_number(index)
    label = case.label.cpu().numpy()
    hu = case.hu.cpu().numpy().astype(np.int16)
    if image_format == "dicom":
        seed, thin = int(case.truth.get("seed", index)), hu.shape[2] // 2 if unequal else None
        write_dicom_series(hu, case.affine, folder / "dicom" / name, seed, name, thin)
    else:
        _save(hu, case.affine, folder / "ct_scans" / f"{name}.nii")
    # The data set's own masks are 0 and 255.
    _save((label > 0).astype(np.uint8) * 255, case.affine, folder / "masks" / f"{name}.nii")
    _save(label, case.affine, folder / "subtypes" / f"{name}.nii")
    slices = [{s.short: bool((label[:, :, k] == s.index).any()) for s in SUBTYPES} for k in range(label.shape[2])]
    _write_text(folder / RECORD / f"{name}.json", json.dumps({"truth": case.truth, "slices": slices}))


def finish_folder(folder: Path, count: int, options: dict[str, Any]) -> dict[str, Any]:
    """Write the two tables and ``truth.json`` from the records of ``count`` studies, and return the summary."""
    rows: list[list[object]] = []
    people: list[list[object]] = []
    truths: dict[str, Any] = {}
    for index in range(count):
        name = study_number(index)
        path = folder / RECORD / f"{name}.json"
        if not path.exists():
            continue
        record = json.loads(path.read_text())
        truth = truths[name] = record["truth"]
        for k, found in enumerate(record["slices"], 1):
            flags = [int(found[s]) for s in DIAGNOSIS]
            rows.append([int(name), k, *flags, int(not any(flags)), int(k - 1 in truth["fractured_slices"])])
        present = truth["subtypes"]
        age = round(18 + 72 * truth["head"]["age"])
        people.append([int(name), age, ("Female", "Male")[index % 2], *(int(s in present) for s in DIAGNOSIS)])
    _write_csv(folder / "hemorrhage_diagnosis_raw_ct.csv", DIAGNOSIS_HEADER, rows)
    header = ["Patient Number", "Age (years)", "Gender", *(LONG_NAMES[s] for s in DIAGNOSIS)]
    _write_csv(folder / "Patient_demographics.csv", header, people)
    share = {s.short: sum(s.short in t["subtypes"] for t in truths.values()) for s in SUBTYPES}
    summary = {"studies": len(truths), "with_subtype": share, "retries": sum(t["retries"] for t in truths.values())}
    _write_text(folder / "truth.json", json.dumps({"options": options, "summary": summary, "cases": truths}, indent=1))
    return summary


def write_dicom_series(
    hu: np.ndarray, affine: np.ndarray, folder: Path, seed: int, name: str, thin: int | None = None
) -> None:
    """Write a volume as a series of CT Image Storage objects, one a slice.

    A sheared affine becomes what a tilted gantry delivers: slices that are orthogonal in themselves and follow each
    other along the table.

    Args:
        hu: (I, J, K) int16 HU.
        affine: (4, 4) voxel index to RAS+ mm.
        folder: made where it is missing.
        seed: makes the identifiers repeatable.
        name: patient's identifier.
        thin: number of slices from below that stay single; those above are averaged in pairs, as of a scan with thin
            slices at the skull base and thick ones above. None for all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    step_i, step_j, step_k = lps[:3, 0], lps[:3, 1], lps[:3, 2]
    # Rows run to the patient's left and columns to the back, as scanners store them.
    flip_i, flip_j = step_i[0] < 0, step_j[1] < 0
    corner = lps[:3, 3].copy()
    if flip_i:
        corner, step_i, hu = corner + step_i * (hu.shape[0] - 1), -step_i, hu[::-1]
    if flip_j:
        corner, step_j, hu = corner + step_j * (hu.shape[1] - 1), -step_j, hu[:, ::-1]
    pixel = np.linalg.norm(step_i), np.linalg.norm(step_j)
    normal = np.cross(step_i / pixel[0], step_j / pixel[1])
    # DICOM counts a gantry whose top leans away from the table as negative.
    tilt = -float(np.degrees(np.arcsin(np.clip(normal[1], -1, 1))))
    study, series, frame = (generate_uid(entropy_srcs=[kind, str(seed), name]) for kind in ("study", "series", "frame"))
    for k, (at, parts, pixels) in enumerate(_acquired(hu, thin)):
        uid = generate_uid(entropy_srcs=["image", str(seed), name, str(k)])
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = uid
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        d.SOPClassUID, d.SOPInstanceUID = CTImageStorage, uid
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, series, frame
        d.PatientName, d.PatientID = f"Phantom^{name}", f"PHANTOM-{name}"
        d.PatientBirthDate = d.PatientSex = d.StudyDate = d.StudyTime = d.AccessionNumber = d.ReferringPhysicianName = (
            ""
        )
        d.StudyID, d.SeriesNumber, d.AcquisitionNumber, d.InstanceNumber = "1", 2, 1, k + 1
        d.Modality, d.Manufacturer, d.ManufacturerModelName = "CT", "synthetic", "hemorrhage.phantom"
        d.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
        d.SeriesDescription, d.BodyPartExamined, d.PatientPosition = "synthetic head", "HEAD", "HFS"
        d.KVP, d.ConvolutionKernel = 120, "H30"
        d.GantryDetectorTilt = round(tilt, 4)
        d.PositionReferenceIndicator = ""
        d.ImagePositionPatient = [round(float(v), 6) for v in corner + at * step_k]
        d.ImageOrientationPatient = [round(float(v), 9) for v in (*(step_i / pixel[0]), *(step_j / pixel[1]))]
        d.PixelSpacing = [round(float(pixel[1]), 6), round(float(pixel[0]), 6)]
        d.SliceThickness = round(parts * abs(float(normal @ step_k)), 6)
        d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
        d.Rows, d.Columns = int(hu.shape[1]), int(hu.shape[0])
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 12, 11, 0
        d.RescaleIntercept, d.RescaleSlope, d.RescaleType = -1024, 1, "HU"
        d.WindowCenter, d.WindowWidth = 40, 80
        d.PixelData = np.ascontiguousarray((pixels.T.astype(np.int32) + 1024).astype("<u2")).tobytes()
        d.save_as(folder / f"{k + 1:04d}.dcm", enforce_file_format=True)


def _acquired(hu: np.ndarray, thin: int | None) -> list[tuple[float, int, np.ndarray]]:
    """Place in units of slices, thickness in slices, and (I, J) pixels of each slice of a series."""
    count = hu.shape[2]
    single = count if thin is None else count - 2 * ((count - thin) // 2)
    pairs = [(k + 0.5, 2, np.rint(hu[:, :, k : k + 2].mean(-1, dtype=float))) for k in range(single, count, 2)]
    return [(float(k), 1, hu[:, :, k]) for k in range(single)] + pairs


def _save(data: np.ndarray, affine: np.ndarray, path: Path) -> None:
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    # A quaternion can't hold a shear; readers then must take the other form.
    image.set_qform(affine, code=0 if _is_sheared(affine) else 1)
    image.set_sform(affine, code=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"partial_{path.name}")
    nib.save(image, partial)
    partial.replace(path)


def _is_sheared(affine: np.ndarray) -> bool:
    gram = affine[:3, :3].T @ affine[:3, :3]
    return bool(np.abs(gram - np.diag(np.diag(gram))).max() > 1e-6)


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"partial_{path.name}")
    partial.write_text(text)
    partial.replace(path)


def _write_csv(path: Path, header: Sequence[str], rows: list[list[object]]) -> None:
    partial = path.with_name(f"partial_{path.name}")
    with partial.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(header)
        writer.writerows(rows)
    partial.replace(path)
