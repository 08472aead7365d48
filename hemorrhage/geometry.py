"""Nouns of geometry from an affine: voxel index to RAS+ mm, (4, 4). Depends on numpy alone."""

from __future__ import annotations

import numpy as np

__all__ = [
    "rotation_angle_degrees",
    "shear_degrees",
    "slice_axis",
    "voxel_sizes_mm",
    "voxel_volume_ml",
]


def voxel_sizes_mm(affine: np.ndarray) -> np.ndarray:
    """Lengths of a voxel's three edges in mm, shape (3,)."""
    return np.linalg.norm(np.asarray(affine, dtype=np.float64)[:3, :3], axis=0)


def voxel_volume_ml(affine: np.ndarray) -> float:
    """Volume of a voxel in mL: the determinant, which stays right for a sheared grid where edge lengths do not."""
    return float(abs(np.linalg.det(np.asarray(affine, dtype=np.float64)[:3, :3])) / 1000.0)


def shear_degrees(affine: np.ndarray) -> float:
    """Largest departure of two voxel axes from a right angle, in degrees (0 for an orthogonal grid)."""
    axes = np.asarray(affine, dtype=np.float64)[:3, :3] / voxel_sizes_mm(affine)
    cosines = (axes.T @ axes)[np.triu_indices(3, 1)]
    return float(np.degrees(np.arcsin(np.clip(np.abs(cosines), 0.0, 1.0))).max())


def slice_axis(affine: np.ndarray) -> int:
    """Index of the voxel axis that runs closest to the patient's inferior-superior direction."""
    axes = np.asarray(affine, dtype=np.float64)[:3, :3] / voxel_sizes_mm(affine)
    return int(np.abs(axes[2]).argmax())


def rotation_angle_degrees(rotation: np.ndarray) -> float:
    """Angle of a (3, 3) rotation matrix in degrees, within [0, 180]."""
    cosine = (np.trace(np.asarray(rotation, dtype=np.float64)[:3, :3]) - 1.0) / 2.0
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
