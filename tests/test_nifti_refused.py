"""Each kind of bad NIfTI file: refused by its code, in one line, and at no cost of memory."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nifti_files import AFFINE, HEAD, SHAPE, STEPS, expect_error, image, patched, sampled, saved, written

from hemorrhage.errors import ScanError
from hemorrhage.nifti import read_nifti
from hemorrhage.volume import MAX_VOXELS

REFUSED: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "N10 four dimensions": ("E_NOT_3D", lambda d: written(d, image(np.stack([HEAD, HEAD], axis=-1)))),
    "N11 RGB": (
        "E_DTYPE",
        lambda d: written(d, nib.Nifti1Image(np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]), AFFINE)),
    ),
    "N12 complex": ("E_DTYPE", lambda d: written(d, image(HEAD.astype(np.complex64)))),
    "N14 all NaN": ("E_EMPTY", lambda d: written(d, image(np.full(SHAPE, np.nan, dtype=np.float32)))),
    "N19 sform of zeros": ("E_AFFINE", lambda d: patched(d, "srow_x", 0, srow_y=0, srow_z=0)),
    "N20 NaN in the sform": ("E_AFFINE", lambda d: patched(d, "srow_y", [0, np.nan, 0, 0])),
    "N21 voxel size zero": ("E_AFFINE", lambda d: patched(d, "pixdim", [1, 4, 0, 5, 0, 0, 0, 0])),
    "voxel size NaN": ("E_AFFINE", lambda d: patched(d, "pixdim", [1, 4, np.nan, 5, 0, 0, 0, 0])),
    "flat sform": ("E_AFFINE", lambda d: patched(d, "srow_z", [4, 0, 0, 0])),
    "qform is no rotation": ("E_AFFINE", lambda d: patched(d, "sform_code", 0, quatern_b=2.0)),
    "shear in every plane": (
        "E_AFFINE",
        lambda d: written(d, sampled(STEPS @ np.array([[1, 0.2, 0.3], [0, 1, 0.2], [0, 0, 1]]), SHAPE)),
    ),
    "N24 micrometers that are not": ("E_UNITS", lambda d: written(d, image(xyzt_units=3))),
    "micrometers that nobody names": ("E_UNITS", lambda d: written(d, image(affine=AFFINE * [[1000]] * 3 + [[1]]))),
    "N26 two dimensions": ("E_NOT_3D", lambda d: written(d, image(HEAD[:, :, 19]))),
    "N27 empty dimension": ("E_DIM", lambda d: patched(d, "dim", [3, 48, 0, 38, 1, 1, 1, 1])),
    "negative dimension": ("E_DIM", lambda d: patched(d, "dim", [3, 48, -56, 38, 1, 1, 1, 1])),
    "rank 9": ("E_DIM", lambda d: patched(d, "dim", [9, 48, 56, 38, 1, 1, 1, 1])),
    "N28 header claims 68 TB": ("E_DIM", lambda d: patched(d, "dim", [3, 32767, 32767, 32767, 1, 1, 1, 1])),
    "N28 header claims more slices": ("E_DIM", lambda d: patched(d, "dim", [3, 48, 56, 60, 1, 1, 1, 1])),
    "N28 header claims fewer slices": ("E_DIM", lambda d: patched(d, "dim", [3, 48, 56, 20, 1, 1, 1, 1])),
    "N28 in gzip": ("E_DIM", lambda d: packed(patched(d, "dim", [3, 32767, 32767, 32767, 1, 1, 1, 1]))),
    "N29 shifted by 1024": ("E_OFFSET", lambda d: written(d, image(HEAD + 1024))),
    "N30 wrapped integers": ("E_NOT_HU", lambda d: written(d, image(HEAD.astype(np.uint16)))),
    "N31 window of 0 to 255": ("E_NOT_HU", lambda d: written(d, image(window_gray(0, 255).astype(np.uint8)))),
    "N32 normalized": ("E_NOT_HU", lambda d: written(d, image(window_gray(0, 1).astype(np.float32)))),
    "N33 constant": ("E_EMPTY", lambda d: written(d, image(np.full(SHAPE, 35, dtype=np.int16)))),
    "N34 mask": ("E_NOT_HU", lambda d: written(d, image((HEAD == 60).astype(np.uint8)))),
    "infinite slope": ("E_SCALE", lambda d: patched(d, "scl_slope", np.inf)),
    "N39 truncated gzip": ("E_TRUNCATED", lambda d: cut(written(d), 0.6)),
    "N40 bad checksum": ("E_CRC", lambda d: damaged(written(d), -8)),
    "N43 truncated": ("E_TRUNCATED", lambda d: cut(written(d, name="head.nii"), 0.6113)),
    "truncated inside the header": ("E_TRUNCATED", lambda d: cut(written(d, name="head.nii"), 0.001)),
    "N44 zero bytes": ("E_EMPTY_FILE", lambda d: saved(d / "a.nii", b"")),
    "N45 text": ("E_NOT_NIFTI", lambda d: saved(d / "a.nii", b"slice,hu\n" * 200)),
    "short text": ("E_NOT_NIFTI", lambda d: saved(d / "a.nii", b"hello")),
    "N46 PNG": ("E_NOT_NIFTI", lambda d: saved(d / "a.nii", b"\x89PNG\r\n\x1a\n" + bytes(1000))),
    "text in gzip": ("E_NOT_NIFTI", lambda d: saved(d / "a.nii.gz", gzip.compress(b"slice,hu\n" * 200))),
    "N47 folder": ("E_NOT_FILE", lambda d: folder(d / "a.nii")),
    "N48 dangling link": ("E_NOT_FOUND", lambda d: link(d / "a.nii", d / "gone.nii")),
    "no such file": ("E_NOT_FOUND", lambda d: d / "gone.nii"),
    "pair without its image": ("E_NOT_FOUND", lambda d: half_a_pair(d)),
    "N55 gzip bomb behind the voxels": ("E_BOMB", lambda d: bomb(d)),
    "N55 gzip bomb in the header": ("E_BOMB", lambda d: header_bomb(d)),
}


def window_gray(low: float, high: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 4, SHAPE)
    return low + (np.clip(HEAD + noise, -40, 120) + 40) / 160 * (high - low)


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    return saved(path, content[: int(len(content) * share)])


def damaged(path: Path, position: int) -> Path:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x5A
    return saved(path, bytes(content))


def packed(path: Path) -> Path:
    return saved(path.with_suffix(".nii.gz"), gzip.compress(path.read_bytes()))


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def link(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


def half_a_pair(directory: Path) -> Path:
    nib.save(nib.Nifti1Pair(HEAD, AFFINE), directory / "head.hdr")
    (directory / "head.img").unlink()
    return directory / "head.hdr"


def bomb(directory: Path) -> Path:
    plain = written(directory, name="head.nii").read_bytes()
    deflate = zlib.compressobj(9, wbits=31)
    parts = [deflate.compress(plain)] + [deflate.compress(bytes(1 << 20)) for _ in range(64)]
    return saved(directory / "bomb.nii.gz", b"".join([*parts, deflate.flush()]))


def header_bomb(directory: Path) -> Path:
    """A header of 2,200 slices of 512 x 512 whose 1.1 GB of zeros fit into about a megabyte."""
    made = image(np.zeros((1, 1, 1), dtype=np.int16))
    block = patched(directory, "dim", [3, 512, 512, 2200, 1, 1, 1, 1], made).read_bytes()[:352]
    assert MAX_VOXELS < 512 * 512 * 2200
    return saved(directory / "bomb.nii.gz", gzip.compress(block) + bytes(1_200_000))


@pytest.mark.parametrize("name", REFUSED)
def test_bad_files_are_refused_by_code(tmp_path: Path, name: str) -> None:
    code, make = REFUSED[name]
    expect_error(make(tmp_path), code)


def test_bombs_and_lying_headers_cost_no_memory(tmp_path: Path) -> None:
    paths = [bomb(tmp_path), REFUSED["N28 header claims 68 TB"][1](tmp_path)]
    for path in paths:
        tracemalloc.start()
        with pytest.raises(ScanError):
            read_nifti(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10e6


@pytest.fixture(scope="module")
def noisy_gzip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    noise = np.random.default_rng(3).normal(0, 5, SHAPE)
    return written(tmp_path_factory.mktemp("gz"), image((HEAD + noise).astype(np.int16)))


@pytest.mark.parametrize("share", np.linspace(0.0, 0.9999, 50).round(4))
def test_every_truncation_is_an_error(tmp_path: Path, noisy_gzip: Path, share: float) -> None:
    content = noisy_gzip.read_bytes()
    path = saved(tmp_path / "cut.nii.gz", content[: int(len(content) * share)])
    with pytest.raises(ScanError):
        read_nifti(path)


@pytest.mark.parametrize("seed", range(50))
def test_every_flipped_byte_is_an_error(tmp_path: Path, noisy_gzip: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    content = bytearray(noisy_gzip.read_bytes())
    name_end = (
        content.index(0, 10) + 1
    )  # before it lie the time and the name, which no checksum covers and nobody reads
    content[random.integers(name_end, len(content))] ^= int(random.integers(1, 256))
    with pytest.raises(ScanError):
        read_nifti(saved(tmp_path / "flip.nii.gz", bytes(content)))
