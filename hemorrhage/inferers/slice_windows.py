"""PatchFCN's way through a scan: overlapping windows in each slice, their scores averaged.

MONAI's ``sliding_window_inference`` steps by a whole number of pixels and shifts the last window back; the papers fix
the number of windows a side, which spaces them evenly. Where one step divides the way the two are the same, and a test
holds them to it. MONAI's can neither leave out windows without brain nor give one score a window beside the map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type
from torch.nn import functional

__all__ = ["SliceWindowInferer", "occupied_windows", "window_starts"]


def window_starts(length: int, window: int, beta: float) -> list[int]:
    """First pixels of ``ceil(beta * length / window)`` windows, evenly spaced from edge to edge.

    Kuo et al. 2018, "Patch-based Inference": 7 windows of 240 for 512 pixels and beta 3.

    Args:
        length: pixels of the slice along one axis.
        window: pixels of a window; a slice that is not longer gets a single window.
        beta: amount of overlap, above 1.
    """
    if length <= window:
        return [0]
    count = math.ceil(beta * length / window)
    way = length - window
    return sorted({(2 * n * way + count - 1) // (2 * (count - 1)) for n in range(count)})


def occupied_windows(
    occupied: torch.Tensor, rows: list[int], columns: list[int], size: tuple[int, int]
) -> torch.Tensor:
    """Windows in which anything is occupied.

    Args:
        occupied: (K, I, J) bool.
        rows: first rows of the windows.
        columns: first columns of the windows.
        size: rows and columns of a window.

    Returns:
        (K, len(rows), len(columns)) bool.
    """
    sums = functional.pad(occupied.int().cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32), (1, 0, 1, 0))
    top, left = torch.tensor(rows, device=sums.device), torch.tensor(columns, device=sums.device)
    bottom, right = top + size[0], left + size[1]

    def at(i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        return sums[:, i[:, None], j[None, :]]

    return at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left) > 0


class SliceWindowInferer(Inferer):
    """Run a 2D network over every slice of scans in overlapping windows.

    Class probabilities of the windows over a pixel are averaged with equal weights; a patch branch gives each slice the
    highest probability among its windows. Windows of all slices fill the batches together.

    Args:
        window: pixels a side; None runs each slice whole (fully convolutional inference), for comparison.
        beta: amount of overlap; 3 in 2018, and what gives the overlap of two thirds of 2019.
        batch_size: windows at a time.
        skip_empty: leave out windows without brain, where the middle channel is 0 throughout. No pixel of the brain
            lies in such a window, so inside the brain nothing changes; pixels that no window covers get background.
        over_brain: spread the windows over the box around the scan's brain instead of the whole slice, which takes
            fewer of them at the same overlap. They then lie elsewhere than the papers', and results differ a little.
    """

    def __init__(
        self,
        window: int | None = 240,
        beta: float = 3.0,
        batch_size: int = 16,
        skip_empty: bool = True,
        over_brain: bool = False,
    ) -> None:
        super().__init__()
        if beta <= 1 or batch_size < 1:
            raise ValueError(f"beta must be above 1 and batch_size at least 1, got {beta} and {batch_size}")
        self.window = window
        self.beta = beta
        self.batch_size = batch_size
        self.skip_empty = skip_empty
        self.over_brain = over_brain

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Class probabilities of scans.

        Args:
            inputs: (B, C, I, J, K), slices along the last axis, neighboring slices as channels, 0 outside the brain.
            network: (b, C, i, j) to logits as :class:`hemorrhage.networks.PatchFCN` gives them.
            args: passed on to the network.
            kwargs: passed on to the network.

        Returns:
            (B, N + 1, I, J, K) probabilities; with a patch branch a dictionary of these as "pixels" and of
            (B, judged, K) highest probabilities of each slice's windows as "patches".
        """
        plain = inputs.as_subclass(torch.Tensor)
        scans = [self._one(scan, network, *args, **kwargs) for scan in plain]
        # With the meta data of the input, which ``Invertd`` looks for.
        pixels, *_ = convert_to_dst_type(torch.stack([p for p, _ in scans]), inputs)
        if scans[0][1] is None:
            return pixels
        return {"pixels": pixels, "patches": torch.stack([patches for _, patches in scans if patches is not None])}

    def _one(
        self, scan: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        slices = scan.permute(3, 0, 1, 2)
        height, width = slices.shape[2:]
        rows, columns = slice(0, height), slice(0, width)
        if self.over_brain and self.window is not None:
            brain = (slices[:, slices.shape[1] // 2] != 0).any(0)
            rows, columns = (_span(brain.any(1 - axis), self.window) for axis in (0, 1))
        inside, patches = self._windows(slices[:, :, rows, columns], network, *args, **kwargs)
        whole = inside.new_zeros((len(slices), inside.shape[1], height, width))
        whole[:, 0] = 1
        whole[:, :, rows, columns] = inside
        return whole.permute(1, 2, 3, 0), None if patches is None else patches.T

    def _windows(
        self, slices: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Averaged probabilities (K, N + 1, I, J) of slices (K, C, I, J), and their patch scores (K, judged)."""
        height, width = slices.shape[2:]
        size = (height, width) if self.window is None else (self.window, self.window)
        slices = functional.pad(slices, (0, max(0, size[1] - width), 0, max(0, size[0] - height)))
        rows, columns = (
            [0] if self.window is None else window_starts(n, self.window, self.beta) for n in slices.shape[2:]
        )
        wanted = occupied_windows(slices[:, slices.shape[1] // 2] != 0, rows, columns, size)
        if not self.skip_empty or not wanted.any():
            wanted = torch.ones_like(wanted)
        places = [(k, rows[i], columns[j]) for k, i, j in wanted.nonzero().tolist()]
        total = count = patches = None
        for start in range(0, len(places), self.batch_size):
            part = places[start : start + self.batch_size]
            crops = [slices[k, :, i : i + size[0], j : j + size[1]] for k, i, j in part]
            answer = network(torch.stack(crops), *args, **kwargs)
            with_patches = isinstance(answer, Mapping)
            probability = (answer["pixels"] if with_patches else answer).float().softmax(1)
            if total is None:
                total = probability.new_zeros((len(slices), probability.shape[1], *slices.shape[2:]))
                count = probability.new_zeros((len(slices), 1, *slices.shape[2:]))
            for n, (k, i, j) in enumerate(part):
                total[k, :, i : i + size[0], j : j + size[1]] += probability[n]
                count[k, :, i : i + size[0], j : j + size[1]] += 1  # type: ignore[index]
            if with_patches:
                yes = answer["patches"].float().softmax(-1)[..., 1]
                patches = yes.new_zeros((len(slices), yes.shape[1])) if patches is None else patches
                for n, (k, _, _) in enumerate(part):
                    patches[k] = torch.maximum(patches[k], yes[n])
        assert total is not None
        assert count is not None
        average = total / count.clamp(min=1)
        average[:, :1] += count == 0
        return average[:, :, :height, :width], patches


def _span(occupied: torch.Tensor, least: int) -> slice:
    """The occupied part of an axis, widened to ``least`` pixels where the axis has them; all of it if nothing is."""
    where = occupied.nonzero()[:, 0]
    length = len(occupied)
    if not len(where):
        return slice(0, length)
    low, high = int(where[0]), int(where[-1]) + 1
    low = max(0, min(low - max(0, least - (high - low) + 1) // 2, length - least))
    return slice(low, min(length, max(high, low + least)))
