"""A head of nested ellipsoids, known at every point of space: any grid that samples it has a known truth."""

from __future__ import annotations

import numpy as np

AIR, SCALP, SKULL, BRAIN, BLEED = -1000.0, 0.0, 1000.0, 35.0, 60.0

# Half axes in mm (right, anterior, superior), outermost first.
LAYERS = ((SCALP, (80.0, 98.0, 84.0)), (SKULL, (76.0, 94.0, 80.0)), (BRAIN, (69.0, 87.0, 73.0)))
# Off center on all three axes, each of another size, so that every flip or swap of axes is seen.
BLEEDS = (((30.0, 25.0, 15.0), 14.0), ((-38.0, -20.0, 5.0), 11.0), ((12.0, -45.0, -25.0), 17.0))  # center, radius in mm
BLEED_ML = tuple(4.0 / 3.0 * np.pi * r**3 / 1000.0 for _, r in BLEEDS)


def hu_at(points: np.ndarray) -> np.ndarray:
    """HU of points (..., 3) in RAS mm, head centered at the origin."""
    hu = np.full(points.shape[:-1], AIR)
    for value, axes in LAYERS:
        hu[((points / axes) ** 2).sum(axis=-1) < 1.0] = value
    for center, radius in BLEEDS:
        hu[((points - center) ** 2).sum(axis=-1) < radius**2] = BLEED
    return hu


def grid_points(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """RAS mm of every voxel, (*shape, 3)."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def centered_affine(shape: tuple[int, ...], axes: np.ndarray) -> np.ndarray:
    """Affine with the voxel steps ``axes`` (3, 3) whose grid is centered on the head."""
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = -axes @ ((np.array(shape) - 1) / 2)
    return affine


def rotation_x(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def rotation_z(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
