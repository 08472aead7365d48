"""The import in a process of its own, with a memory limit and a deadline, so that no file can take the caller down."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hemorrhage.dicom.importer import ImportedSeries, import_series
from hemorrhage.dicom.slice_map import SliceMap
from hemorrhage.errors import EXIT_RESOURCE, ScanError, ScanWarning
from hemorrhage.volume import Volume

__all__ = ["import_series_isolated"]

_RESULT, _VOXELS = "result.json", "hu.npy"
# The caller's search path comes first and whole: a foreign package in the working directory must not be taken.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from hemorrhage.dicom.isolated import _child; _child(json.loads(sys.argv[2]))"
)


def import_series_isolated(
    folder: str | Path,
    *,
    series_uid: str | None = None,
    min_slices: int = 3,
    blend: bool = True,
    memory_gb: float = 4.0,
    seconds: float = 120.0,
) -> ImportedSeries:
    """:func:`~hemorrhage.dicom.importer.import_series` behind a wall; costs about a second to start.

    Args:
        folder: see there.
        series_uid: see there.
        min_slices: see there.
        blend: see there.
        memory_gb: address space for the import beyond that of the bare process, where the system enforces limits.
        seconds: deadline.

    Raises:
        ScanError: what the import raises; ``E_BOMB`` if memory or time ran out; ``E_FILE_UNREADABLE`` if a decoder
            crashed.
    """
    folder = Path(folder).absolute()
    root = str(Path(__file__).resolve().parents[2])
    search_path = json.dumps([root, *(entry for entry in sys.path if entry)])
    with tempfile.TemporaryDirectory(prefix="hemorrhage_dicom_") as scratch:
        order = {
            "folder": str(folder),
            "series_uid": series_uid,
            "min_slices": min_slices,
            "blend": blend,
            "bytes": int(memory_gb * (1 << 30)),
            "scratch": scratch,
        }
        try:
            done = subprocess.run(
                [sys.executable, "-c", _PROGRAM, search_path, json.dumps(order)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # decoders print what headers say
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as fault:
            raise ScanError(
                "E_BOMB", folder.name, f"its import did not end within {seconds:g} s", "Check the files.", EXIT_RESOURCE
            ) from fault
        if not Path(scratch, _RESULT).is_file():
            raise ScanError(
                "E_FILE_UNREADABLE",
                folder.name,
                f"a decoder failed without a word (status {done.returncode})",
                "Export the series again, uncompressed.",
            )
        return _received(Path(scratch))


def _received(scratch: Path) -> ImportedSeries:
    result = json.loads((scratch / _RESULT).read_text())
    if "error" in result:
        error = result["error"]
        raise ScanError(error["code"], error["file"], error["cause"], error["remedy"], error["exit_code"])
    slice_map = SliceMap.from_source(result["source"])
    assert slice_map is not None  # every series has one
    slice_map = replace(slice_map, files=tuple(result["files"]), frames=tuple(result["frames"]))
    warnings = tuple(ScanWarning(w["code"], w["text"], tuple(w["files"]), w["numbers"]) for w in result["warnings"])
    hu = np.load(scratch / _VOXELS, allow_pickle=False)
    return ImportedSeries(Volume(hu, np.array(result["affine"]), warnings, result["source"]), slice_map)


def _child(order: dict[str, Any]) -> None:
    """Body of the process: limits first, then the import, then the result under its final name."""
    scratch = Path(order["scratch"])
    try:
        _limit_memory(order["bytes"])
        imported = import_series(
            order["folder"], series_uid=order["series_uid"], min_slices=order["min_slices"], blend=order["blend"]
        )
        np.save(scratch / _VOXELS, imported.volume.hu, allow_pickle=False)
        result: dict[str, Any] = {
            "affine": imported.volume.affine.tolist(),
            "warnings": [asdict(w) for w in imported.volume.warnings],
            "source": imported.volume.source,
            "files": imported.slice_map.files,
            "frames": imported.slice_map.frames,
        }
    except ScanError as error:
        result = _as_record(error)
    except OSError as fault:
        cause = f"the system refuses to go on ({fault.strerror})"
        result = _as_record(
            ScanError("E_SYSTEM", Path(order["folder"]).name, cause, "Check disk and rights.", EXIT_RESOURCE)
        )
    part = scratch / (_RESULT + ".part")
    part.write_text(json.dumps(result))
    part.rename(scratch / _RESULT)


def _as_record(error: ScanError) -> dict[str, Any]:
    return {
        "error": {
            "code": error.code,
            "file": error.file,
            "cause": error.cause,
            "remedy": error.remedy,
            "exit_code": error.exit_code,
        }
    }


def _limit_memory(limit: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit; the deadline still holds
        return
    pages = Path("/proc/self/statm")
    taken = int(pages.read_text().split()[0]) * resource.getpagesize() if pages.exists() else 0
    resource.setrlimit(resource.RLIMIT_AS, (taken + limit, taken + limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
