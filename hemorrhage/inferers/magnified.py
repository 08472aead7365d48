"""The answer over several magnifications."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type
from torch.nn import functional

from hemorrhage.inferers.slice_windows import SliceWindowInferer

__all__ = ["MagnifiedInferer", "windows_for"]


class MagnifiedInferer(Inferer):
    """Average what inferers answer to slices shown at several magnifications.

    How thick thin blood is, and the skull beside it, differs more between heads than between phantoms that a network
    learned from: what looks too small at one magnification does not at the next. Answers are averaged as they are: give
    it inferers that answer probabilities.

    Args:
        factors: magnification of the slices, 1 as they come.
        inferers: one for each factor, from (B, C, I, J, K), slices along the last axis, to a tensor (B, N, I, J, K), or
            a mapping in which those of as many axes as the input are brought back to its size and the others, scores of
            slices, are averaged.
    """

    def __init__(self, factors: Sequence[float], inferers: Sequence[Inferer]) -> None:
        super().__init__()
        if not factors or len(factors) != len(inferers) or min(factors) <= 0:
            raise ValueError(
                f"MagnifiedInferer takes an inferer for each factor, all above 0, got {list(factors)} and "
                f"{len(inferers)} inferers"
            )
        self.factors = tuple(float(f) for f in factors)
        self.inferers = tuple(inferers)

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Infer ``inputs`` once for each factor with ``network``."""
        answers = []
        for factor, inferer in zip(self.factors, self.inferers, strict=True):
            answer = inferer(_magnified(inputs, factor), network, *args, **kwargs)
            answers.append(answer if isinstance(answer, Mapping) else {"": answer})
        means = {}
        for key in answers[0]:
            sized = [_resized(a[key], inputs.shape[2:4]) if a[key].ndim == inputs.ndim else a[key] for a in answers]
            mean = torch.stack([s.as_subclass(torch.Tensor) for s in sized]).mean(0)
            # With the meta data of the input, which ``Invertd`` looks for.
            means[key] = convert_to_dst_type(mean, inputs)[0] if mean.ndim == inputs.ndim else mean
        return means.get("", means)


def windows_for(factors: Sequence[float], window: int, multiple: int = 16, **options: Any) -> list[SliceWindowInferer]:
    """An inferer for each magnification, its windows so large that they show as much of a head.

    Args:
        factors: magnifications.
        window: pixels a side where slices are read as they come.
        multiple: of which the others are whole multiples, as networks that halve their sides ask for.
        options: of :class:`SliceWindowInferer`.
    """
    sides = [window if factor == 1.0 else multiple * round(window * factor / multiple) for factor in factors]
    return [SliceWindowInferer(window=side, **options) for side in sides]


def _magnified(scans: torch.Tensor, factor: float) -> torch.Tensor:
    """(B, C, I, J, K) with sides ``factor`` as long; what is 0 outside the brain does not blur into it."""
    if factor == 1.0:
        return scans
    size = [max(1, round(n * factor)) for n in scans.shape[2:4]]
    inside = _resized((scans != 0).any(1, keepdim=True).to(scans), size)
    return torch.where(inside > 0.5, _resized(scans, size) / inside.clamp(min=0.5), 0.0)


def _resized(scans: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """(B, C, I, J, K) resized to ``size`` in I and J; a smaller one averages what its pixels cover."""
    if tuple(scans.shape[2:4]) == tuple(size):
        return scans
    plain = scans.as_subclass(torch.Tensor)
    slices = plain.permute(0, 4, 1, 2, 3).flatten(0, 1)
    out = functional.interpolate(slices, size=tuple(size), mode="bilinear", antialias=True)
    return out.unflatten(0, (len(scans), -1)).permute(0, 2, 3, 4, 1)
