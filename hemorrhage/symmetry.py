"""Where a head's left and right meet, and how each half differs from the other.

Readers look for thin and for faint blood by comparing sides: what is bright on both belongs to the head or to the
scanner. The line of symmetry is found on each slice of a scan together: the same angle, and a place that moves evenly
from slice to slice, so that a head that is turned or leans sideways has one, and a single slice as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage, optimize
from torch.nn import functional

__all__ = ["SymmetryLines", "asymmetry", "mirrored", "symmetry_lines"]

_COARSE_MM = 3.0  # of the image that lines are sought on
_SLICES = 20  # at most, likewise
_ANGLES = np.radians(np.arange(-32.0, 33.0, 8.0))  # a head that lies more askew than this is rare
_LEAST_SLICES = 5  # that tell how a head leans
_LEAST = 1e-6
_LEAST_TISSUE = 0.3  # of the weight of a blur, below which nothing is known of a place


class SymmetryLines(NamedTuple):
    """A line on each slice: points p, in mm from the center of its grid, with p . (cos angle, sin angle) = place.

    At an angle of 0 it runs along the second axis.

    Attributes:
        angle: in radians, of all slices.
        places: (K,) in mm.
    """

    angle: float
    places: np.ndarray


def mirrored(slices: torch.Tensor, lines: SymmetryLines, pixel_mm: Sequence[float]) -> torch.Tensor:
    """Each slice seen in the mirror along its line.

    Args:
        slices: (K, C, I, J) float.
        lines: of these slices.
        pixel_mm: size of a pixel along I and J.

    Returns:
        (K, C, I, J), 0 where the mirror shows what lies beyond the slice.
    """
    i, j = (_from_center(n, size) for n, size in zip(slices.shape[2:], pixel_mm, strict=True))
    cos, sin = math.cos(lines.angle), math.sin(lines.angle)
    beyond = 2 * (cos * i[:, None] + sin * j - torch.from_numpy(lines.places)[:, None, None])
    reach_i, reach_j = (max(float(x[-1]), _LEAST) for x in (i, j))
    grid = torch.stack([(j - beyond * sin) / reach_j, (i[:, None] - beyond * cos) / reach_i], -1)
    return functional.grid_sample(slices, grid.to(slices.dtype), padding_mode="zeros", align_corners=True)


def _from_center(count: int, size: float) -> torch.Tensor:
    """(count,) mm of the centers of pixels from that of their grid."""
    return (torch.arange(count, dtype=torch.double) - (count - 1) / 2) * size


def symmetry_lines(image: torch.Tensor, pixel_mm: Sequence[float]) -> SymmetryLines:
    """The lines along which a head is most nearly its own mirror image.

    Args:
        image: (I, J, K) in [0, 1], the first axis more or less from left to right, 0 outside the head.
        pixel_mm: size of a pixel along I and J.

    Returns:
        the lines of slices 0 to K - 1; the middle of the grid where the image is empty.
    """
    filled = torch.nonzero((image > 0).flatten(0, 1).any(0)).flatten()
    if len(filled) == 0:
        return SymmetryLines(0.0, np.zeros(image.shape[2]))
    chosen = filled[torch.linspace(0, len(filled) - 1, min(_SLICES, len(filled))).round().long()]
    coarse = [max(1, round(n * size / _COARSE_MM)) for n, size in zip(image.shape, pixel_mm, strict=False)]
    seen = functional.interpolate(image[..., chosen].permute(2, 0, 1)[:, None].float(), coarse, mode="area")
    sizes = [n * size / c for n, size, c in zip(image.shape, pixel_mm, coarse, strict=False)]
    numbers = chosen.numpy() - float(chosen.double().mean())
    leaning = len(numbers) >= _LEAST_SLICES

    def lines(values: np.ndarray, at: np.ndarray) -> SymmetryLines:
        return SymmetryLines(float(values[0]), values[1] + (values[2] * at if leaning else 0.0 * at))

    def unlike(values: np.ndarray) -> float:
        return float((seen - mirrored(seen, lines(values, numbers), sizes)).abs().mean())

    places, areas = _centers(seen, sizes)
    starts = []
    for angle in _ANGLES:
        across = places @ np.array([math.cos(angle), math.sin(angle)])
        step = np.polyfit(numbers, across, 1, w=np.sqrt(areas))[0] if leaning else 0.0
        starts.append(np.array([angle, np.average(across - step * numbers, weights=areas), step]))
    first = min(starts, key=unlike)[: 3 if leaning else 2]
    spread = np.array([math.radians(4), 3.0, 2.0 / max(1.0, float(np.ptp(numbers)))])[: len(first)]
    found = optimize.minimize(
        unlike, first, method="Nelder-Mead",
        options={"initial_simplex": np.vstack([first, first + np.diag(spread)]), "xatol": 0.005, "maxfev": 90},
    )  # fmt: skip
    return lines(found.x, np.arange(image.shape[2]) - float(chosen.double().mean()))


def _centers(slices: torch.Tensor, sizes: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """(K, 2) centers in mm and (K,) areas in pixels of what is not 0 in (K, 1, I, J)."""
    mask = (slices[:, 0] > 0).double()
    area = mask.sum((1, 2)).clamp(min=1)
    i, j = (_from_center(n, size) for n, size in zip(mask.shape[1:], sizes, strict=True))
    return torch.stack([mask.sum(2) @ i, mask.sum(1) @ j], 1).div(area[:, None]).numpy(), area.numpy()


def asymmetry(image: torch.Tensor, pixel_mm: Sequence[float], blur_mm: float) -> torch.Tensor:
    """How much brighter tissue is than what lies opposite.

    Both sides are blurred before they are compared, because gyri are not each other's mirror images. Bone (1) and what
    is outside the head (0) count on neither side.

    Args:
        image: (I, J, K) in [0, 1], see :func:`symmetry_lines`.
        pixel_mm: size of a pixel along I and J.
        blur_mm: standard deviation of the blur.

    Returns:
        (I, J, K) float32 in [-1, 1], 0 where one of both sides has no tissue.
    """
    lines = symmetry_lines(image, pixel_mm)
    tissue = ((image > 0) & (image < 1)).float()
    sigma = (blur_mm / pixel_mm[0], blur_mm / pixel_mm[1], 0)

    def blurred(volume: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(ndimage.gaussian_filter(volume.numpy(), sigma, mode="constant", truncate=3.0))

    both = torch.stack([blurred(image.float() * tissue), blurred(tissue)]).permute(3, 0, 1, 2)
    opposite = mirrored(both, lines, pixel_mm)
    known = (both[:, 1] > _LEAST_TISSUE) & (opposite[:, 1] > _LEAST_TISSUE)
    here = both[:, 0] / both[:, 1].clamp(min=_LEAST_TISSUE)
    there = opposite[:, 0] / opposite[:, 1].clamp(min=_LEAST_TISSUE)
    return torch.where(known, here - there, 0.0).permute(1, 2, 0).contiguous() * (image > 0)
