"""The numbers of one scan, from its probability map and its mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import ndimage

from hemorrhage.geometry import voxel_sizes_mm, voxel_volume_ml

__all__ = ["VOLUME_THRESHOLDS", "Component", "Measurements", "measure", "peak_score"]

# Volumes at these probabilities beside the reported one show how much it hangs on the threshold.
VOLUME_THRESHOLDS = (0.3, 0.5, 0.7)
_SCORE_WINDOW_MM = 5.0


@dataclass(frozen=True)
class Component:
    """One connected bleed.

    Attributes:
        volume_ml: its volume.
        mean_hu: mean of the scan inside it.
        mean_probability: mean probability inside it.
        center_mm: its centroid in the scan's RAS+ coordinates.
    """

    volume_ml: float
    mean_hu: float
    mean_probability: float
    center_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Measurements:
    """What is stated about one scan.

    Attributes:
        volume_ml: voxels of the mask times the volume of a voxel.
        volume_left_ml: of it, on the patient's left of the midline, as the header states left; None where it does not.
        volume_right_ml: likewise on the right.
        side: "left", "right" (at least 90 % of the volume there), "both", "none" without blood, or "unknown".
        volume_ml_at: volume of the probability map at each of VOLUME_THRESHOLDS.
        scan_score: largest probability after averaging over a cube of 5 mm: near 0 without a trace of blood, near 1
            with a sure one. Comparable only between scans read with the same weights.
        components: connected bleeds (26 neighbors), largest first.
    """

    volume_ml: float
    volume_left_ml: float | None
    volume_right_ml: float | None
    side: str
    volume_ml_at: dict[str, float]
    scan_score: float
    components: tuple[Component, ...]

    def as_record(self) -> dict[str, object]:
        """Plain values for JSON, with the counts that people look for first."""
        record = asdict(self)
        largest = self.components[0].volume_ml if self.components else 0.0
        return {**record, "number_of_components": len(self.components), "largest_component_ml": largest}


def peak_score(probability: np.ndarray, spacing_mm: Sequence[float] | np.ndarray) -> float:
    """Largest probability after averaging over a cube of 5 mm, or over a square for a single slice.

    Args:
        probability: (I, J, K) or (I, J).
        spacing_mm: distance between voxels along each axis; an axis of thicker voxels is not averaged.

    Returns:
        0 to 1; 0 where nothing is above 0.
    """
    size = np.maximum(1, np.round(_SCORE_WINDOW_MM / np.asarray(spacing_mm, dtype=np.float64))).astype(int)
    where = np.argwhere(probability > 0)
    if not where.size:
        return 0.0
    window = tuple(
        slice(max(0, low - s), high + s + 1) for low, high, s in zip(where.min(0), where.max(0), size, strict=True)
    )
    averaged = ndimage.uniform_filter(probability[window].astype(np.float32), size=tuple(size), mode="constant")
    return float(np.clip(averaged.max(), 0.0, 1.0))


def _components(mask: np.ndarray, hu: np.ndarray, probability: np.ndarray, affine: np.ndarray) -> list[Component]:
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    if not count:
        return []
    found: Sequence[int] = range(1, count + 1)
    voxels = ndimage.sum_labels(mask, labels, found)
    mean_hu = ndimage.mean(hu, labels, found)
    mean_probability = ndimage.mean(probability, labels, found)
    centers = np.asarray(ndimage.center_of_mass(mask, labels, found)) @ affine[:3, :3].T + affine[:3, 3]
    one_ml = voxel_volume_ml(affine)
    bleeds = [
        Component(float(v * one_ml), float(h), float(p), (float(c[0]), float(c[1]), float(c[2])))
        for v, h, p, c in zip(voxels, mean_hu, mean_probability, centers, strict=True)
    ]
    return sorted(bleeds, key=lambda b: -b.volume_ml)


def _side(left: float, total: float) -> str:
    if total == 0:
        return "none"
    right = total - left
    if max(left, right) < 0.9 * total:
        return "both"
    return "left" if left > right else "right"


def measure(
    hu: np.ndarray,
    probability: np.ndarray,
    mask: np.ndarray,
    affine: np.ndarray,
    to_template: np.ndarray | None = None,
    sides_known: bool = True,
) -> Measurements:
    """Volumes, sides, bleeds and score of a scan, all on the scan's own grid.

    Args:
        hu: (I, J, K) the scan.
        probability: (I, J, K) of hemorrhage, before any threshold.
        mask: (I, J, K) the reported hemorrhage, nonzero inside.
        affine: (4, 4) voxel index to RAS+ mm.
        to_template: (4, 4) RAS+ mm of the scan to those of the template, whose plane x = 0 is the midline; None takes
            the middle of the mask's grid.
        sides_known: whether the affine can tell left from right.

    Returns:
        the measurements; without blood all volumes are 0.0 and the side is "none".

    Raises:
        ValueError: if the shapes differ.
    """
    if not hu.shape == probability.shape == mask.shape:
        raise ValueError(f"shapes differ: scan {hu.shape}, probability {probability.shape}, mask {mask.shape}")
    mask = np.asarray(mask) > 0
    one_ml = voxel_volume_ml(affine)
    total = float(np.count_nonzero(mask) * one_ml)
    world = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    if to_template is None:
        middle = (affine @ np.append((np.array(mask.shape) - 1) / 2, 1.0))[0]
        x = world[:, 0] - middle
    else:
        x = world @ to_template[0, :3] + to_template[0, 3]
    left = float(np.count_nonzero(x < 0) * one_ml)
    return Measurements(
        volume_ml=total,
        volume_left_ml=left if sides_known else None,
        volume_right_ml=total - left if sides_known else None,
        side=_side(left, total) if sides_known or total == 0 else "unknown",
        volume_ml_at={f"{t:g}": float(np.count_nonzero(probability >= t) * one_ml) for t in VOLUME_THRESHOLDS},
        scan_score=peak_score(probability, voxel_sizes_mm(affine)),
        components=tuple(_components(mask, hu, probability, affine)),
    )
