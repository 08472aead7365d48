"""How much brighter each place is than brain as near to bone elsewhere in the slice.

Brain beside bone is brighter than brain far from it: cupping, the long tail of the point spread and partial volume make
it so, and how much differs from scanner to scanner. In one slice it is about the same all along the skull, while blood
beside the skull lies in one place. Against the median of its own depth thin blood stands out alike in all of them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage

__all__ = ["rim_excess"]

REACH_MM = 14.0  # of what bone does to brain: beyond it all depths are one
LEAST_PIXELS = 60  # of a depth, to know how bright it is


def rim_excess(image: np.ndarray, inside: np.ndarray, pixel_mm: float, bone: float, neighbors: int = 1) -> np.ndarray:
    """By how much each pixel exceeds the median of its depth below bone.

    Args:
        image: (I, J, K) slices along the last axis.
        inside: (I, J, K) bool, the inside of the skull.
        pixel_mm: size of a pixel, about the same along both axes.
        bone: what is at least this bright is bone.
        neighbors: slices on each side whose pixels are asked too.

    Returns:
        (I, J, K) float32, differences in units of ``image``; 0 in bone and outside the skull.
    """
    white = image >= bone
    steps = int(np.ceil(REACH_MM / pixel_mm))
    depth = np.full(image.shape, -1, dtype=np.int32)  # in pixels, 0 beside bone; -1 is not brain
    for k in range(image.shape[2]):
        brain = inside[..., k] & ~white[..., k]
        far = ndimage.distance_transform_edt(~white[..., k]) if white[..., k].any() else np.full(brain.shape, np.inf)
        depth[..., k][brain] = np.clip(np.rint(far[brain]) - 1, 0, steps)
    out = np.zeros(image.shape, dtype=np.float32)
    for k in range(image.shape[2]):
        near = slice(max(0, k - neighbors), k + neighbors + 1)
        usual = _medians(image[..., near], depth[..., near], steps)
        out[..., k] = np.where(depth[..., k] >= 0, image[..., k] - usual[depth[..., k]], 0.0)
    return out


def _medians(image: np.ndarray, depth: np.ndarray, steps: int) -> np.ndarray:
    """(steps + 1,) median at each depth, between known ones where there are too few pixels."""
    order = np.argsort(depth, axis=None, kind="stable")
    values, depths = image.ravel()[order], depth.ravel()[order]
    borders = pairwise(np.searchsorted(depths, np.arange(steps + 2)))
    found = np.array([np.median(values[a:b]) if b - a >= LEAST_PIXELS else np.nan for a, b in borders])
    known = np.flatnonzero(np.isfinite(found))
    if not len(known):
        return np.full(steps + 1, np.median(values[depths >= 0]) if (depths >= 0).any() else 0.0)
    return np.interp(np.arange(steps + 1), known, found[known])
