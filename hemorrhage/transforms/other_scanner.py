"""The same slices as another scanner would have shown them: contrast, sharpness, shading and noise drawn anew."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from torch.nn import functional

__all__ = ["RandOtherScannerd"]

SHADING_POINTS = 4  # a side of the lattice that shading is drawn on: as slow as cupping


class RandOtherScannerd(RandomizableTransform, MapTransform):
    """Change how slices look and not what they show.

    A phantom is scanned once and read many times. Without this a network learns its noise, and how one scanner's
    kernel draws the edge of bone, neither of which the next patient has (Billot et al. 2023, SynthSeg: an appearance
    that varies more than in life carries over to scanners that were never seen). What is 0 lies outside the head and
    stays 0, what is 1 or more was saturated by the window and stays as it is.

    Each step is taken by chance ``each``, on its own: contrast around gray matter, sharpening or blurring, shading,
    noise that is white or blurred.

    Args:
        keys: (C, H, W) tensors of the window's HU scaled to [0, 1], treated alike but for their noise.
        contrast: largest natural logarithm of the factor on contrast, to either side.
        gray: what contrast is measured from.
        sharpen: largest share of the detail that is added, or, where it comes out negative, taken away.
        shading: largest SD of the shading.
        noise: least and largest SD of the noise, drawn on a logarithmic scale.
        each: chance of each step.
        prob: share of items that are changed at all.
    """

    def __init__(
        self,
        keys: KeysCollection,
        contrast: float = 0.25,
        gray: float = 0.45,
        sharpen: float = 0.8,
        shading: float = 0.04,
        noise: tuple[float, float] = (0.005, 0.04),
        each: float = 0.5,
        prob: float = 1.0,
    ) -> None:
        if not 0 < noise[0] <= noise[1]:
            raise ValueError(f"noise must be a range of positive numbers, got {noise}")
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.contrast = contrast
        self.gray = gray
        self.sharpen = sharpen
        self.shading = shading
        self.noise = noise
        self.each = each

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Show all keys as one other scanner would."""
        d = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return d
        taken = self.R.random_sample(4) < self.each
        factor = float(torch.tensor(self.R.uniform(-self.contrast, self.contrast)).exp()) if taken[0] else 1.0
        detail = self.R.uniform(-self.sharpen, self.sharpen) if taken[1] else 0.0
        detail_pixels = self.R.uniform(0.6, 1.4)
        shade = self.R.uniform(0.0, self.shading) if taken[2] else 0.0
        grain = float(self.noise[0] * (self.noise[1] / self.noise[0]) ** self.R.random_sample()) if taken[3] else 0.0
        grain_pixels = self.R.uniform(0.0, 1.2)
        chance = torch.Generator().manual_seed(int(self.R.randint(2**31)))
        lattice = torch.randn(1, 1, SHADING_POINTS, SHADING_POINTS, generator=chance)
        for key in self.key_iterator(d):
            image = d[key]
            seen = image
            if detail:
                seen = seen + detail * (seen - _blurred(seen, detail_pixels))
            if factor != 1.0:
                seen = self.gray + factor * (seen - self.gray)
            if shade:
                size = image.shape[-2:]
                seen = seen + shade * functional.interpolate(lattice, size, mode="bicubic", align_corners=True)[0]
            if grain:
                speckle = _blurred(torch.randn(image.shape, generator=chance), grain_pixels)
                seen = seen + grain / speckle.std() * speckle
            d[key] = torch.where((image > 0) & (image < 1), seen.clamp(1e-3, 1.0), image)
        return d


def _blurred(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """(C, H, W) behind a Gaussian of ``sigma`` pixels, at most 1.4, its tails cut; the border is mirrored."""
    if sigma < 0.2:
        return image
    ticks = torch.arange(-3, 4, dtype=image.dtype)
    taps = torch.exp(-0.5 * (ticks / sigma) ** 2)
    taps = (taps / taps.sum()).reshape(1, 1, -1, 1)
    padded = functional.pad(image[:, None], (3, 3, 3, 3), mode="reflect")
    return functional.conv2d(functional.conv2d(padded, taps), taps.transpose(2, 3))[:, 0]
