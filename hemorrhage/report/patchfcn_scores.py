"""PatchFCN's scores of slices and scans, as the papers define them.

Kuo et al. 2018, "Patch-based Inference": a frame's score is its mean pixel score, a scan's the largest L_p norm among
its frames. Kuo et al. 2019, "Implementation details": a scan's score is the largest patch score.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hemorrhage.geometry import slice_axis
from hemorrhage.report.scan_result import ScanResult
from hemorrhage.subtypes import SUBTYPES

__all__ = ["PatchFCNScores", "frame_scores", "lp_norms", "scan_score"]


def frame_scores(probability: np.ndarray, axis: int = 2) -> np.ndarray:
    """(K,) mean pixel score of each slice.

    Args:
        probability: (I, J, K) of hemorrhage.
        axis: the slice axis.
    """
    return np.moveaxis(probability, axis, -1).mean((0, 1), dtype=np.float64)


def lp_norms(probability: np.ndarray, p: float = 256.0, axis: int = 2) -> np.ndarray:
    """(K,) L_p norm of each slice's pixel scores: the largest of them, a little more where many are as large.

    Args:
        probability: (I, J, K) of hemorrhage.
        p: the exponent (2018: 256).
        axis: the slice axis.

    Returns:
        the norms; those of many pixels at 1 lie above 1.
    """
    slices = np.moveaxis(probability, axis, 0).reshape(probability.shape[axis], -1).astype(np.float64)
    largest = slices.max(1)
    # Relative to the largest, because a small score to the power of 256 is no number.
    shares = np.divide(slices, largest[:, None], out=np.zeros_like(slices), where=largest[:, None] > 0)
    return largest * (shares**p).sum(1) ** (1.0 / p)


def scan_score(probability: np.ndarray, p: float = 256.0, axis: int = 2) -> float:
    """Largest L_p norm among the slices."""
    return float(lp_norms(probability, p, axis).max())


class PatchFCNScores:
    """Measure of :class:`hemorrhage.handlers.ScanWriter`: the scores of a scan and its slices.

    Adds "patchfcn" to the findings: "lp_score"; "slices", a list of "frame_score" and "lp_norm" (and "patch_score")
    from the first slice of the file on; with a patch branch "patch_score", the largest of its slices; and, where the
    network names subtypes, "subtype_scores", each the largest patch score, or the L_p score of its pixels without a
    patch branch.

    Args:
        p: exponent of the norm.
    """

    def __init__(self, p: float = 256.0) -> None:
        self.p = p

    def __call__(self, result: ScanResult) -> Mapping[str, object]:
        """Score one scan."""
        axis = slice_axis(result.affine)
        frames, norms = frame_scores(result.probability, axis), lp_norms(result.probability, self.p, axis)
        slices = [{"frame_score": float(f), "lp_norm": float(n)} for f, n in zip(frames, norms, strict=True)]
        found: dict[str, object] = {"lp_score": float(norms.max()), "slices": slices}
        patches = result.data.get("patch_scores")
        if patches is not None:
            scores = np.asarray(patches, dtype=np.float64)
            # The network saw the slices from the feet up, whatever their order in the file.
            if result.affine[2, axis] < 0:
                scores = scores[:, ::-1]
            found["patch_score"] = float(scores[0].max())
            for entry, score in zip(slices, scores[0], strict=True):
                entry["patch_score"] = float(score)
            if len(scores) > 1:
                found["subtype_scores"] = {s.short: float(scores[s.index].max()) for s in SUBTYPES}
        elif "class_probability" in result.data:
            classes = np.asarray(result.data["class_probability"]) * result.brain
            found["subtype_scores"] = {s.short: scan_score(classes[s.index], self.p, axis) for s in SUBTYPES}
        return {"patchfcn": found}
