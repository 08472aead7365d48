"""The answer over left and right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.inferers import Inferer

__all__ = ["MirroredInferer"]


class MirroredInferer(Inferer):
    """Average another inferer's answer with that to the mirrored scan, mirrored back.

    Answers are averaged as they are, probabilities or logits. A head is nearly its own mirror image, so that what
    differs between the two is chance.

    Args:
        inferer: from (B, C, *spatial) to a tensor (B, N, *spatial), or a mapping in which those of as many axes as the
            input are mirrored back and the others are not.
        axis: spatial axis from left to right.
    """

    def __init__(self, inferer: Inferer, axis: int = 0) -> None:
        super().__init__()
        self.inferer = inferer
        self.axis = axis

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Infer ``inputs`` twice with ``network``."""
        axis = 2 + self.axis
        seen = self.inferer(inputs, network, *args, **kwargs)
        mirrored = self.inferer(inputs.flip(axis), network, *args, **kwargs)

        def mean(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return (a + (b.flip(axis) if b.ndim == inputs.ndim else b)) / 2

        if isinstance(seen, Mapping):
            return {key: mean(value, mirrored[key]) for key, value in seen.items()}
        return mean(seen, mirrored)
