"""Shapes as signed distances in mm, positive inside, over points given as three coordinate tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["box", "capsule", "ellipsoid", "step"]

Point = Sequence[float]
Points = Sequence[torch.Tensor]


def step(distance: torch.Tensor, width: float = 1.0) -> torch.Tensor:
    """Share of a voxel of ``width`` mm that lies inside a surface at signed ``distance``: a linear ramp, 0 to 1."""
    return (distance * (1.0 / width)).add_(0.5).clamp_(0.0, 1.0)


def capsule(points: Points, start: Point, end: Point, radius: float, end_radius: float | None = None) -> torch.Tensor:
    """A rod with round ends from ``start`` to ``end``, its radius linear between the two."""
    axis = [e - s for s, e in zip(start, end, strict=True)]
    length2 = sum(a * a for a in axis)
    from_start = [p - s for p, s in zip(points, start, strict=True)]
    # Dozens of rods are drawn over a whole grid: in place, or memory traffic would take most of the time.
    t = from_start[0] * (axis[0] / length2)
    t.add_(from_start[1], alpha=axis[1] / length2).add_(from_start[2], alpha=axis[2] / length2).clamp_(0.0, 1.0)
    away, second, third = (d.sub_(t, alpha=a).square_() for d, a in zip(from_start, axis, strict=True))
    away.add_(second).add_(third).sqrt_()
    if end_radius is None:
        return away.neg_().add_(radius)
    return away.neg_().add_(t, alpha=end_radius - radius).add_(radius)


def ellipsoid(points: Points, center: Point, radii: Point) -> torch.Tensor:
    """An ellipsoid; exact on its surface and near it, and too shallow by the ratio of its radii deep inside."""
    squares = [(p - c).mul_(1.0 / r).square_() for p, c, r in zip(points, center, radii, strict=True)]
    scaled = squares[0].add_(squares[1]).add_(squares[2]).sqrt_()
    return (1.0 - scaled) * min(radii)


def box(points: Points, center: Point, half: Point) -> torch.Tensor:
    """A box with axis-parallel faces."""
    inside = [h - (p - c).abs() for p, c, h in zip(points, center, half, strict=True)]
    return torch.minimum(torch.minimum(inside[0], inside[1]), inside[2])
