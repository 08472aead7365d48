"""Reading under a limit gives what gzip and open give, and counts no further than asked."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hemorrhage.capped_file import CappedFile
from hemorrhage.errors import ScanError

CONTENT = bytes(range(256)) * 9000  # 2.3 MB: more than one chunk


@pytest.fixture(params=["plain", "gzip", "two members", "padded with zeros"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    packed = {
        "plain": CONTENT,
        "gzip": gzip.compress(CONTENT),
        "two members": gzip.compress(CONTENT[:999]) + gzip.compress(CONTENT[999:]),
        "padded with zeros": gzip.compress(CONTENT) + bytes(2048),
    }
    (tmp_path / "file").write_bytes(packed[request.param])
    return tmp_path / "file"


def test_pieces_make_the_whole(path: Path) -> None:
    with CappedFile(path) as file:
        pieces = [file.read(size) for size in (1, 348, 1_500_000, 10_000_000)]
    assert b"".join(pieces) == CONTENT
    assert [len(piece) for piece in pieces[:3]] == [1, 348, 1_500_000]
    assert not file.cut


def test_what_is_left_is_counted_up_to_the_limit(path: Path) -> None:
    with CappedFile(path) as file:
        file.read(1000)
        assert file.drain(10_000_000) == len(CONTENT) - 1000
    with CappedFile(path) as file:
        assert 10 < file.drain(10) <= 1 << 20


def test_a_cut_stream_is_known_as_such(tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(gzip.compress(CONTENT)[:-9])
    with CappedFile(tmp_path / "cut") as file:
        file.read(len(CONTENT) + 1)
        assert file.cut


def test_foreign_bytes_behind_the_end_mark_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tail").write_bytes(gzip.compress(CONTENT) + b"tail")
    with CappedFile(tmp_path / "tail") as file, pytest.raises(ScanError, match="E_CRC"):
        file.drain(len(CONTENT))
