"""The import behind a wall gives the same result and the same errors, and survives what would end this process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_phantom import series, write

from hemorrhage.dicom.importer import import_series
from hemorrhage.dicom.isolated import import_series_isolated
from hemorrhage.errors import EXIT_RESOURCE, ScanError


@pytest.fixture
def tilted(tmp_path: Path) -> Path:
    return write(tmp_path / "ct", series(tilt=12.0))


def test_the_result_is_that_of_the_direct_import(tilted: Path) -> None:
    walled, direct = import_series_isolated(tilted), import_series(tilted)
    np.testing.assert_array_equal(walled.volume.hu, direct.volume.hu)
    np.testing.assert_array_equal(walled.volume.affine, direct.volume.affine)
    assert walled.volume.warnings == direct.volume.warnings
    assert walled.volume.source == direct.volume.source
    assert walled.slice_map.files == direct.slice_map.files
    np.testing.assert_array_equal(walled.slice_map.offsets, direct.slice_map.offsets)


def test_a_foreign_package_of_the_same_name_is_not_taken(tilted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tilted.parent / "hemorrhage").mkdir()
    (tilted.parent / "hemorrhage" / "__init__.py").write_text("raise SystemExit")
    monkeypatch.chdir(tilted.parent)
    assert import_series_isolated(Path("ct")).volume.hu.ndim == 3


def test_errors_arrive_whole(tmp_path: Path) -> None:
    with pytest.raises(ScanError) as walled:
        import_series_isolated(tmp_path)
    with pytest.raises(ScanError) as direct:
        import_series(tmp_path)
    assert str(walled.value) == str(direct.value)


def test_a_memory_limit_ends_in_an_error(tmp_path: Path) -> None:
    sizes = {"Rows": 512, "Columns": 512, "PixelSpacing": ["0.4", "0.4"]}
    folder = write(tmp_path / "ct", series(tuple(np.arange(8) * 5.0), **sizes))
    with pytest.raises(ScanError, match="E_BOMB") as caught:
        import_series_isolated(folder, memory_gb=0.006)  # its voxels alone take 8 MiB
    assert caught.value.exit_code == EXIT_RESOURCE


def test_a_deadline_ends_in_an_error(tilted: Path) -> None:
    with pytest.raises(ScanError, match=r"E_BOMB.*0\.05 s") as caught:
        import_series_isolated(tilted, seconds=0.05)
    assert caught.value.exit_code == EXIT_RESOURCE


def test_a_process_that_dies_is_an_error(tilted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hemorrhage.dicom.isolated._PROGRAM", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(ScanError, match=r"E_FILE_UNREADABLE.*status -11"):
        import_series_isolated(tilted)


def test_nothing_stays_behind(tilted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    import_series_isolated(tilted)
    with pytest.raises(ScanError):
        import_series_isolated(tilted, series_uid="1.2")
    assert not list(scratch.iterdir())
