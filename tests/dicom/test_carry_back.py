"""Labels on their way back to the slices that were scanned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from analytic_head import BLEED_ML, BLEEDS, grid_points
from dicom_phantom import pixel_points, series, write

from hemorrhage.dicom.carry_back import labels_on_slices
from hemorrhage.dicom.importer import import_series
from hemorrhage.dicom.slice_map import SliceMap

LABELS = (1, 4, 2)
FINE = {"Rows": 112, "Columns": 96, "PixelSpacing": ["2", "2"], "SliceThickness": "3"}
EVEN = tuple(np.arange(72) * 3.0)
UNEQUAL = tuple(np.concatenate([np.arange(36) * 2.5, 36 * 2.5 + 5.0 * np.arange(20)]))


def even_map(count: int, offsets: np.ndarray | None = None) -> SliceMap:
    offsets = np.zeros((count, 2)) if offsets is None else offsets
    return SliceMap((8, 6), np.arange(count) * 5.0, offsets, 5.0, 1.0)


def test_slices_of_the_volume_keep_every_label() -> None:
    labels = np.random.default_rng(0).integers(0, 6, (8, 6, 4)).astype(np.uint8)
    native = labels_on_slices(even_map(4), labels, (labels > 0) * 0.9)
    np.testing.assert_array_equal(native, labels)


def test_labels_are_believed_over_the_probability() -> None:
    labels = np.zeros((8, 6, 3), np.uint8)
    labels[2:4, 2:4, 1] = 3  # filled in below the threshold
    probability = np.full(labels.shape, 0.2, np.float32)
    probability[6, 1, 1] = 0.99  # left out as too small
    np.testing.assert_array_equal(labels_on_slices(even_map(3), labels, probability, 0.5), labels)


def test_a_shifted_edge_lies_where_the_probability_crosses_the_threshold() -> None:
    probability = np.zeros((8, 6, 1), np.float32)
    probability[4:, :, 0] = 1.0
    probability[3, :, 0] = 0.4  # crosses 0.5 at 3.17
    labels = (probability >= 0.5).astype(np.uint8)
    for shift, first in ((0.1, 4), (0.2, 3), (0.45, 3)):
        slice_map = SliceMap((7, 6), np.zeros(1), np.array([[shift, 0.0]]), 5.0, 1.0)
        native = labels_on_slices(slice_map, labels, probability)
        assert np.flatnonzero(native[:, 0, 0])[0] == first


def test_nothing_found_is_nothing_anywhere() -> None:
    empty = np.zeros((8, 6, 4), np.uint8)
    assert not labels_on_slices(even_map(4), empty, empty.astype(np.float32)).any()


@pytest.mark.parametrize(
    ("table", "tilt"), [*((EVEN, tilt) for tilt in (-30, -18.5, 0, 7, 30)), *((UNEQUAL, tilt) for tilt in (-24, 0, 30))]
)
def test_masks_return_to_the_slices_that_showed_the_bleeds(
    tmp_path: Path, table: tuple[float, ...], tilt: float
) -> None:
    """Centroid within 0.5 mm, volume within 1.5 %, Dice at least 0.99."""
    folder = write(tmp_path / "ct", series(table, tilt=tilt, **FINE))
    imported = import_series(folder)
    volume, slice_map = imported.volume, imported.slice_map
    points = grid_points(volume.hu.shape, volume.affine)
    in_brain = ((points / (64, 82, 68)) ** 2).sum(axis=-1) < 1
    probability = np.clip((volume.hu - 35) / 25, 0, 1) * in_brain  # what a perfect network would answer
    labels = np.zeros(volume.hu.shape, np.uint8)
    places = np.stack(
        [pixel_points(pydicom.dcmread(folder / name)).transpose(1, 0, 2) for name in slice_map.files], axis=2
    )
    truth = np.zeros(places.shape[:3], np.uint8)
    for label, (center, radius) in zip(LABELS, BLEEDS, strict=True):
        labels[(probability >= 0.5) & (np.linalg.norm(points - center, axis=-1) < radius + 6)] = label
        truth[((places - center) ** 2).sum(axis=-1) < radius**2] = label

    native = labels_on_slices(slice_map, labels, probability)
    for label, (center, _), ml in zip(LABELS, BLEEDS, BLEED_ML, strict=True):
        found, true = native == label, truth == label
        assert 2 * (found & true).sum() / (found.sum() + true.sum()) >= 0.99
        assert np.linalg.norm(places[found].mean(axis=0) - places[true].mean(axis=0)) < 0.3
        weights = np.broadcast_to(slice_map.weights_mm(), found.shape)[found]
        assert np.linalg.norm(np.average(places[found], axis=0, weights=weights) - center) < 0.5
        # One bleed on a handful of slices is as exact as their places allow; all three are held to 1.5 %.
        assert slice_map.integrate_ml(found) == pytest.approx(ml, rel=0.045)
    assert slice_map.integrate_ml(native > 0) == pytest.approx(sum(BLEED_ML), rel=0.015)
