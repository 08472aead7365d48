"""Signed distances that can be worked out on paper."""

import pytest
import torch

from hemorrhage.phantom.shapes import box, capsule, ellipsoid, step


def points(*xyz):
    return [torch.tensor([float(p[a]) for p in xyz]) for a in range(3)]


def test_capsule_is_the_distance_to_its_segment():
    got = capsule(points((5, 0, 0), (5, 3, 0), (-4, 0, 0), (13, 0, 4)), (0, 0, 0), (10, 0, 0), 2.0)
    assert got.tolist() == pytest.approx([2, -1, -2, -3])


def test_capsule_tapers():
    got = capsule(points((0, 0, 0), (5, 0, 0), (10, 0, 0)), (0, 0, 0), (10, 0, 0), 2.0, 4.0)
    assert got.tolist() == pytest.approx([2, 3, 4])


def test_ellipsoid_is_zero_on_its_surface_and_a_sphere_is_exact():
    assert ellipsoid(points((3, 0, 0), (0, 5, 0)), (0, 0, 0), (3, 5, 7)).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert ellipsoid(points((1, 0, 0), (9, 0, 0)), (0, 0, 0), (4, 4, 4)).tolist() == pytest.approx([3, -5])


def test_box_is_the_nearest_face():
    assert box(points((0, 0, 0), (1.5, 0, 0), (3, 0, 0)), (0, 0, 0), (2, 5, 5)).tolist() == pytest.approx([2, 0.5, -1])


def test_step_is_the_share_of_a_voxel():
    assert step(torch.tensor([-2.0, -0.5, 0.0, 0.25, 1.0]), 2.0).tolist() == pytest.approx([0, 0.25, 0.5, 0.625, 1])
