"""Convolutions whose kernel is larger than what they read, in a precision in which they can be trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["SmallConvolutionsInFloat32"]

_CONVOLUTIONS = {
    getattr(torch, f"conv{transposed}{dims}d") for transposed in ("", "_transpose") for dims in (1, 2, 3)
}  # fmt: skip


class SmallConvolutionsInFloat32(TorchFunctionMode):
    """While this is entered, such convolutions leave mixed precision on a processor.

    oneDNN (torch 2.13, processors with AVX-512) can take the weights' gradient of a bfloat16 convolution from memory
    that nobody wrote where an axis is shorter than the kernel: 4 voxels under a kernel of 5, as in the deepest stage of
    a VNet that reads 64 voxels. It is wrong by about as much as the gradient itself, and at times not finite; answers
    and the gradient of the input are right, and so are dilated kernels. So little work is in these that float32 costs
    next to nothing.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func not in _CONVOLUTIONS or not torch.is_autocast_enabled("cpu") or len(args) < 2:
            return func(*args, **kwargs)
        image, weight, *others = args
        kernel = weight.shape[2:]
        sizes = image.shape[-len(kernel) :]  # a single image has no batch axis
        if image.device.type != "cpu" or all(size >= k for size, k in zip(sizes, kernel, strict=True)):
            return func(*args, **kwargs)
        others = [other.float() if isinstance(other, torch.Tensor) else other for other in others]
        with torch.autocast("cpu", enabled=False):
            return func(image.float(), weight.float(), *others, **kwargs)
