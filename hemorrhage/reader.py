"""The project's readers as a MONAI ``ImageReader``, so that ``LoadImaged`` stays as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.config import PathLike
from monai.data import ImageReader
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple

from hemorrhage.dicom.slice_map import SliceMap
from hemorrhage.errors import EXIT_RESOURCE, ScanError, add_warnings, first_sentence
from hemorrhage.nifti import read_nifti
from hemorrhage.volume import Volume

if TYPE_CHECKING:
    from hemorrhage.dicom.importer import ImportedSeries

__all__ = ["SLICES_KEY", "SOURCE_KEY", "HeadCTReader", "slice_map_of"]

SOURCE_KEY = "scan_source"
SLICES_KEY = "scan_slices"


def slice_map_of(meta: Mapping[str, Any]) -> SliceMap | None:
    """The way to the slices that a scan with this meta data came from; None if it did not come as slices."""
    slice_map = SliceMap.from_source(json.loads(meta.get(SOURCE_KEY, "{}")))
    if slice_map is None:
        return None
    slices = json.loads(meta.get(SLICES_KEY, "{}"))
    return replace(slice_map, files=tuple(slices.get("files", ())), frames=tuple(slices.get("frames", ())))


class HeadCTReader(ImageReader):
    """Reads one head CT, a NIfTI file or a folder of DICOM, in HU and with checked geometry.

    ``LoadImaged(keys="image", reader="hemorrhage.reader.HeadCTReader", ensure_channel_first=True)`` gives a
    MetaTensor (1, I, J, K) whose meta holds the affine, the scan's warnings (:func:`hemorrhage.errors.warnings_of`) and
    under ``"scan_source"`` the JSON text of :attr:`Volume.source`; of DICOM also the names of the slices' files
    (:func:`slice_map_of`).

    Args:
        min_slices: fewest slices that are accepted; 2D systems pass 1.
        assume_ras: see :func:`hemorrhage.nifti.read_nifti`.
        hu_offset: see :func:`hemorrhage.hounsfield.check_hu`.
        series_uid: the DICOM series to read where a folder holds several.
        blend: of DICOM slices at unequal distances, see :func:`hemorrhage.dicom.importer.import_series`.
        isolate: decode DICOM in a process of its own, so that no file can take this one down; costs about a second.
    """

    def __init__(
        self,
        min_slices: int = 3,
        assume_ras: bool = False,
        hu_offset: float = 0.0,
        series_uid: str | None = None,
        blend: bool = True,
        isolate: bool = True,
    ) -> None:
        super().__init__()
        self.min_slices = min_slices
        self.assume_ras = assume_ras
        self.hu_offset = hu_offset
        self.series_uid = series_uid
        self.blend = blend
        self.isolate = isolate

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """True for one path: the content decides, never the name."""
        return len(ensure_tuple(filename)) == 1

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> Volume | ImportedSeries | ScanError:
        """The scan, or the error that :meth:`get_data` is to raise.

        ``LoadImage`` swallows what ``read`` raises and tries its other readers, which would then read in silence what
        was just refused. It does not do so with what ``get_data`` raises.
        """
        paths = ensure_tuple(data)
        try:
            if len(paths) != 1:
                raise ScanError(
                    "E_NOT_3D", paths[0], f"{len(paths)} paths for one scan", "Give one file or one folder."
                )
            return self._read_one(Path(paths[0]))
        except ScanError as error:
            return error

    def get_data(self, img: Volume | ImportedSeries | ScanError) -> tuple[np.ndarray, dict[str, Any]]:
        """Array (I, J, K) in HU and the meta data that MONAI needs, nothing else of the header.

        Raises:
            ScanError: the one that :meth:`read` met.
        """
        if isinstance(img, ScanError):
            raise img
        slices = {}
        if not isinstance(img, Volume):
            slices[SLICES_KEY] = json.dumps({"files": img.slice_map.files, "frames": img.slice_map.frames})
            img = img.volume
        meta: dict[str, Any] = {
            MetaKeys.AFFINE: img.affine.copy(),
            MetaKeys.ORIGINAL_AFFINE: img.affine.copy(),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.SPATIAL_SHAPE: np.asarray(img.hu.shape),
            MetaKeys.ORIGINAL_CHANNEL_DIM: "no_channel",
            SOURCE_KEY: json.dumps(img.source),
            **slices,
        }
        add_warnings(meta, img.warnings)
        return img.hu, meta

    def _read_one(self, path: Path) -> Volume | ImportedSeries:
        if path.is_dir() or path.suffix.lower() == ".dcm":
            return self._import(path)
        return read_nifti(path, assume_ras=self.assume_ras, hu_offset=self.hu_offset, min_slices=self.min_slices)

    def _import(self, path: Path) -> ImportedSeries:
        # Imported here because MONAI Label 0.8 holds pydicom below 3, which the import needs: NIfTI is read without it.
        try:
            from hemorrhage.dicom.importer import import_series
            from hemorrhage.dicom.isolated import import_series_isolated
        except ImportError as error:
            raise ScanError(
                "E_PACKAGE",
                path,
                f"DICOM cannot be read here: {first_sentence(error)}",
                "Install pydicom 3, or import the scan elsewhere (scripts/import_dicom.py) and read the NIfTI file.",
                EXIT_RESOURCE,
            ) from error
        read = import_series_isolated if self.isolate else import_series
        return read(path, series_uid=self.series_uid, min_slices=self.min_slices, blend=self.blend)
