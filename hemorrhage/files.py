"""Writing that leaves either the old file or the whole new one, and reading that proves which bytes were read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from hemorrhage.errors import EXIT_RESOURCE, ScanError

__all__ = ["claim_folder", "folder_replaced", "sha256_of", "write_atomically"]

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_claims: dict[Path, FileLock] = {}


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, or of a folder's regular files (their hashes, sorted, so that names do not matter).

    Args:
        path: a file or a folder; a folder's subfolders are not entered.

    Returns:
        64 hexadecimal digits.
    """
    if path.is_dir():
        parts = sorted(sha256_of(p) for p in path.iterdir() if p.is_file())
        return hashlib.sha256("".join(parts).encode()).hexdigest()
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk, so that a rename after it cannot outlive its content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _disk_full_is_said(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        free = shutil.disk_usage(path.parent).free / 1e6
        raise ScanError(
            "E_DISK",
            path,
            f"the disk is full ({free:.0f} MB free)",
            "Free some space and run again; what was there before is unchanged.",
            EXIT_RESOURCE,
        ) from error


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` make a temporary neighbor of ``path``, flush it, and rename it to ``path``.

    Args:
        path: the final file; an earlier one stays whole until the new one is.
        write: called with the temporary path, whose name ends like the final one.

    Raises:
        ScanError: E_DISK if the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".part-", suffix="-" + path.name, dir=path.parent)
    os.close(descriptor)
    part = Path(name)
    try:
        with _disk_full_is_said(path):
            write(part)
            _sync(part)
            part.chmod(0o666 & ~_umask())
            part.replace(path)
            _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_replaced(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``path`` when the block ends well, and vanishes when it does not.

    Args:
        path: the final folder. An earlier one is moved aside, replaced, and only then deleted.

    Yields:
        the temporary folder, beside ``path``.

    Raises:
        ScanError: E_DISK if the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=path.parent))
    try:
        with _disk_full_is_said(path):
            yield part
            for file in part.iterdir():
                _sync(file)
            part.chmod(0o777 & ~_umask())
            if path.exists():
                aside = Path(tempfile.mkdtemp(prefix=".old-", dir=path.parent))
                path.replace(aside / "old")
                part.replace(path)
                shutil.rmtree(aside)
            else:
                part.replace(path)
            _sync(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def claim_folder(folder: Path) -> None:
    """Take a folder for this process as long as it lives, so that no second one writes to it.

    Where the file system knows no locks nothing is taken.

    Args:
        folder: made where it is missing; gets an empty file ``.lock``.

    Raises:
        ScanError: E_BUSY if another process has it.
    """
    folder = folder.absolute()
    if folder in _claims:
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ScanError(
            "E_BUSY",
            folder,
            "another run is writing to this folder",
            "Wait for it, stop it, or name another --output_dir.",
            EXIT_RESOURCE,
        ) from None
    except (NotImplementedError, OSError):
        return
    _claims[folder] = lock


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
