"""Shapes as signed distances in mm, positive inside, over points given as three coordinate tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["box", "capsule", "ellipsoid", "step"]

Point = Sequence[float]
Points = Sequence[torch.Tensor]


def step(distance: torch.Tensor, width: float = 1.0) -> torch.Tensor:
    """Share of a voxel of ``width`` mm that lies inside a surface at signed ``distance``: a linear ramp, 0 to 1."""
    return (distance * (1.0 / width) + 0.5).clamp_(0.0, 1.0)


def capsule(points: Points, start: Point, end: Point, radius: float, end_radius: float | None = None) -> torch.Tensor:
    """A rod with round ends from ``start`` to ``end``, its radius linear between the two."""
    (x, y, z), (x0, y0, z0) = points, start
    dx, dy, dz = (e - s for s, e in zip(start, end, strict=True))
    t = ((x - x0) * dx + (y - y0) * dy + (z - z0) * dz) / (dx * dx + dy * dy + dz * dz)
    t = t.clamp_(0.0, 1.0)
    away = (x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2 + (z - z0 - t * dz) ** 2
    r = radius if end_radius is None else radius + t * (end_radius - radius)
    return r - torch.sqrt(away)


def ellipsoid(points: Points, center: Point, radii: Point) -> torch.Tensor:
    """An ellipsoid; exact on its surface and near it, and too shallow by the ratio of its radii deep inside."""
    (x, y, z), (cx, cy, cz), (rx, ry, rz) = points, center, radii
    scaled = torch.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2)
    return (1.0 - scaled) * min(radii)


def box(points: Points, center: Point, half: Point) -> torch.Tensor:
    """A box with axis-parallel faces."""
    inside = [h - (p - c).abs() for p, c, h in zip(points, center, half, strict=True)]
    return torch.minimum(torch.minimum(inside[0], inside[1]), inside[2])
