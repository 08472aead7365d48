"""Tilted and unequal slices: what was scanned lies where it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from analytic_head import BLEED_ML, BLEEDS, grid_points, hu_at
from dicom_folders import (
    codes,
    each,
)
from dicom_phantom import enhanced, pixel_points, series, write

from hemorrhage.dicom.importer import import_series, read_series
from hemorrhage.dicom.isolated import import_series_isolated
from hemorrhage.dicom.slice_map import SliceMap
from hemorrhage.geometry import shear_degrees, voxel_volume_ml

FINE = {"Rows": 112, "Columns": 96, "PixelSpacing": ["2", "2"], "SliceThickness": "3"}


THIN = tuple(np.arange(72) * 3.0)


UNEQUAL = tuple(np.concatenate([np.arange(36) * 2.5, 36 * 2.5 + 2.5 * np.arange(20) * 2]))


def assert_bleeds_in_place(folder: Path, step_mm: float) -> None:
    imported = import_series(folder)
    volume, slice_map = imported.volume, imported.slice_map
    assert shear_degrees(volume.affine) < 1e-6
    truth_native = np.stack(
        [hu_at(pixel_points(pydicom.dcmread(folder / name))).T for name in slice_map.files], axis=-1
    )
    points = grid_points(volume.hu.shape, volume.affine)
    for (center, radius), ml in zip(BLEEDS, BLEED_ML, strict=True):
        near = np.linalg.norm(points - center, axis=-1) < radius + 6
        weight = np.clip((volume.hu - 35.0) / 25.0, 0.0, 1.0) * near
        centroid = (points * weight[..., None]).sum(axis=(0, 1, 2)) / weight.sum()
        assert np.linalg.norm(centroid - center) < 0.5
        assert weight.sum() * voxel_volume_ml(volume.affine) == pytest.approx(ml, rel=0.03)
    bleed = (truth_native == 60.0).astype(np.float64)
    assert slice_map.integrate_ml(bleed) == pytest.approx(sum(BLEED_ML), rel=0.015)
    # What the volume holds at the native pixels is what was scanned there, but for the blur of two interpolations.
    sources = [pydicom.dcmread(folder / name) for name in slice_map.files]
    places = np.stack([pixel_points(source).transpose(1, 0, 2) for source in sources], axis=2)
    brain = ((places / (62, 80, 66)) ** 2).sum(axis=-1) < 1
    back = slice_map.to_native(volume.hu)
    assert np.abs(back - truth_native)[brain].mean() < 0.2
    mask = (back > 47.5) & brain
    dice = 2 * (mask & (bleed > 0)).sum() / (mask.sum() + bleed.sum())
    assert dice > 0.99
    assert step_mm == pytest.approx(slice_map.step_mm, rel=0.01)


@pytest.mark.parametrize("tilt", [-30, -20, 5, 12, 30])
def test_d10_d12_tilt_is_undone_from_positions(tmp_path: Path, tilt: float) -> None:
    folder = write(tmp_path / "ct", series(THIN, tilt=tilt, GantryDetectorTilt=str(tilt), **FINE))
    volume = read_series(folder)
    assert codes(volume) == ["W_TILT"]
    assert abs(volume.warnings[0].numbers["tilt_degrees"]) == pytest.approx(abs(tilt), abs=0.01)
    assert_bleeds_in_place(folder, 3.0 * np.cos(np.radians(tilt)))


@pytest.mark.parametrize("tag", [None, "0", "-20"])
def test_d11_d13_d14_the_tilt_tag_is_not_needed_and_not_believed(tmp_path: Path, tag: str | None) -> None:
    tags = {} if tag is None else {"GantryDetectorTilt": tag}
    volume = read_series(write(tmp_path / "ct", series(tilt=15, **tags)))
    assert codes(volume) == ["W_TILT"]
    assert ("positions were believed" in volume.warnings[0].text) == (tag is not None)
    untagged = read_series(write(tmp_path / "b", series(tilt=15)))
    np.testing.assert_array_equal(volume.hu, untagged.hu)


def test_d3_enhanced_tilt_equals_single_frames(tmp_path: Path) -> None:
    slices = series(tilt=-18.5)
    one, many = read_series(write(tmp_path / "a", [enhanced(slices)])), read_series(write(tmp_path / "b", slices))
    assert codes(one) == codes(many) == ["W_TILT"]
    np.testing.assert_array_equal(one.hu, many.hu)
    np.testing.assert_array_equal(one.affine, many.affine)


@pytest.mark.parametrize("tilt", [0, 18])
def test_d9_d15_unequal_distances_are_resampled_on_the_finest(tmp_path: Path, tilt: float) -> None:
    folder = write(tmp_path / "ct", series(UNEQUAL, tilt=tilt, **{**FINE, "SliceThickness": "2.5"}))
    volume = read_series(folder)
    assert codes(volume) == (["W_TILT", "W_SPACING"] if tilt else ["W_SPACING"])
    assert_bleeds_in_place(folder, 2.5 * np.cos(np.radians(tilt)))


def test_slices_that_the_volume_keeps_are_exact_and_the_others_lie_between(tmp_path: Path) -> None:
    table = (*np.arange(0, 100, 5.0), *np.arange(100, 200, 10.0))
    thick = each(lambda k, s: setattr(s, "SliceThickness", "5" if k < 20 else "10"), series(table))
    imported = import_series(write(tmp_path / "ct", thick))
    volume, slice_map = imported.volume, imported.slice_map
    assert volume.hu.shape[2] == 39
    for k in range(39):
        sources = slice_map.sources_of(k)
        assert sum(weight for _, weight in sources) == pytest.approx(1.0)
        place = sum(slice_map.distances_mm[n] * weight for n, weight in sources)
        assert place == pytest.approx(k * slice_map.step_mm)
        if len(sources) == 1:
            source = pydicom.dcmread(tmp_path / "ct" / slice_map.files[sources[0][0]])
            np.testing.assert_array_equal(volume.hu[:, :, k], hu_at(pixel_points(source)).T)
    assert [len(slice_map.sources_of(k)) for k in (5, 20, 21, 22)] == [1, 1, 2, 1]


def test_without_blending_every_slice_is_one_that_was_scanned(tmp_path: Path) -> None:
    table = (*np.arange(0, 100, 5.0), *np.arange(100, 200, 10.0))
    thick = each(lambda k, s: setattr(s, "SliceThickness", "5" if k < 20 else "10"), series(table))
    write(tmp_path / "ct", thick)
    blended, repeated = import_series(tmp_path / "ct"), import_series(tmp_path / "ct", blend=False)
    np.testing.assert_array_equal(repeated.volume.affine, blended.volume.affine)
    assert repeated.volume.hu.shape == blended.volume.hu.shape
    for k in range(39):
        ((n, weight),) = repeated.slice_map.sources_of(k)
        assert weight == 1.0
        assert abs(repeated.slice_map.distances_mm[n] - k * repeated.slice_map.step_mm) <= 5.0 + 1e-6
        source = pydicom.dcmread(tmp_path / "ct" / repeated.slice_map.files[n])
        np.testing.assert_array_equal(repeated.volume.hu[:, :, k], hu_at(pixel_points(source)).T)
    walled = import_series_isolated(tmp_path / "ct", blend=False)
    np.testing.assert_array_equal(walled.volume.hu, repeated.volume.hu)
    assert not walled.slice_map.blended


def test_a_label_goes_back_to_its_own_slices(tmp_path: Path) -> None:
    imported = import_series(write(tmp_path / "ct", series(UNEQUAL, tilt=20, **FINE)))
    label = (np.abs(imported.volume.hu - 60) < 5).astype(np.uint8)
    native = imported.slice_map.to_native(label, order=0)
    assert native.shape == (96, 112, len(UNEQUAL))
    assert native.dtype == np.uint8
    assert set(np.unique(native)) == {0, 1}


def test_the_record_of_a_volume_rebuilds_the_map(tmp_path: Path) -> None:
    imported = import_series(write(tmp_path / "ct", series(UNEQUAL, tilt=20)))
    again = SliceMap.from_source(imported.volume.source)
    assert again is not None
    np.testing.assert_array_equal(again.weights_mm(), imported.slice_map.weights_mm())
    np.testing.assert_array_equal(again.offsets, imported.slice_map.offsets)
    assert SliceMap.from_source({"format": "NIfTI"}) is None
