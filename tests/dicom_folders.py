"""What tests of the import share: changes to a series, and the truth of a volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from analytic_head import grid_points, hu_at
from dicom_phantom import EVEN, SERIES, series, set_pixels, write
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
)

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


def each(change: Callable[[int, Dataset], None], datasets: list[Dataset] | None = None) -> list[Dataset]:
    datasets = series() if datasets is None else datasets
    for k, dataset in enumerate(datasets):
        change(k, dataset)
    return datasets


def rewritten(folder: Path, syntax: str) -> Path:
    datasets = series()
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            set_pixels(dataset, dtype=">i2")
    return write(folder, datasets)


def compressed(folder: Path, syntax: str) -> Path:
    datasets = series()
    for dataset in datasets:
        dataset.compress(syntax, generate_instance_uid=False)
    return write(folder, datasets)


def hostile(_: int, dataset: Dataset) -> None:
    dataset.PatientName = "<script>alert(1)</script>^=cmd()"
    dataset.SeriesDescription = "../../etc/passwd\x1b[31m"
    dataset.ConvolutionKernel = "<b>\x1b[31m"


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
