"""What was found on a volume's grid, drawn on the slices that the scanner made."""

from __future__ import annotations

import numpy as np

from hemorrhage.dicom.slice_map import SliceMap

__all__ = ["labels_on_slices"]


def labels_on_slices(
    slice_map: SliceMap, labels: np.ndarray, probability: np.ndarray, threshold: float = 0.5
) -> np.ndarray:
    """Labels of the pixels of the native slices.

    Labels carry no place finer than a voxel, the probability does: it is interpolated, linear, and cut at the threshold
    again. Where the labels left out what is above the threshold (small bleeds) or hold what is below it, they are
    believed.

    Args:
        slice_map: between the volume and its native slices.
        labels: (I, J, K) unsigned integers, 0 for none.
        probability: (I, J, K) of any label.
        threshold: probability from which a voxel was labeled.

    Returns:
        (columns, rows, N) uint8, equal to ``labels`` where the native slices are those of the volume.
    """
    native = np.zeros((*slice_map.native_shape, len(slice_map.distances_mm)), dtype=np.uint8)
    occupied = labels.max(axis=(0, 1)) > 0
    if not occupied.any():
        return native
    present = [int(value) for value in np.unique(labels) if value]
    below = np.float32(threshold) - np.float32(1e-4)
    for n in range(len(slice_map.distances_mm)):
        lower, share = slice_map.place_of(n, labels.shape[2])
        near = slice(lower, lower + 1 if share == 0.0 else lower + 2)
        if not occupied[near].any():
            continue
        between = np.array([1.0 - share, share], dtype=np.float32)[: near.stop - near.start]
        window, chance = labels[:, :, near], probability[:, :, near].astype(np.float32, copy=False)
        level = np.where(window > 0, np.maximum(chance, threshold), np.minimum(chance, below)).astype(np.float32)
        here = slice_map.plane_to_native(level @ between, n) >= threshold - 1e-5
        shares = [slice_map.plane_to_native((window == value) @ between, n) for value in present]
        native[:, :, n][here] = np.array(present, dtype=np.uint8)[np.argmax(shares, axis=0)][here]
    return native
