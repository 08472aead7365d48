"""Damaged series: right, doubted or refused; never another exception, never wrong in silence."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_phantom import series, write

from hemorrhage.dicom.importer import read_series
from hemorrhage.errors import ScanError
from hemorrhage.volume import Volume

TABLE = tuple(np.arange(19) * 10.0)


def encoded(dataset: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset)
    return buffer.getvalue()


def drop_an_entry(content: dict[str, bytes], random: np.random.Generator) -> None:
    name = random.choice(sorted(content))
    dataset = pydicom.dcmread(io.BytesIO(content[name]))
    del dataset[list(dataset.keys())[random.integers(len(dataset))]]
    content[name] = encoded(dataset)


def flip_a_byte_of_the_header(content: dict[str, bytes], random: np.random.Generator) -> None:
    name = random.choice(sorted(content))
    changed = bytearray(content[name])
    pixels = changed.index(b"\xe0\x7f\x10\x00") + 12
    changed[random.integers(pixels)] ^= int(random.integers(1, 256))
    content[name] = bytes(changed)


def cut_a_file(content: dict[str, bytes], random: np.random.Generator) -> None:
    name = random.choice(sorted(content))
    content[name] = content[name][: random.integers(len(content[name]))]


def exchange_an_entry_of_two_files(content: dict[str, bytes], random: np.random.Generator) -> None:
    # Pixels of slices far apart: those of neighbors near the equator of a head are hardly another head.
    one, two = (sorted(content)[k] for k in random.choice([1, 5, 9], 2, replace=False))
    first, second = (pydicom.dcmread(io.BytesIO(content[name])) for name in (one, two))
    tag = str(random.choice(["ImagePositionPatient", "InstanceNumber", "PixelData", "SOPInstanceUID"]))
    first[tag], second[tag] = second[tag], first[tag]
    content[one], content[two] = encoded(first), encoded(second)


MUTATIONS = (drop_an_entry, flip_a_byte_of_the_header, cut_a_file, exchange_an_entry_of_two_files)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], Volume]:
    folder = write(tmp_path_factory.mktemp("intact") / "ct", series(TABLE, SliceThickness="10"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}, read_series(folder)


def outcome(folder: Path, intact: tuple[dict[str, bytes], Volume], seed: int) -> str:
    """``right``, ``doubted`` or ``refused``; fails on anything else."""
    files, reference = intact
    content, random = dict(files), np.random.default_rng(seed)
    MUTATIONS[seed % len(MUTATIONS)](content, random)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    start = time.monotonic()
    try:
        volume = read_series(folder)
    except ScanError:
        return "refused"
    finally:
        assert time.monotonic() - start < 20.0
    same = volume.hu.shape == reference.hu.shape and np.allclose(volume.affine, reference.affine, atol=0.2)
    if same and np.array_equal(volume.hu, reference.hu):
        return "right"
    assert volume.warnings, f"seed {seed} gave another volume in silence"
    return "doubted"


def run(folder: Path, intact: tuple[dict[str, bytes], Volume], seeds: range) -> dict[str, int]:
    outcomes = [outcome(folder, intact, seed) for seed in seeds]
    return {kind: outcomes.count(kind) for kind in ("right", "doubted", "refused")}


def test_damaged_series_are_never_wrong_in_silence(tmp_path: Path, intact: tuple[dict[str, bytes], Volume]) -> None:
    assert min(run(tmp_path, intact, range(60)).values()) > 0


@pytest.mark.slow
def test_a_thousand_damaged_series(tmp_path: Path, intact: tuple[dict[str, bytes], Volume]) -> None:
    assert sum(run(tmp_path, intact, range(1000)).values()) == 1000
