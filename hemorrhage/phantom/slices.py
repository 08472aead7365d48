"""A head with its bleeds drawn on a grid of slices, before any scanner: partial volume, labels, exact volumes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from hemorrhage.geometry import voxel_volume_ml
from hemorrhage.phantom.head import Head
from hemorrhage.phantom.render import draw_planes

__all__ = ["WHITE_HU", "Slices", "draw_slices", "grid_affine"]

# Points of planes drawn at a time: more would only cost memory.
CHUNK_POINTS = 3_000_000
SUBPLANE_MM = 1.7
TYPICAL_KERNEL_MM = 0.65
SHARE_BOUNDS = (0.25, 0.75)
# Nobody marks blood in a voxel that bone has turned white: in real masks at most one voxel in fourteen measures
# above 90 HU. Taken without the blood, behind a typical kernel.
MIN_BRAIN = 0.97
WHITE_HU = 80.0


def grid_affine(
    shape: Sequence[int],
    spacing_mm: Sequence[float],
    tilt_degrees: float = 0.0,
    center_mm: Sequence[float] = (0.0, 0.0, 0.0),
    sheared: bool = False,
) -> np.ndarray:
    """Affine of a grid around ``center_mm``, its slices tilted about the patient's left-right axis.

    Args:
        shape: (I, J, K).
        spacing_mm: pixel, pixel and distance between slices.
        tilt_degrees: gantry tilt; positive raises the front of each slice toward the top of the head.
        center_mm: RAS position of the grid's middle.
        sheared: slices follow each other along the table, as a tilted gantry acquires them, and not along their
            normal; ``spacing_mm[2]`` is then their distance along the normal.

    Returns:
        (4, 4) float64.
    """
    angle = math.radians(tilt_degrees)
    c, s = math.cos(angle), math.sin(angle)
    axes = np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])
    if sheared:
        axes[:, 2] = (0.0, 0.0, 1.0 / c)
    affine = np.eye(4)
    affine[:3, :3] = axes * np.asarray(spacing_mm, float)
    affine[:3, 3] = np.asarray(center_mm) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return affine


@dataclass(frozen=True)
class Slices:
    """A head drawn on a grid, before the scanner: everything that several scans of it can share, as (K, I, J).

    Attributes:
        hu: HU of a perfect scanner, blood included as dense as it should measure.
        blood: (B, K, I, J) share of each bleed of the head.
        label: subtype of each voxel.
        brain: share of the intracranial space.
        affine: (4, 4) of the grid.
        thickness_mm: of a slice.
        record: wanted volume, density and site by subtype.
        fractured: numbers of the slices that the head's fracture reaches.
        head: the head.
    """

    hu: torch.Tensor
    blood: torch.Tensor
    label: torch.Tensor
    brain: torch.Tensor
    affine: np.ndarray
    thickness_mm: float
    record: dict[str, dict[str, Any]]
    fractured: tuple[int, ...]
    head: Head


def draw_slices(
    head: Head,
    affine: np.ndarray,
    shape: Sequence[int],
    rotation: np.ndarray,
    offset: np.ndarray,
    whole: bool = True,
    subplane_mm: float = SUBPLANE_MM,
    redraws: int = 0,
) -> Slices:
    """Draw a head on a grid.

    Args:
        head: the head.
        affine: (4, 4) of the grid.
        shape: its voxels.
        rotation: (3, 3) head to world.
        offset: (3,) world position of the head's center.
        whole: the grid holds each bleed whole, so that labels can be matched to the wanted volumes.
        subplane_mm: largest distance between the planes that a thick slice averages.
        redraws: times that bleeds may be grown or shrunk and drawn anew where their labels miss the wanted volume by
            more than half a percent.
    """
    sigma = TYPICAL_KERNEL_MM / float(np.linalg.norm(affine[:3, 0]))
    for left in range(redraws, -1, -1):
        perfect, clean, brain, blood, varied, thickness = _drawn(head, affine, shape, rotation, offset, subplane_mm)
        markable = _markable(perfect, brain, blood, sigma)
        label, reached = _label(head, blood, markable, voxel_volume_ml(affine) if whole else None)
        if not whole or not left or not head.bleeds:
            break
        ratios = [int((label == b.index).sum()) * voxel_volume_ml(affine) / b.volume_ml for b in head.bleeds]
        if all(abs(ratio - 1) < 0.005 for ratio in ratios):
            break
        head = _resize(head, ratios)
    hu = clean
    for n, bleed in enumerate(head.bleeds):
        hu = hu + bleed.density_hu * blood[n] + varied[n]
    fractured = _fractured(head, affine, int(shape[2]), rotation, offset)
    return Slices(hu, blood, label, brain, affine, thickness, reached, fractured, head)


def _fractured(head: Head, affine: np.ndarray, count: int, rotation: np.ndarray, offset: np.ndarray) -> tuple[int, ...]:
    n = head.numbers
    if not n["fracture"]:
        return ()
    hit = rotation @ np.array([n["hit_x"], n["hit_y"], n["hit_z"]]) + offset
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    normal /= np.linalg.norm(normal)
    away = [abs(float(normal @ (affine[:3, 3] + k * affine[:3, 2] - hit))) for k in range(count)]
    return tuple(k for k, mm in enumerate(away) if mm < n["crack_reach_mm"])


def _resize(head: Head, ratios: Sequence[float]) -> Head:
    """Raise or lower the level of each bleed whose label holds ``ratio`` of the wanted volume."""
    levels = {}
    for bleed, ratio in zip(head.bleeds, ratios, strict=True):
        reach = bleed.softness if bleed.domain == "csf" else min(3.0, (1000 * bleed.volume_ml) ** (1 / 3) / 4)
        levels[bleed.field] = head.fields[bleed.field] + float(np.clip(1.2 * (1 - ratio), -0.5, 0.5)) * reach
    return head.with_fields(**levels)


def _drawn(
    head: Head,
    affine: np.ndarray,
    shape: Sequence[int],
    rotation: np.ndarray,
    offset: np.ndarray,
    subplane_mm: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, float]:
    """HU without blood, HU times what is not blood, brain, blood, its variation (slices first), and thickness in mm."""
    count = int(shape[2])
    steps = (affine[:3, :3].T @ rotation).astype(np.float64)  # rows: the grid's steps in the head's coordinates
    corner = rotation.T @ (affine[:3, 3] - offset)
    # Partial volume is across the slice, whichever way the next one lies.
    normal = np.cross(steps[0], steps[1])
    normal /= np.linalg.norm(normal)
    thickness = abs(float(normal @ steps[2]))
    parts = max(1, math.ceil(thickness / subplane_mm - 0.2))
    within = ((np.arange(parts) + 0.5) / parts - 0.5) * thickness
    origins = corner + np.arange(count)[:, None, None] * steps[2] + within[None, :, None] * normal
    device = head.device
    first, second = (torch.tensor(steps[a], dtype=torch.float32, device=device) for a in (0, 1))
    at_once = max(1, CHUNK_POINTS // (shape[0] * shape[1] * parts))
    pieces = []
    for start in range(0, count, at_once):
        planes = torch.tensor(origins[start : start + at_once].reshape(-1, 3), dtype=torch.float32, device=device)
        drawing = draw_planes(head, planes, first, second, (int(shape[0]), int(shape[1])))

        def average(values: torch.Tensor) -> torch.Tensor:
            return values.unflatten(-3, (-1, parts)).mean(-3)

        blood = drawing.blood
        clean = drawing.hu * (1 - blood.sum(0))
        pieces.append(
            (average(drawing.hu), average(clean), average(drawing.brain), average(blood),
             average(drawing.variation))
        )  # fmt: skip
    perfect, clean, brain, blood, varied = (torch.cat(p, -3) for p in zip(*pieces, strict=True))
    return perfect, clean, brain, blood, varied, thickness


def _markable(perfect: torch.Tensor, brain: torch.Tensor, blood: torch.Tensor, sigma: float) -> torch.Tensor:
    """(K, I, J) bool: voxels that bone has not turned white, looked for where there is blood."""
    markable = brain > MIN_BRAIN
    seen = (blood >= SHARE_BOUNDS[0]).any(0).flatten(1).any(1) if len(blood) else brain.new_zeros(len(brain)) > 0
    markable[seen] &= _blurred(perfect[seen], sigma) < WHITE_HU
    return markable


def _label(
    head: Head, blood: torch.Tensor, markable: torch.Tensor, voxel_ml: float | None
) -> tuple[torch.Tensor, dict[str, dict[str, Any]]]:
    """Voxels of each bleed: those with the largest share of it, as many as the wanted volume needs.

    A voxel with less than a quarter of blood is never marked and one with three quarters always is, as a reader would.
    """
    label = torch.zeros(markable.shape, dtype=torch.uint8, device=markable.device)
    reached: dict[str, dict[str, Any]] = {}
    largest = blood.amax(0) if len(blood) else blood
    for n, bleed in enumerate(head.bleeds):
        share = torch.where((blood[n] >= largest) & markable, blood[n], torch.zeros_like(blood[n]))
        threshold = 0.5
        if voxel_ml is not None:
            values = share[share >= SHARE_BOUNDS[0]].sort(descending=True).values
            wanted = max(1, round(bleed.volume_ml / voxel_ml))
            threshold = float(values[min(wanted, len(values)) - 1]) if len(values) else threshold
            threshold = min(max(threshold, SHARE_BOUNDS[0]), SHARE_BOUNDS[1])
        label[share >= threshold] = bleed.index
        reached[bleed.subtype] = {"wanted_ml": bleed.volume_ml, "wanted_hu": bleed.density_hu, "site": bleed.site}
    return label, reached


def _blurred(planes: torch.Tensor, sigma: float) -> torch.Tensor:
    """(K, I, J) as a scanner's kernel of ``sigma`` pixels leaves it: brain beside bone measures brighter than it is."""
    reach = math.ceil(2.5 * sigma)
    if sigma < 0.3 or not len(planes):
        return planes
    ticks = torch.arange(-reach, reach + 1, device=planes.device)
    taps = torch.exp(-0.5 * (ticks / sigma) ** 2)
    taps = (taps / taps.sum()).reshape(1, 1, -1, 1)
    along = functional.conv2d(planes[:, None], taps, padding=(reach, 0))
    return functional.conv2d(along, taps.transpose(2, 3), padding=(0, reach))[:, 0]
