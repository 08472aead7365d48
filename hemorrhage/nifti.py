"""A NIfTI file (or a NIfTI or Analyze pair) to a head CT in HU whose geometry was checked."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from hemorrhage.capped_file import CappedFile, check_regular_file
from hemorrhage.errors import ScanError, ScanWarning, printable
from hemorrhage.hounsfield import check_hu, coverage_warnings, fill_nonfinite
from hemorrhage.nifti_affine import read_affine
from hemorrhage.straighten import straighten_sheared
from hemorrhage.volume import MAX_VOXELS, Volume

__all__ = ["read_nifti"]

# Deflate cannot pack tighter than 1032 to 1.
_MAX_RATIO = 1040
# Some writers round files up to a block; more than this behind the voxels means that the header does not fit them.
_TAIL_BYTES = 4096
_BOMB_TAIL_BYTES = 1 << 24

_HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}


@dataclass(frozen=True)
class _Header:
    """What the voxels need of a header; nothing here can name a patient."""

    header: nib.Nifti1Header | nib.AnalyzeHeader
    shape: tuple[int, int, int]
    dtype: np.dtype
    offset: int
    is_pair: bool


def read_nifti(path: str | Path, *, assume_ras: bool = False, hu_offset: float = 0.0, min_slices: int = 3) -> Volume:
    """Read one head CT.

    The first bytes decide whether the file is gzip; sizes are checked against the file before memory is taken; gzip
    checksums are verified; ``descrip``, ``db_name`` and header extensions are never looked at.

    Args:
        path: ``.nii``, ``.nii.gz``, or one of an ``.hdr`` / ``.img`` pair.
        assume_ras: take the voxel axes as right, anterior, superior where the header names no orientation.
        hu_offset: number to add to every voxel (see :func:`hemorrhage.hounsfield.check_hu`).
        min_slices: fewest voxels along any axis; below it the scan is refused.

    Returns:
        The scan, axes in the order of the file, or on an orthogonal grid where the header's grid was sheared.

    Raises:
        ScanError: for anything that cannot be read exactly, with the cause and the remedy.
    """
    path = Path(path)
    size = check_regular_file(path)
    header_path, data_path = _pair(path)
    warnings: list[ScanWarning] = []
    with CappedFile(header_path) as file:
        parsed = _parse(file)
        if not parsed.is_pair:
            raw = _voxels(file, parsed, size, already=_header_bytes(parsed))
        warnings += _name_warnings(path, file.is_gzip)
    if parsed.is_pair:
        size = check_regular_file(data_path)
        with CappedFile(data_path) as file:
            raw = _voxels(file, parsed, size, already=0)
    affine, affine_warnings = read_affine(parsed.header, parsed.shape, path, assume_ras=assume_ras)
    if min(parsed.shape) < min_slices:
        raise ScanError(
            "E_TOO_FEW",
            path,
            f"{min(parsed.shape)} slices, of a volume of {' x '.join(map(str, parsed.shape))}; at least {min_slices} "
            "are needed",
            "Give the whole scan, or use a 2D system.",
        )
    hu, scale_warnings = _scaled(raw, parsed.header, path)
    del raw
    warnings += affine_warnings + scale_warnings + fill_nonfinite(hu, path)
    hu, hu_warnings = check_hu(hu, path, hu_offset=hu_offset)
    warnings += hu_warnings + coverage_warnings(hu, affine)
    hu, affine, shear_warnings = straighten_sheared(hu, affine, path)
    return Volume(hu, affine, (*warnings, *shear_warnings), {"format": "NIfTI", "shape": list(parsed.shape)})


def _pair(path: Path) -> tuple[Path, Path]:
    """Header file and voxel file; both are ``path`` unless it is one of an hdr/img pair."""
    suffix = path.suffix.lower()
    if suffix not in (".hdr", ".img"):
        return path, path
    other = ".img" if suffix == ".hdr" else ".hdr"
    partners = [path.with_suffix(s) for s in (other, other.upper()) if path.with_suffix(s).is_file()]
    if not partners:
        raise ScanError("E_NOT_FOUND", path.with_suffix(other), f"{path.name} needs it and it is missing", "Add it.")
    return (path, partners[0]) if suffix == ".hdr" else (partners[0], path)


def _parse(file: CappedFile) -> _Header:
    path = file.path
    block = file.read(348)
    sizes = {order: int.from_bytes(block[:4], order) for order in ("little", "big")}
    known = [n for n in sizes.values() if n in _HEADERS]
    if len(block) < 348:
        if known or file.cut:
            raise ScanError(
                "E_TRUNCATED", path, f"the file ends after {len(block)} bytes, inside its header", "Copy it again."
            )
        raise _not_nifti(path)
    if not known:
        raise _not_nifti(path)
    magic = block[344:348] if known[0] == 348 else block[4:8]
    block += file.read(known[0] - 348)
    if len(block) < known[0]:
        raise ScanError("E_TRUNCATED", path, f"the header ends after {len(block)} bytes", "Copy it again.")
    is_analyze = magic[:3] not in (b"n+1", b"ni1", b"n+2", b"ni2")
    if is_analyze and (known[0] != 348 or path.suffix.lower() not in (".hdr", ".img")):
        raise _not_nifti(path)
    kind = nib.AnalyzeHeader if is_analyze else _HEADERS[known[0]]
    header = kind.from_fileobj(io.BytesIO(block), check=False)
    offset = header["vox_offset"]
    if not np.isfinite(offset) or offset < 0 or offset > 1 << 24 or offset != int(offset):
        raise ScanError("E_DIM", path, f"the voxels are said to start at byte {offset}", "Export the scan again.")
    is_pair = is_analyze or magic[1:2] == b"i"
    dtype, shape = _dtype(header, path), _shape(header, path)
    return _Header(header, shape, dtype, int(offset) if is_pair else max(int(offset), known[0]), is_pair)


def _not_nifti(path: Path) -> ScanError:
    return ScanError(
        "E_NOT_NIFTI",
        path,
        "the file does not begin with a NIfTI header",
        "Convert the scan, or give its DICOM folder.",
    )


def _header_bytes(parsed: _Header) -> int:
    return int(parsed.header["sizeof_hdr"])


def _dtype(header: nib.AnalyzeHeader, path: Path) -> np.dtype:
    code = int(header["datatype"])
    try:
        dtype = header.get_data_dtype()
    except nib.spatialimages.HeaderDataError as fault:
        raise ScanError("E_DTYPE", path, f"unknown voxel type {code}", "Export the scan as 16-bit integers.") from fault
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        name = "RGB color" if dtype.kind == "V" else str(dtype)
        raise ScanError("E_DTYPE", path, f"voxels are {name}, not one real number", "Export the CT as 16-bit integers.")
    return dtype


def _shape(header: nib.AnalyzeHeader, path: Path) -> tuple[int, int, int]:
    dim = [int(n) for n in header["dim"]]
    rank, sizes = dim[0], dim[1 : dim[0] + 1] if 1 <= dim[0] <= 7 else []
    if not sizes or min(sizes) < 1:
        raise ScanError("E_DIM", path, f"the header's sizes are {dim}", "Export the scan again.")
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) != 3:
        shown = " x ".join(map(str, sizes))
        raise ScanError("E_NOT_3D", path, f"{rank} dimensions, {shown}", "Give one volume of three dimensions.")
    return sizes[0], sizes[1], sizes[2]


def _voxels(file: CappedFile, parsed: _Header, file_bytes: int, already: int) -> np.ndarray:
    """The voxels as stored, (I, J, K) in Fortran order, after every check that can be made before memory is taken."""
    path, shown = file.path, " x ".join(map(str, parsed.shape))
    count = int(np.prod(parsed.shape, dtype=np.int64))
    need = parsed.offset + count * parsed.dtype.itemsize
    possible = file_bytes * _MAX_RATIO if file.is_gzip else file_bytes
    slice_bytes = parsed.shape[0] * parsed.shape[1] * parsed.dtype.itemsize
    if need > possible and (count > MAX_VOXELS or (file_bytes - parsed.offset) % slice_bytes == 0 or file.is_gzip):
        raise ScanError(
            "E_DIM",
            path,
            f"the header says {shown} voxels, {need} bytes, but the file has {file_bytes}",
            "Export the scan again.",
        )
    if need > possible:
        raise ScanError("E_TRUNCATED", path, f"the file has {file_bytes} of {need} bytes", "Copy it again.")
    if count > MAX_VOXELS:
        code = "E_BOMB" if file.is_gzip else "E_DIM"
        raise ScanError(
            code, path, f"{shown} voxels, more than {MAX_VOXELS}, cannot be one head CT", "Crop it, or check the file."
        )
    lead = file.read(parsed.offset - already)
    raw = np.empty(count, dtype=parsed.dtype)
    got = file.readinto(raw.view(np.uint8).data)
    tail = file.drain(_BOMB_TAIL_BYTES) if got == raw.nbytes else 0
    if file.cut:
        raise ScanError(
            "E_TRUNCATED",
            path,
            f"the compressed data end early, after {already + len(lead) + got + tail} of {need} bytes",
            "Copy it again.",
        )
    if got < raw.nbytes:
        raise ScanError(
            "E_DIM",
            path,
            f"the header says {shown} voxels, {need} bytes, but {already + len(lead) + got} are there",
            "Export the scan again.",
        )
    if file.is_gzip and tail > _BOMB_TAIL_BYTES:
        raise ScanError(
            "E_BOMB",
            path,
            f"{file_bytes} bytes inflate to more than {need + _BOMB_TAIL_BYTES}, while the header says {need}",
            "Do not open this file.",
        )
    if tail > _TAIL_BYTES:
        raise ScanError(
            "E_DIM", path, f"the header says {shown} voxels but {tail} more bytes follow", "Export the scan again."
        )
    return raw.reshape(parsed.shape, order="F")


def _name_warnings(path: Path, is_gzip: bool) -> list[ScanWarning]:
    if is_gzip == (path.suffix.lower() == ".gz"):
        return []
    kind = "gzip" if is_gzip else "not gzip"
    return [ScanWarning("W_NAME", f"The file is {kind}, against its name.", files=(printable(path.name),))]


def _scaled(raw: np.ndarray, header: nib.AnalyzeHeader, path: Path) -> tuple[np.ndarray, list[ScanWarning]]:
    """Voxels times slope plus intercept as float32 (NIfTI-1 standard, ``scl_slope``: 0 means that none applies)."""
    if not isinstance(header, nib.Nifti1Header):
        return _as_float32(raw), []
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0.0 or np.isnan(slope):
        warning = ScanWarning(
            "W_SCL",
            f"The header's slope is {slope:g}: the stored numbers were taken as HU.",
            numbers={"scl_inter": inter},
        )
        return _as_float32(raw), [warning]
    if not (np.isfinite(slope) and np.isfinite(inter)):
        raise ScanError("E_SCALE", path, f"slope {slope:g} and intercept {inter:g}", "Export the scan again.")
    hu = _as_float32(raw)
    if slope != 1.0:
        hu *= np.float32(slope)
    if inter != 0.0:
        hu += np.float32(inter)
    return hu, []


def _as_float32(raw: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinite and is seen as such
        return raw.astype(np.float32, order="K")
