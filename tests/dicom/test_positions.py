"""Order, lean and gaps from positions, on stacks whose answer is plain."""

from __future__ import annotations

import numpy as np
import pytest

from hemorrhage.dicom.positions import find_missing, stack_positions
from hemorrhage.dicom.slice_map import SliceMap

X, Y, Z = np.eye(3)


def test_order_follows_the_normal_whatever_the_sign() -> None:
    positions = np.outer([10.0, 0.0, 5.0], Z)
    assert stack_positions(positions, X, Y).order.tolist() == [1, 2, 0]
    assert stack_positions(positions, X, -Y).order.tolist() == [0, 2, 1]


@pytest.mark.parametrize("degrees", [-30.0, -3.0, 0.5, 18.5])
def test_lean_and_distance_of_a_tilted_stack(degrees: float) -> None:
    t = np.radians(degrees)
    stack = stack_positions(np.outer(np.arange(10) * 5.0, Z), X, np.array([0.0, np.cos(t), np.sin(t)]))
    assert stack.tilt_degrees[1] == pytest.approx(degrees)
    assert stack.tilt_degrees[0] == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(stack.distances_mm, np.arange(10) * 5.0 * np.cos(t))
    np.testing.assert_allclose(stack.offsets_mm[:, 1], np.arange(10) * 5.0 * np.sin(t))
    assert stack.uniform


def test_a_slice_off_the_line_keeps_its_own_place() -> None:
    positions = np.outer(np.arange(10) * 5.0, Z)
    positions[4, 0] += 3.0
    stack = stack_positions(positions, X, Y)
    assert stack.off_line_mm > 2.0
    assert stack.offsets_mm[4, 0] == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("distances", "missing"),
    [
        ([0, 5, 10, 15, 20], []),
        ([0, 5, 10, 20, 25], [2]),  # one gap twice as wide
        ([0, 10, 15, 20, 25], [0]),  # at an end
        ([0, 5, 10, 40, 45, 50], [2]),
        ([0, 4, 8, 12, 19, 26, 33], []),  # a block of thin and a block of thick slices
        ([0, 4, 8, 9, 16, 23, 30], []),  # blocks that overlap
        ([0, 3, 8, 11, 16, 19, 24], []),  # distances that change all the time
    ],
)
def test_lost_slices_are_told_from_blocks(distances: list[float], missing: list[int]) -> None:
    found = find_missing(np.array(distances, dtype=float), [None] * len(distances), [None] * len(distances))
    assert [k for k, _, _ in found] == missing


def test_image_numbers_show_a_loss_that_widths_alone_do_not() -> None:
    distances = np.array([0, 5, 10, 20, 30, 35, 40], dtype=float)
    assert find_missing(distances, [None] * 7, [1, 2, 3, 4, 5, 6, 7]) == []
    assert [k for k, _, _ in find_missing(distances, [None] * 7, [1, 2, 3, 5, 7, 8, 9])] == [2, 3]


def test_slice_thickness_shows_a_loss_in_a_stack_without_gaps() -> None:
    distances = np.array([0, 5, 10, 20, 30, 35, 40, 45, 50, 55], dtype=float)
    assert [k for k, _, _ in find_missing(distances, [5.0] * 10, [None] * 10)] == [2, 3]
    assert find_missing(distances, [5.0, 5.0, 5.0, 10.0, 10.0, 5.0, 5.0, 5.0, 5.0, 5.0], [None] * 10) == []


def test_weights_sum_to_the_length_that_the_slices_stand_for() -> None:
    slice_map = SliceMap((2, 2), np.array([0.0, 4.0, 8.0, 15.0, 22.0]), np.zeros((5, 2)), 1.0, 0.25)
    assert slice_map.weights_mm().tolist() == [4.0, 4.0, 5.5, 7.0, 7.0]
    mask = np.ones((2, 2, 5), dtype=bool)
    assert slice_map.integrate_ml(mask) == pytest.approx(4 * 0.25 * 27.5 / 1000)
