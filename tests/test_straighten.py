"""Slices are put where their headers say: whole voxels exactly, parts of a voxel linearly, air where nothing was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hemorrhage.errors import ScanError
from hemorrhage.straighten import shift_slices, straighten_sheared


def test_no_offset_changes_nothing() -> None:
    hu = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    moved, first = shift_slices(hu, np.zeros((4, 2)))
    assert moved is hu
    assert first.tolist() == [0, 0]


def test_whole_voxels_move_exactly_and_the_grid_grows_to_hold_them() -> None:
    hu = np.arange(18, dtype=np.float32).reshape(3, 3, 2)
    moved, first = shift_slices(hu, np.array([[0.0, 0.0], [2.0, -1.0]]))
    assert moved.shape == (5, 4, 2)
    assert first.tolist() == [0, -1]
    np.testing.assert_array_equal(moved[:3, 1:, 0], hu[:, :, 0])
    np.testing.assert_array_equal(moved[2:, :3, 1], hu[:, :, 1])
    assert (moved == -1000).sum() == moved.size - hu.size


def test_parts_of_a_voxel_are_linear() -> None:
    hu = np.array([0.0, 100.0, 200.0], dtype=np.float32).reshape(3, 1, 1)
    moved, first = shift_slices(hu, np.array([[0.25, 0.0]]))
    assert first.tolist() == [0, 0]
    np.testing.assert_allclose(moved.ravel(), [-250.0, 75.0, 175.0, 0.25 * 200 - 750])


def test_a_linear_ramp_in_space_stays_one() -> None:
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[1, 2] = 0.9  # each slice lies 0.45 voxels further along j
    index = np.indices((6, 20, 8))
    y = affine[1, 1] * index[1] + affine[1, 2] * index[2]
    straight, new, warnings = straighten_sheared(y.astype(np.float32), affine, Path("a"))
    where = new[1, 1] * np.indices(straight.shape)[1] + new[1, 3]
    inside = straight > -100
    inside[:, 1:] &= straight[:, :-1] > -100
    inside[:, :-1] &= straight[:, 1:] > -100
    assert inside.mean() > 0.5
    np.testing.assert_allclose(straight[:, 1:-1][inside[:, 1:-1]], where[:, 1:-1][inside[:, 1:-1]], atol=1e-3)
    assert [w.code for w in warnings] == ["W_SHEAR"]


def test_a_lean_beyond_reason_is_refused() -> None:
    affine = np.eye(4)
    affine[1, 2] = 2.0
    with pytest.raises(ScanError, match="E_AFFINE"):
        straighten_sheared(np.zeros((4, 4, 4), dtype=np.float32), affine, Path("a"))
