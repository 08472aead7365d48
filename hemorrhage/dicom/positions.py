"""Where slices lie, from their positions alone: order, tilt, distances, gaps. Numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Stack", "find_missing", "stack_positions"]

# Positions are decimal strings, often rounded to 0.1 mm, and a table comes to rest no better than that.
_JITTER_MM = 0.15


@dataclass(frozen=True)
class Stack:
    """Slices in order along their normal.

    Attributes:
        order: (N,) index into the positions given, from the smallest to the largest distance.
        normal: (3,) unit vector, same axes as the positions.
        distances_mm: (N,) along the normal, 0 for the first slice; even if ``uniform``.
        offsets_mm: (N, 2) by which a slice is shifted along its rows and its columns against the first one.
        tilt_degrees: (2,) lean of the stack along rows and columns; 0 where positions do not lean.
        off_line_mm: largest distance of a slice from the straight line of the others.
        uniform: whether all distances are equal.
    """

    order: np.ndarray
    normal: np.ndarray
    distances_mm: np.ndarray
    offsets_mm: np.ndarray
    tilt_degrees: np.ndarray
    off_line_mm: float
    uniform: bool

    @property
    def step_mm(self) -> float:
        """Smallest distance between neighbors (of uniform stacks, the distance)."""
        return float(np.diff(self.distances_mm).min())


def stack_positions(positions: np.ndarray, along_row: np.ndarray, along_column: np.ndarray) -> Stack:
    """Put parallel slices in order and tell how they lean.

    Args:
        positions: (N, 3) mm, the same pixel of each slice, N >= 2.
        along_row: (3,) unit vector.
        along_column: (3,) unit vector at a right angle to it.
    """
    normal = np.cross(along_row, along_column)
    distances = positions @ normal
    order = np.argsort(distances, kind="stable")
    relative = positions[order] - positions[order[0]]
    distances = relative @ normal
    offsets = np.stack([relative @ along_row, relative @ along_column], axis=1)
    tilt, off_line = np.zeros(2), 0.0
    if np.ptp(offsets, axis=0).max() <= 2 * _JITTER_MM:
        offsets = np.zeros_like(offsets)
    elif distances[-1] > 0.01:
        slope, start = np.polyfit(distances, offsets, 1)
        line = distances[:, None] * slope + start
        off_line = float(np.abs(offsets - line).max())
        tilt = np.degrees(np.arctan(slope))
        if off_line <= _JITTER_MM:
            offsets = line - line[0]
    index = np.arange(len(distances))
    step = distances[-1] / index[-1]
    if np.abs(distances - index * step).max() > 1e-3:
        step = float(np.polyfit(index, distances, 1)[0])  # the ends jitter too: let all slices decide
    off_even = distances - index * step
    uniform = bool(step > 0.01 and np.ptp(off_even) <= 2 * min(_JITTER_MM, 0.2 * step))
    return Stack(order, normal, index * step if uniform else distances, offsets, tilt, off_line, uniform)


def find_missing(
    distances_mm: np.ndarray, thicknesses: Sequence[float | None], numbers: Sequence[int | None]
) -> list[tuple[int, float, float]]:
    """Gaps at which slices were lost, as against gaps that change because the scan was made so.

    A single gap that is larger than both its neighbors, a jump of the image number at a large gap, or a few gaps larger
    than the slices are thick in a stack that is otherwise without gaps, mean a lost slice.

    Args:
        distances_mm: (N,) growing.
        thicknesses: N slice thicknesses in mm, None where unknown.
        numbers: N image numbers, None where unknown.

    Returns:
        for each: index of the slice before it, its width, and the width that would be usual, in mm.
    """
    gaps = np.diff(distances_mm)
    if len(gaps) < 2:
        return []
    jumps = np.full(len(gaps), np.nan)
    if all(n is not None for n in numbers):
        jumps = np.abs(np.diff(np.array(numbers, dtype=float)))
    usual_jump = np.nanmedian(jumps) if np.isfinite(jumps).any() else np.nan
    thick = np.array([np.nan if t is None or t <= 0 else t for t in thicknesses], dtype=float)
    cover = (thick[:-1] + thick[1:]) / 2
    without_gaps = np.isfinite(cover).all() and 0.75 <= float(np.median(gaps / cover)) <= 1.25
    wide = gaps > 1.5 * cover if without_gaps else np.zeros(len(gaps), dtype=bool)
    few = wide.sum() < len(gaps) / 3
    beside = [[gaps[j] for j in (k - 1, k + 1) if 0 <= j < len(gaps)] for k in range(len(gaps))]
    alone = np.array([gap > 1.5 * max(others) for gap, others in zip(gaps, beside, strict=True)])
    if alone.sum() > max(1, len(gaps) / 4):
        alone[:] = False  # distances that change all the time were made so
    missing = []
    for k, gap in enumerate(gaps):
        jumped = bool(jumps[k] > usual_jump) and gap > 1.2 * min(beside[k])
        if alone[k] or jumped or (wide[k] and few):
            missing.append((k, float(gap), float(cover[k]) if wide[k] else float(min(beside[k]))))
    return missing
