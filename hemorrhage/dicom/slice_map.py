"""The way between the orthogonal grid of a volume and the slices that the scanner made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

__all__ = ["SliceMap"]

_KEY = "slice_map"


@dataclass(frozen=True)
class SliceMap:
    """Native slices in the voxel grid of a volume whose slices run along its last axis.

    Attributes:
        native_shape: (columns, rows) of a native slice.
        distances_mm: (N,) of the native slices along the normal, 0 for the first, growing.
        offsets: (N, 2) voxel (i, j) of the volume at which pixel (0, 0) of each native slice lies.
        step_mm: distance of the volume's slices; its slice 0 lies at distance 0.
        pixel_area_mm2: of a native pixel.
        files: names of the source files in the same order, empty where they are not known.
        frames: index of the frame in its file.
        blended: each slice of the volume is interpolated between two native ones, linear; otherwise it repeats the
            nearest.
    """

    native_shape: tuple[int, int]
    distances_mm: np.ndarray
    offsets: np.ndarray
    step_mm: float
    pixel_area_mm2: float
    files: tuple[str, ...] = ()
    frames: tuple[int, ...] = ()
    blended: bool = True

    def weights_mm(self) -> np.ndarray:
        """(N,) thickness that each native slice stands for: half the distance to each neighbor, at the ends twice one.

        Thickness tags are no substitute: slices overlap, leave gaps, and lean with the gantry.
        """
        if len(self.distances_mm) == 1:
            return np.array([self.step_mm])
        gaps = np.diff(self.distances_mm)
        return (np.concatenate([gaps[:1], gaps]) + np.concatenate([gaps, gaps[-1:]])) / 2

    def integrate_ml(self, native: np.ndarray) -> float:
        """Volume in mL of a mask, or of a probability, on the native slices, (columns, rows, N)."""
        areas = np.asarray(native, dtype=np.float64).sum(axis=(0, 1)) * self.pixel_area_mm2
        return float(areas @ self.weights_mm() / 1000.0)

    def sources_of(self, k: int) -> list[tuple[int, float]]:
        """Native slices that slice ``k`` of the volume was made from, each with its weight; the weights sum to 1."""
        if not self.blended:
            return [(int(self.nearest()[k]), 1.0)]
        lower, share = self._between(np.array([k * self.step_mm]))
        first, second = 1.0 - float(share[0]), float(share[0])
        return [(n, w) for n, w in ((int(lower[0]), first), (int(lower[0]) + 1, second)) if w > 0.0]

    @property
    def count(self) -> int:
        """Number of slices of the volume."""
        return round(float(self.distances_mm[-1]) / self.step_mm) + 1

    def nearest(self) -> np.ndarray:
        """(K,) index of the native slice nearest to each slice of the volume, the lower of two as near."""
        middles = (self.distances_mm[:-1] + self.distances_mm[1:]) / 2
        return np.searchsorted(middles, np.arange(self.count) * self.step_mm - 1e-6)

    def _between(self, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Index of the native slice at or before each distance, and the share of the next one."""
        last = len(self.distances_mm) - 1
        if last == 0:
            return np.zeros(len(distances), dtype=int), np.zeros(len(distances))
        lower = np.clip(np.searchsorted(self.distances_mm, distances + 1e-6, side="right") - 1, 0, last - 1)
        share = (distances - self.distances_mm[lower]) / np.diff(self.distances_mm)[lower]
        share = np.clip(share, 0.0, 1.0)
        return lower, np.where(share < 1e-6, 0.0, np.where(share > 1 - 1e-6, 1.0, share))

    def resample(self, stack: np.ndarray) -> np.ndarray:
        """Native slices that lie in line, (I, J, N), to the volume's distances, (I, J, K), as ``blended`` says."""
        count = self.count
        lower, share = self._between(np.arange(count) * self.step_mm)
        if count == stack.shape[2] and not share[:-1].any():
            return stack
        if not self.blended:
            return np.asfortranarray(stack[:, :, self.nearest()])
        volume = np.empty((*stack.shape[:2], count), dtype=stack.dtype, order="F")
        for k in range(count):
            one, two = stack[:, :, lower[k]], stack[:, :, min(lower[k] + 1, stack.shape[2] - 1)]
            weight = stack.dtype.type(share[k])
            volume[:, :, k] = one if weight == 0 else two if weight == 1 else (1 - weight) * one + weight * two
        return volume

    def to_native(self, volume: np.ndarray, order: int = 1) -> np.ndarray:
        """What ``volume`` (I, J, K) holds at the pixels of the native slices.

        Args:
            volume: probability or label on the volume's grid.
            order: 1 for probabilities (linear), 0 for labels (nearest).

        Returns:
            (columns, rows, N), of the type of ``volume``.
        """
        native = np.zeros((*self.native_shape, len(self.distances_mm)), dtype=volume.dtype)
        for n in range(len(self.distances_mm)):
            lower, share = self.place_of(n, volume.shape[2])
            if order == 0:
                plane = volume[:, :, lower + round(share)]
            elif share == 0.0:
                plane = volume[:, :, lower]
            else:
                plane = (1 - share) * volume[:, :, lower] + share * volume[:, :, lower + 1]
            native[:, :, n] = self.plane_to_native(plane, n, order)
        return native

    def place_of(self, n: int, count: int) -> tuple[int, float]:
        """Slice of a volume of ``count`` slices at or below native slice ``n``, and the share of the next one."""
        place = min(max(float(self.distances_mm[n]) / self.step_mm, 0.0), count - 1.0)
        if abs(place - round(place)) < 1e-6:
            return round(place), 0.0
        return int(place), place - int(place)

    def plane_to_native(self, plane: np.ndarray, n: int, order: int = 1) -> np.ndarray:
        """A plane (I, J) of the volume's grid at native slice ``n``, sampled at that slice's pixels (columns, rows)."""
        if plane.shape == self.native_shape and not self.offsets[n].any():
            return plane
        return ndimage.affine_transform(
            plane, np.ones(2), offset=self.offsets[n], output_shape=self.native_shape, order=order
        )

    def as_source(self) -> dict[str, Any]:
        """Plain numbers for :attr:`hemorrhage.volume.Volume.source`; file names stay out, for they may name people."""
        return {
            _KEY: {
                "native_shape": list(self.native_shape),
                "distances_mm": [float(d) for d in self.distances_mm],
                "offsets": [[float(a), float(b)] for a, b in self.offsets],
                "step_mm": self.step_mm,
                "pixel_area_mm2": self.pixel_area_mm2,
                "blended": self.blended,
            }
        }

    @staticmethod
    def from_source(source: Mapping[str, Any]) -> SliceMap | None:
        """The map that :meth:`as_source` wrote, without file names; None for a scan that did not come as slices."""
        record = source.get(_KEY)
        if record is None:
            return None
        return SliceMap(
            native_shape=(record["native_shape"][0], record["native_shape"][1]),
            distances_mm=np.array(record["distances_mm"]),
            offsets=np.array(record["offsets"]).reshape(-1, 2),
            step_mm=record["step_mm"],
            pixel_area_mm2=record["pixel_area_mm2"],
            blended=record.get("blended", True),
        )
