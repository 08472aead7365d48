"""A DICOM series as one NIfTI file and the record of how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import nibabel as nib
import numpy as np

import hemorrhage
from hemorrhage.dicom.importer import ImportedSeries
from hemorrhage.dicom.isolated import import_series_isolated
from hemorrhage.errors import ScanError, ScanWarning
from hemorrhage.files import sha256_of, write_atomically
from hemorrhage.geometry import voxel_sizes_mm

__all__ = ["save_as_nifti", "write_series"]


def write_series(
    folder: Path,
    target: Path,
    *,
    series_uid: str | None = None,
    min_slices: int = 3,
    overwrite: bool = False,
) -> tuple[ScanWarning, ...] | None:
    """Import ``folder`` to ``target``.nii.gz and ``target``.json, unless they are there already.

    Args:
        folder: with the DICOM files of a series, or one file.
        target: path without ending.
        series_uid: the series to take where the folder holds several.
        min_slices: fewest slices that are accepted.
        overwrite: make it anew whatever is there.

    Returns:
        what was corrected or is in doubt; None if the files were there already.

    Raises:
        ScanError: what the import raises; ``E_OTHER_INPUT`` if the files there were made from something else.
    """
    source = {"sha256": sha256_of(folder), "series": series_uid, "min_slices": min_slices}
    record = target.with_name(target.name + ".json")
    image = target.with_name(target.name + ".nii.gz")
    if not overwrite and record.exists() and image.exists():
        if json.loads(record.read_text(encoding="utf-8")).get("input") == source:
            return None
        raise ScanError(
            "E_OTHER_INPUT",
            image.name,
            "it was made from other files or another series",
            "Name another folder, or pass --overwrite to replace it.",
        )
    imported = import_series_isolated(folder, series_uid=series_uid, min_slices=min_slices)
    save_as_nifti(imported, image, record, source)
    return imported.volume.warnings


def save_as_nifti(imported: ImportedSeries, image: Path, record: Path, source: Mapping[str, object]) -> None:
    """Write the volume, then its record; whoever finds a record finds a whole image.

    Args:
        imported: a series.
        image: path of the .nii.gz file, int16 where all values are whole numbers, else float32.
        record: path of the .json file: grid, warnings, and the native slices of every voxel with their files.
        source: what the series was made from.
    """
    volume, slice_map = imported.volume, imported.slice_map
    whole = np.rint(volume.hu).astype(np.int16)
    nifti = nib.Nifti1Image(whole if (whole == volume.hu).all() else volume.hu, volume.affine)
    nifti.header.set_xyzt_units("mm")
    nifti.set_sform(volume.affine, code=1)
    nifti.set_qform(volume.affine, code=1)
    content = {
        "input": source,
        "grid": {
            "shape": list(volume.hu.shape),
            "voxel_mm": voxel_sizes_mm(volume.affine).round(5).tolist(),
            "affine": volume.affine.tolist(),
        },
        "warnings": [asdict(w) for w in volume.warnings],
        "source": volume.source,
        "slices": [{"file": f, "frame": n} for f, n in zip(slice_map.files, slice_map.frames, strict=True)],
        "version": hemorrhage.__version__,
    }
    record.unlink(missing_ok=True)
    write_atomically(image, lambda path: nib.save(nifti, path))
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(record, lambda path: path.write_text(text + "\n", encoding="utf-8"))
