"""A file read forward under a limit, plain or gzip, so that a lying header or a bomb costs no memory."""

from __future__ import annotations

import zlib
from pathlib import Path
from types import TracebackType

from hemorrhage.errors import ScanError

__all__ = ["CappedFile", "check_regular_file"]

_CHUNK = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


def check_regular_file(path: Path) -> int:
    """Size of ``path`` in bytes, after making sure that opening it can neither block nor fail for a silly reason.

    Raises:
        ScanError: ``E_NOT_FOUND``, ``E_NOT_FILE``, ``E_EMPTY_FILE`` or ``E_FILE_UNREADABLE``.
    """
    try:
        if not path.exists():
            cause = "the link leads to a file that does not exist" if path.is_symlink() else "there is no such file"
            raise ScanError("E_NOT_FOUND", path, cause, "Check the path.")
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "neither a file nor a folder"
            raise ScanError("E_NOT_FILE", path, f"this is {kind}", "Name the file of the scan.")
        size = path.stat().st_size
    except (OSError, ValueError) as fault:  # ValueError: a NUL in the name
        raise ScanError("E_FILE_UNREADABLE", path, f"the system refuses it ({fault})", "Check its rights.") from fault
    if size == 0:
        raise ScanError("E_EMPTY_FILE", path, "the file holds 0 bytes", "Export or copy the scan again.")
    return size


class CappedFile:
    """Forward reader of a regular file; its first bytes, not its name, decide whether it is gzip.

    Args:
        path: a regular file (see :func:`check_regular_file`).

    Attributes:
        is_gzip: whether the bytes on disk are gzip.
        cut: the gzip stream ended before its end mark (known once everything was read).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut = False
        self._ready = b""
        self._ended = False
        try:
            self._file = path.open("rb")
            self.is_gzip = self._file.read(2) == _GZIP_MAGIC
            self._file.seek(0)
        except OSError as fault:
            raise self._unreadable(fault) from fault
        self._inflater = zlib.decompressobj(wbits=31)

    def __enter__(self) -> CappedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` (of bytes) as far as the content reaches and return the number of bytes written."""
        filled = 0
        while filled < len(buffer):
            if not self._ready and not self._next_chunk():
                break
            taken = self._ready[: len(buffer) - filled]
            buffer[filled : filled + len(taken)] = taken
            self._ready = self._ready[len(taken) :]
            filled += len(taken)
        return filled

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; fewer only at the end of the content."""
        buffer = bytearray(size)
        return bytes(buffer[: self.readinto(memoryview(buffer))])

    def drain(self, limit: int) -> int:
        """Bytes that are left, counted up to just above ``limit``; reaching the end proves the gzip checksum."""
        left = 0
        while left <= limit and (self._ready or self._next_chunk()):
            left += len(self._ready)
            self._ready = b""
        return left

    def _next_chunk(self) -> bool:
        """Get more content into ``_ready``; False at the end."""
        try:
            if not self.is_gzip:
                self._ready = self._file.read(_CHUNK)
                return bool(self._ready)
            while not self._ready and not self._ended:
                self._inflate()
        except OSError as fault:
            raise self._unreadable(fault) from fault
        except zlib.error as fault:
            raise ScanError(
                "E_CRC", self.path, f"the compressed data are damaged ({fault})", "Copy or export the scan again."
            ) from fault
        return bool(self._ready)

    def _inflate(self) -> None:
        if self._inflater.eof:
            rest = self._inflater.unused_data + self._file.read(_CHUNK)
            if not rest.strip(b"\0"):
                # Tape and some archivers pad with zeros behind the end mark: a whole chunk of them is the end.
                self._ended = True
                return
            if not rest.startswith(_GZIP_MAGIC):
                raise ScanError(
                    "E_CRC", self.path, "bytes that are not gzip follow its end mark", "Copy or export the scan again."
                )
            self._inflater = zlib.decompressobj(wbits=31)
            self._ready = self._inflater.decompress(rest, _CHUNK)
            return
        packed = self._inflater.unconsumed_tail or self._file.read(_CHUNK)
        if packed:
            self._ready = self._inflater.decompress(packed, _CHUNK)
            return
        # No input is left, but up to 32 KiB may still wait inside the inflater.
        self._ready = self._inflater.flush()
        if not self._ready and not self._inflater.eof:
            self.cut = self._ended = True

    def _unreadable(self, fault: OSError) -> ScanError:
        return ScanError(
            "E_FILE_UNREADABLE", self.path, f"the system refuses it ({fault.strerror})", "Check its rights."
        )
