"""Overlapping blocks of a volume, their probabilities averaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import SlidingWindowInferer

__all__ = ["AveragedBlocks"]

_LEAST = 1e-6  # a probability of exactly 0 or 1 has no logit


class AveragedBlocks(SlidingWindowInferer):
    """MONAI's sliding window over a network of logits, averaging probabilities instead.

    DeepBleed ("Analysis"): an overlap with averaging reassembles the answers of the 64 and 32 networks. The mean of
    logits is another number than that of probabilities: a single sure block would outvote several doubtful ones. The
    answer is the logit of the mean, so that losses and postprocessing stay those of a network that sees all at once.

    Args:
        roi_size: voxels of a block along each axis.
        sw_batch_size: blocks at a time.
        overlap: share of a block that its neighbor covers too.
        kwargs: further arguments of MONAI's ``SlidingWindowInferer``.
    """

    def __init__(self, roi_size: Any, sw_batch_size: int = 8, overlap: float = 0.5, **kwargs: Any) -> None:
        super().__init__(roi_size=roi_size, sw_batch_size=sw_batch_size, overlap=overlap, mode="constant", **kwargs)

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Logits of the averaged probabilities, (B, C, *spatial), of ``inputs`` (B, C, *spatial)."""

        def probabilities(x: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor:
            return network(x, *more, **named).float().sigmoid()

        mean: Any = super().__call__(inputs, probabilities, *args, **kwargs)
        return torch.logit(mean.clamp(_LEAST, 1 - _LEAST))
