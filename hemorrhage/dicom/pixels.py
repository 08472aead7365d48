"""Stored pixels to HU, one slice at a time, each with its own slope, sign and bits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from pydicom.pixels import pixel_array
from pydicom.uid import UID

from hemorrhage.dicom.headers import Slice
from hemorrhage.dicom.scan_folder import read_dataset
from hemorrhage.errors import ScanError

__all__ = ["read_hu"]


def read_hu(slices: Sequence[Slice]) -> np.ndarray:
    """HU of ``slices``, all of one size.

    Returns:
        (columns, rows, N) float32, Fortran order: the first axis runs along the rows, as in NIfTI.

    Raises:
        ScanError: ``E_CODEC`` if no decoder is installed, ``E_TRUNCATED`` or ``E_FILE_UNREADABLE`` for damaged pixels.
    """
    hu = np.empty((slices[0].columns, slices[0].rows, len(slices)), dtype=np.float32, order="F")
    opened, frames = None, None
    for k, one in enumerate(slices):
        if opened != one.header.path or frames is None:
            opened, frames = one.header.path, _stored(one)
        np.multiply(frames[one.frame].T, np.float32(one.slope), out=hu[:, :, k], casting="unsafe")
        hu[:, :, k] += np.float32(one.intercept)
    return hu


def _stored(one: Slice) -> np.ndarray:
    """(frames, rows, columns) integers as stored, sign extended, overlay bits removed."""
    name = one.header.name
    dataset = read_dataset(one.header.path, name)
    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if syntax is None:
        # Without file meta the parser found out how the entries are coded; pixels are coded the same way.
        dataset.file_meta.TransferSyntaxUID = UID(_guessed_syntax(dataset))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = pixel_array(dataset, raw=True)
    except (NotImplementedError, RuntimeError) as fault:
        text = str(fault)
        if "missing dependencies" in text or "no available" in text.lower() or isinstance(fault, NotImplementedError):
            named = getattr(syntax, "name", "unknown")
            raise ScanError(
                "E_CODEC", name, f"no decoder for {named}", "Install python-gdcm and pyjpegls, or export uncompressed."
            ) from fault
        raise _damaged(name, fault) from fault
    except MemoryError:
        raise
    except Exception as fault:  # decoders of four libraries raise what they like on damaged bytes
        raise _damaged(name, fault) from fault
    stored = stored.reshape((-1, *stored.shape[-2:]))
    if stored.shape[1:] != (one.rows, one.columns) or stored.shape[0] <= one.frame:
        raise ScanError(
            "E_FILE_UNREADABLE",
            name,
            f"pixels decode to {stored.shape}, not {one.rows} x {one.columns}",
            "Export the series again.",
        )
    return stored


def _guessed_syntax(dataset: object) -> str:
    implicit, little = getattr(dataset, "original_encoding", (True, True))
    if implicit:
        return "1.2.840.10008.1.2"
    return "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


def _damaged(name: str, fault: Exception) -> ScanError:
    return ScanError(
        "E_FILE_UNREADABLE", name, f"its pixels are damaged ({type(fault).__name__})", "Copy or export it again."
    )
