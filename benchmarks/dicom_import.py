"""Time and memory of the import from DICOM: ``python benchmarks/dicom_import.py [SLICES ...]``.

Uncompressed series of 512 x 512 slices with a gantry tilt of 12 degrees, written to a temporary folder. Each import
runs in the process of its own that inference uses, whose peak memory is that of all children of this program. Beside
it, in the same run, what pydicom alone takes to read the same files into an array, because seconds compare only on one
machine. The targets are 36 slices in 3 s, and 1,000 slices in 60 s and 4 GB.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hemorrhage.dicom.isolated import import_series_isolated

SIDE, SPACING, TILT = 512, 0.45, np.radians(12.0)


def write_series(folder: Path, count: int) -> None:
    """Nested ellipses that shrink toward the ends, with noise; 160 mm of head whatever the count."""
    step = 160.0 / (count - 1)
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="xy")
    noise = np.random.default_rng(0).normal(0.0, 6.0, (SIDE, SIDE))
    for k in range(count):
        shrink = 1.0 - 0.35 * (2.0 * k / (count - 1) - 1.0) ** 2 - 0.1 * k / count
        radius = np.hypot((x - 255.5) / 170.0, (y - 255.5) / 205.0) / shrink
        hu = np.select([radius < 0.9, radius < 1.0], [35.0, 1100.0], -1000.0) + np.roll(noise, 7 * k, axis=1)
        slice_ = Dataset()
        slice_.file_meta = FileMetaDataset()
        slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_.SOPClassUID, slice_.SOPInstanceUID, slice_.SeriesInstanceUID = CTImageStorage, f"1.2.3.{k + 1}", "1.2.3"
        slice_.Modality, slice_.PatientID, slice_.InstanceNumber = "CT", "1", k + 1
        slice_.ImagePositionPatient = [-115.0, -115.0, round(k * step, 6)]
        slice_.ImageOrientationPatient = [1, 0, 0, 0, round(np.cos(TILT), 10), round(np.sin(TILT), 10)]
        slice_.PixelSpacing, slice_.SliceThickness = [SPACING, SPACING], round(step, 6)
        slice_.Rows = slice_.Columns = SIDE
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 1
        slice_.RescaleSlope, slice_.RescaleIntercept = 1, -1024
        slice_.PixelData = np.rint(hu + 1024).astype("<i2").tobytes()
        pydicom.dcmwrite(folder / f"{k:05d}.dcm", slice_, enforce_file_format=True)


def pydicom_alone(folder: Path) -> np.ndarray:
    return np.stack([pydicom.dcmread(path).pixel_array for path in sorted(folder.iterdir())])


def main() -> None:
    for count in [int(argument) for argument in sys.argv[1:]] or [36, 1000]:
        with tempfile.TemporaryDirectory(prefix="hemorrhage_benchmark_") as name:
            folder = Path(name)
            write_series(folder, count)
            start = time.perf_counter()
            pydicom_alone(folder)
            reference = time.perf_counter() - start
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            imported = import_series_isolated(folder)
            seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        peak = after.ru_maxrss / (1 << 20)
        shape = " x ".join(str(n) for n in imported.volume.hu.shape)
        print(
            f"{count:5d} slices: {seconds:6.2f} s ({busy:.1f} s of processor), peak {peak:.2f} GiB, to {shape}; "
            f"pydicom alone {reference:6.2f} s (ratio {seconds / reference:.1f})"
        )


if __name__ == "__main__":
    main()
