"""Overlap of two masks: Dice and Jaccard from counts, and the distance of their surfaces through MONAI.

Values for empty masks, the same for all measures of overlap: 1 where both are empty, 0 where one is. A surface distance
is 0 where both are empty and infinite where one is, so that a missed bleed can never improve a median.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice

__all__ = ["Counts", "counts", "dice", "hausdorff95_mm", "jaccard", "surface_dice"]


@dataclass(frozen=True)
class Counts:
    """Voxels by what they are and what they were called.

    Attributes:
        tp: in both masks.
        fp: in the prediction alone.
        fn: in the reference alone.
    """

    tp: int
    fp: int
    fn: int

    @property
    def dice(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 where both masks are empty, 0 where one is."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else 1.0

    @property
    def jaccard(self) -> float:
        """TP / (TP + FP + FN); 1 where both masks are empty, 0 where one is."""
        total = self.tp + self.fp + self.fn
        return self.tp / total if total else 1.0


def _masks(reference: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    manual, automatic = np.asarray(reference) > 0, np.asarray(prediction) > 0
    if manual.shape != automatic.shape:
        raise ValueError(f"reference and prediction have different shapes, {manual.shape} and {automatic.shape}")
    return manual, automatic


def counts(reference: np.ndarray, prediction: np.ndarray) -> Counts:
    """Count voxels of two masks of one shape; nonzero is inside.

    Args:
        reference: what is taken as true.
        prediction: what is measured.

    Raises:
        ValueError: if the shapes differ.
    """
    manual, automatic = _masks(reference, prediction)
    both = int(np.count_nonzero(manual & automatic))
    return Counts(both, int(np.count_nonzero(automatic)) - both, int(np.count_nonzero(manual)) - both)


def dice(reference: np.ndarray, prediction: np.ndarray) -> float:
    """Dice coefficient of two masks of one shape: 1 where both are empty, 0 where one is.

    Raises:
        ValueError: if the shapes differ.
    """
    return counts(reference, prediction).dice


def jaccard(reference: np.ndarray, prediction: np.ndarray) -> float:
    """Jaccard index of two masks of one shape: 1 where both are empty, 0 where one is.

    Raises:
        ValueError: if the shapes differ.
    """
    return counts(reference, prediction).jaccard


def _floats(spacing_mm: Sequence[float]) -> list[float]:
    return [float(step) for step in spacing_mm]  # MONAI refuses a mixture of integers and floats


def _around_both(manual: np.ndarray, automatic: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Both masks as (1, 1, *spatial), cut to where either is: distances need no more, and memory is saved."""
    where = np.argwhere(manual | automatic)
    # One voxel of margin, because a surface that touches the border of an array would not be seen as one.
    low, high = where.min(0), where.max(0) + 1
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    padded = [np.pad(mask[window], 1) for mask in (manual, automatic)]
    return torch.from_numpy(padded[0])[None, None], torch.from_numpy(padded[1])[None, None]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*always_return_as_numpy", category=FutureWarning
        )  # MONAI's own call
        yield


def hausdorff95_mm(reference: np.ndarray, prediction: np.ndarray, spacing_mm: Sequence[float]) -> float:
    """Larger of the two 95th percentiles of distances from one surface to the other (MONAI), in mm.

    Surfaces are the voxels of a mask that touch its outside by a face; distances run between their centers.

    Args:
        reference: (I, J, K) or (I, J), nonzero inside.
        prediction: the same shape.
        spacing_mm: distance between voxels along each axis.

    Returns:
        mm; 0 where both masks are empty, infinite where one is.

    Raises:
        ValueError: if the shapes differ.
    """
    manual, automatic = _masks(reference, prediction)
    if not manual.any() or not automatic.any():
        return float("inf") if manual.any() or automatic.any() else 0.0
    y, y_pred = _around_both(manual, automatic)
    with _quiet():
        found = compute_hausdorff_distance(
            y_pred, y, include_background=True, percentile=95, spacing=_floats(spacing_mm)
        )
    return float(found)


def surface_dice(
    reference: np.ndarray, prediction: np.ndarray, spacing_mm: Sequence[float], tolerance_mm: float = 2.0
) -> float:
    """Share of both surfaces that lies within ``tolerance_mm`` of the other one (MONAI, after Nikolov et al. 2021).

    Surfaces run between voxels and are weighted by their area in mm², because a voxel of 0.5 x 0.5 x 5 mm has faces of
    0.25 and of 2.5 mm².

    Args:
        reference: (I, J, K) or (I, J), nonzero inside.
        prediction: the same shape.
        spacing_mm: distance between voxels along each axis.
        tolerance_mm: largest distance that counts as none.

    Returns:
        0 to 1; 1 where both masks are empty, 0 where one is.

    Raises:
        ValueError: if the shapes differ.
    """
    manual, automatic = _masks(reference, prediction)
    if not manual.any() or not automatic.any():
        return 0.0 if manual.any() or automatic.any() else 1.0
    y, y_pred = _around_both(manual, automatic)
    with _quiet():
        found = compute_surface_dice(
            y_pred, y, [tolerance_mm], include_background=True, spacing=_floats(spacing_mm), use_subvoxels=True
        )
    return float(found)
