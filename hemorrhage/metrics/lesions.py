"""Single bleeds found, missed and invented."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

__all__ = ["LesionCounts", "lesion_counts"]


@dataclass(frozen=True)
class LesionCounts:
    """Connected bleeds of one scan.

    Attributes:
        lesions: bleeds of the reference.
        found: of them, those that the prediction touches by a voxel at least.
        false_positives: bleeds of the prediction that touch none of the reference.
    """

    lesions: int
    found: int
    false_positives: int

    @property
    def sensitivity(self) -> float:
        """Share of bleeds found; NaN without a bleed in the reference, whatever the prediction."""
        return self.found / self.lesions if self.lesions else float("nan")


def lesion_counts(reference: np.ndarray, prediction: np.ndarray) -> LesionCounts:
    """Count bleeds, voxels that touch by a face, an edge or a corner being one bleed.

    An empty reference has no lesions, and all bleeds of the prediction are false positives; an empty prediction finds
    none and has none; both empty are 0, 0 and 0.

    Args:
        reference: (I, J, K), nonzero inside.
        prediction: the same shape.

    Raises:
        ValueError: if the shapes differ.
    """
    manual, automatic = np.asarray(reference) > 0, np.asarray(prediction) > 0
    if manual.shape != automatic.shape:
        raise ValueError(f"reference and prediction have different shapes, {manual.shape} and {automatic.shape}")
    touching = np.ones((3,) * manual.ndim)
    (labels, lesions), (calls, called) = (ndimage.label(m, structure=touching) for m in (manual, automatic))
    both = manual & automatic
    found, right = np.unique(labels[both]).size, np.unique(calls[both]).size
    return LesionCounts(int(lesions), int(found), int(called - right))
