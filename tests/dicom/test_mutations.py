"""Damaged series: right, doubted or refused; never another exception, never wrong in silence.

The series shows a head without mirror symmetry: nobody could tell that two slices which are alike were exchanged.
"""

from __future__ import annotations

import io
import multiprocessing
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from analytic_head import hu_at
from dicom_phantom import pixel_points, series, set_pixels, write

from hemorrhage.dicom.importer import read_series
from hemorrhage.dicom.isolated import import_series_isolated
from hemorrhage.errors import ScanError
from hemorrhage.volume import Volume

TABLE = tuple(np.arange(15) * 10.0)


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
    one, two = random.choice(sorted(content), 2, replace=False)
    first, second = (pydicom.dcmread(io.BytesIO(content[name])) for name in (one, two))
    tag = str(random.choice(["ImagePositionPatient", "InstanceNumber", "PixelData", "SOPInstanceUID"]))
    first[tag], second[tag] = second[tag], first[tag]
    content[one], content[two] = encoded(first), encoded(second)


MUTATIONS = (drop_an_entry, flip_a_byte_of_the_header, cut_a_file, exchange_an_entry_of_two_files)


Read = Callable[[Path], Volume]


def read_behind_the_wall(folder: Path) -> Volume:
    return import_series_isolated(folder, memory_gb=2.0, seconds=20.0).volume


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], Volume]:
    datasets = series(TABLE, SliceThickness="10")
    for k, dataset in enumerate(datasets):
        points = pixel_points(dataset)
        points[..., 1] -= 0.5 * points[..., 2]
        noise = np.random.default_rng(k).normal(0, 5, points.shape[:2])
        set_pixels(dataset, hu_at(points) + noise)
    folder = write(tmp_path_factory.mktemp("intact") / "ct", datasets)
    return {path.name: path.read_bytes() for path in folder.iterdir()}, read_series(folder)


def outcome(folder: Path, intact: tuple[dict[str, bytes], Volume], seed: int, read: Read) -> str:
    """``right``, ``doubted`` or ``refused``; fails on anything else."""
    files, reference = intact
    content, random = dict(files), np.random.default_rng(seed)
    MUTATIONS[seed % len(MUTATIONS)](content, random)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    start, volume, code = time.monotonic(), None, ""
    try:
        volume = read(folder)
    except ScanError as error:
        code = error.code
    assert time.monotonic() - start < 20.0
    assert code != "E_BOMB", f"seed {seed} needed more than 2 GB or 20 s"
    if volume is None:
        return "refused"
    same = volume.hu.shape == reference.hu.shape and np.allclose(volume.affine, reference.affine, atol=0.2)
    if same and np.array_equal(volume.hu, reference.hu):
        return "right"
    assert volume.warnings, f"seed {seed} gave another volume in silence"
    return "doubted"


def outcome_in_a_fork(folder: Path, intact: tuple[dict[str, bytes], Volume], seed: int) -> str:
    """As :func:`outcome` under a limit of memory; cheaper by far than a new interpreter for each series."""
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def limited() -> None:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + (2 << 30), taken + (2 << 30)))
        try:
            sender.send(outcome(folder, intact, seed, read_series))
        except BaseException as fault:
            sender.send(f"seed {seed}: {fault!r}")

    process = multiprocessing.get_context("fork").Process(target=limited)
    process.start()
    process.join(25.0)
    assert process.exitcode == 0, f"seed {seed} died with {process.exitcode}"
    said = receiver.recv()
    assert said in ("right", "doubted", "refused"), said
    return said


def run(folder: Path, intact: tuple[dict[str, bytes], Volume], seeds: range, read: Read) -> dict[str, int]:
    outcomes = [outcome(folder, intact, seed, read) for seed in seeds]
    return {kind: outcomes.count(kind) for kind in ("right", "doubted", "refused")}


def test_damaged_series_are_never_wrong_in_silence(tmp_path: Path, intact: tuple[dict[str, bytes], Volume]) -> None:
    assert min(run(tmp_path, intact, range(60), read_series).values()) > 0


def test_nor_behind_the_wall_within_2_gb(tmp_path: Path, intact: tuple[dict[str, bytes], Volume]) -> None:
    assert sum(run(tmp_path, intact, range(60, 68), read_behind_the_wall).values()) == 8


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_thousand_damaged_series(tmp_path: Path, intact: tuple[dict[str, bytes], Volume]) -> None:
    """Each in a process that may take 2 GB more than this one has, and 20 s."""
    counts = {"right": 0, "doubted": 0, "refused": 0}
    for seed in range(1000):
        counts[outcome_in_a_fork(tmp_path, intact, seed)] += 1
    print(counts)
    assert sum(counts.values()) == 1000
