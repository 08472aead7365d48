"""Mixed precision on any device."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.inferers import Inferer

from hemorrhage.inferers.small_convolutions import SmallConvolutionsInFloat32

__all__ = ["AutocastInferer", "fast_dtype"]


def fast_dtype(device: torch.device | str) -> torch.dtype:
    """The floating type that convolutions run fastest in on ``device`` without a loss of range.

    bfloat16 where the hardware multiplies it, float32 elsewhere: on a processor without the instructions bfloat16 is
    emulated, at about three times the time of float32.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if kind == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return torch.bfloat16
    return torch.float32


class AutocastInferer(Inferer):
    """Run another inferer in mixed precision, on any device.

    MONAI's engines name "cuda" in their own autocast, so their ``amp`` does nothing for a processor; this serves
    trainer and evaluator alike. While training on a processor, convolutions larger than what they read stay in float32
    (:class:`hemorrhage.inferers.small_convolutions.SmallConvolutionsInFloat32`). The result, a tensor or a dictionary
    of them, is float32 again, so that losses and probabilities are.

    Args:
        inferer: the inferer that calls the network.
        dtype: "auto" for :func:`fast_dtype`, or the name of a torch type ("float32" switches mixed precision off).

    Raises:
        ValueError: if ``dtype`` is not the name of a floating type.
    """

    def __init__(self, inferer: Inferer, dtype: str = "auto") -> None:
        super().__init__()
        self.inferer = inferer
        self.dtype = None if dtype == "auto" else getattr(torch, dtype, None)
        if dtype != "auto" and not (isinstance(self.dtype, torch.dtype) and self.dtype.is_floating_point):
            raise ValueError(f'dtype must be "auto" or a floating type of torch such as "bfloat16", got {dtype!r}')

    def __call__(self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any) -> Any:
        """Infer ``inputs`` (B, C, *spatial) with ``network``."""
        dtype = self.dtype or fast_dtype(inputs.device)
        mixed = dtype != torch.float32
        trained = mixed and inputs.device.type == "cpu" and torch.is_grad_enabled()
        with (
            torch.autocast(inputs.device.type, dtype=dtype, enabled=mixed),
            SmallConvolutionsInFloat32() if trained else contextlib.nullcontext(),
        ):
            return _in_float32(self.inferer(inputs, network, *args, **kwargs))


def _in_float32(answer: Any) -> Any:
    if isinstance(answer, Mapping):
        return {key: _in_float32(value) for key, value in answer.items()}
    return answer.float()
