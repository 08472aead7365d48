"""The scores of one scan: a row of numbers, and one of each slice."""

from __future__ import annotations

from typing import Any

import numpy as np

from hemorrhage.evaluation.combinations import combination_of
from hemorrhage.geometry import slice_axis, voxel_sizes_mm, voxel_volume_ml
from hemorrhage.metrics.lesions import lesion_counts
from hemorrhage.metrics.overlap import counts, hausdorff95_mm, surface_dice
from hemorrhage.report.findings import peak_score
from hemorrhage.subtypes import SUBTYPES

__all__ = ["TOLERANCE_MM", "score_scan"]

TOLERANCE_MM = 2.0


def score_scan(
    reference: np.ndarray,
    prediction: np.ndarray,
    probability: np.ndarray,
    affine: np.ndarray,
    brain: np.ndarray | None = None,
    subtypes: np.ndarray | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Score a mask on the scan's own grid.

    Args:
        reference: (I, J, K), nonzero inside.
        prediction: (I, J, K), nonzero inside.
        probability: (I, J, K) of any hemorrhage, before any threshold.
        affine: (4, 4) voxel index to RAS+ mm.
        brain: (I, J, K) the space that was searched, nonzero inside.
        subtypes: (I, J, K) the reference by subtype, values of :mod:`hemorrhage.subtypes`.

    Returns:
        the row of the scan and those of its slices, as docs/metrics.md describes them. Values for empty masks are those
        of :mod:`hemorrhage.metrics`.

    Raises:
        ValueError: if shapes differ.
    """
    manual, automatic = np.asarray(reference) > 0, np.asarray(prediction) > 0
    spacing, one_ml = voxel_sizes_mm(affine), voxel_volume_ml(affine)
    overlap, lesions = counts(manual, automatic), lesion_counts(manual, automatic)
    row: dict[str, Any] = {
        "reference_ml": float(np.count_nonzero(manual) * one_ml),
        "automatic_ml": float(np.count_nonzero(automatic) * one_ml),
    }
    row["difference_ml"] = row["automatic_ml"] - row["reference_ml"]
    row |= {
        "dice": overlap.dice,
        "jaccard": overlap.jaccard,
        "hd95_mm": hausdorff95_mm(manual, automatic, spacing.tolist()),
        "surface_dice": surface_dice(manual, automatic, spacing.tolist(), TOLERANCE_MM),
        "lesions": lesions.lesions,
        "lesions_found": lesions.found,
        "false_positive_lesions": lesions.false_positives,
        "scan_score": peak_score(probability, spacing),
    }
    if brain is not None:
        row["reference_outside_brain_ml"] = float(np.count_nonzero(manual & ~(np.asarray(brain) > 0)) * one_ml)
    present = None
    if subtypes is not None:
        kinds = np.asarray(subtypes)
        if kinds.shape != manual.shape:
            raise ValueError(f"subtypes have shape {kinds.shape}, the reference has {manual.shape}")
        present = set()
        for subtype in SUBTYPES:
            here = (kinds == subtype.index) & manual
            voxels = int(np.count_nonzero(here))
            row[f"{subtype.short}_ml"] = voxels * one_ml
            if voxels:
                present.add(subtype.short)
                row[f"{subtype.short}_found"] = float(np.count_nonzero(here & automatic) / voxels)
    row["combination"] = combination_of(present, bool(manual.any()))
    axis = slice_axis(affine)
    in_plane = np.delete(spacing, axis)
    area = float(np.prod(in_plane))
    slices = []
    for k in range(manual.shape[axis]):
        truth, answer, chance = (np.take(v, k, axis) for v in (manual, automatic, probability))
        both = counts(truth, answer)
        slices.append(
            {
                "slice": k,
                "blood": int(truth.any()),
                "score": peak_score(chance, in_plane),
                "reference_mm2": float((both.tp + both.fn) * area),
                "dice": both.dice,
                "jaccard": both.jaccard,
            }
        )
    return row, slices
