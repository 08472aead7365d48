"""Seeded random draws: plain numbers from numpy, tensors from a torch generator on the device of the work."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

__all__ = ["Draws"]


class Draws:
    """The only source of chance in a phantom: two generators that start from one seed.

    Plain numbers come from the processor whatever the device, so that a seed gives the same plan of a head (which
    bleeds, how large, which scanner) everywhere; noise tensors come from the device itself.

    Args:
        seed: any non-negative integer.
        device: where tensors are made.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.numbers = np.random.default_rng(seed)
        self.tensors = torch.Generator(self.device).manual_seed(int(self.numbers.integers(2**62)))

    def spawn(self) -> Draws:
        """Another stream that depends on this one's seed and leaves it where it is.

        What is drawn from it, or no longer, changes nothing of what is drawn here: an ingredient can come and go
        without making another head.
        """
        return Draws(int(self.numbers.spawn(1)[0].integers(2**62)), self.device)

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return float(self.numbers.uniform(low, high))

    def normal(self, mean: float, sd: float, low: float = -math.inf, high: float = math.inf) -> float:
        """A normal number, clipped to [low, high]."""
        return float(np.clip(self.numbers.normal(mean, sd), low, high))

    def log_uniform(self, low: float, high: float) -> float:
        """A number whose logarithm is uniform."""
        return float(np.exp(self.numbers.uniform(np.log(low), np.log(high))))

    def chance(self, probability: float) -> bool:
        """True with ``probability``."""
        return bool(self.numbers.random() < probability)

    def sign(self) -> float:
        """-1 or 1."""
        return -1.0 if self.numbers.random() < 0.5 else 1.0

    def choice(self, options: Sequence, weights: Sequence[float] | None = None):
        """One of ``options``, which may be of any type."""
        p = None if weights is None else np.asarray(weights, float) / np.sum(weights)
        return options[int(self.numbers.choice(len(options), p=p))]

    def quantile(self, table: Sequence[float], levels: Sequence[float], power: float = 1.0) -> float:
        """A number from a quantile table, linear between its entries; a ``power`` above 1 favors its lower end."""
        return float(np.interp(self.numbers.random() ** power, levels, table))

    def randn(self, *shape: int) -> torch.Tensor:
        """White normal noise of ``shape``."""
        return torch.randn(shape, generator=self.tensors, device=self.device)

    def smooth(self, shape: Sequence[int], cells: Sequence[int]) -> torch.Tensor:
        """Noise of about unit SD that varies over ``cells`` steps an axis, interpolated to ``shape`` (3D)."""
        coarse = self.randn(1, 1, *(max(2, int(c)) for c in cells))
        # Linear interpolation between independent values lowers the SD to (2/3)^(3/2) of it.
        return functional.interpolate(coarse, size=tuple(shape), mode="trilinear", align_corners=True)[0, 0] * 1.6
