"""Dilated residual networks of type D: a classifier's backbone whose features keep an eighth of the resolution.

Yu, Koltun and Funkhouser, "Dilated Residual Networks" (CVPR 2017), type D, layer for layer without the classifier.
MONAI has no network with these dilations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

__all__ = ["DRN", "drn_d_22", "drn_d_38", "drn_d_54"]

# Channels of the eight levels; strides of levels 2 to 4 and dilations of levels 5 to 8, counted from 1.
_CHANNELS = (16, 32, 64, 128, 256, 512, 512, 512)
_DILATIONS = (2, 4, 2, 1)


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (kernel // 2)
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, bias=False)


class _Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut around them."""

    expansion = 1

    def __init__(self, inputs: int, channels: int, stride: int, dilation: int, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.first = nn.Sequential(_conv(inputs, channels, 3, stride, dilation), nn.BatchNorm2d(channels), nn.ReLU())
        self.last = nn.Sequential(_conv(channels, channels, 3, 1, dilation), nn.BatchNorm2d(channels))
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.last(self.first(x)) + self.shortcut(x))


class _Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut around them; four times the channels come out."""

    expansion = 4

    def __init__(self, inputs: int, channels: int, stride: int, dilation: int, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.first = nn.Sequential(_conv(inputs, channels, 1), nn.BatchNorm2d(channels), nn.ReLU())
        self.middle = nn.Sequential(_conv(channels, channels, 3, stride, dilation), nn.BatchNorm2d(channels), nn.ReLU())
        self.last = nn.Sequential(_conv(channels, 4 * channels, 1), nn.BatchNorm2d(4 * channels))
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.last(self.middle(self.first(x))) + self.shortcut(x))


class DRN(nn.Module):
    """Features of an image at an eighth of its resolution (rounded up).

    Level 1 and 2 are plain convolutions at full and half resolution, levels 3 to 6 are residual blocks, of which the
    last two are dilated by 2 and 4 instead of strided, and levels 7 and 8 are plain convolutions dilated by 2 and 1,
    which smooth the grid that dilation leaves.

    Args:
        block: the residual block of levels 3 to 6.
        counts: convolutions (levels 1, 2, 7, 8) or blocks (levels 3 to 6) of each level.
        in_channels: channels of the image.
        width: factor on all channels; below 1 for a network that a laptop can train.
        stride: 8 as published; 4 leaves out the stride of level 4, for images of coarse pixels.

    Attributes:
        out_channels: channels of the features.
        stride: pixels of the image a feature, along each axis.

    Raises:
        ValueError: if ``width`` leaves a level without channels, or ``stride`` is neither 8 nor 4.
    """

    def __init__(
        self,
        block: Callable[..., nn.Module],
        counts: Sequence[int],
        in_channels: int = 3,
        width: float = 1.0,
        stride: int = 8,
    ) -> None:
        super().__init__()
        channels = [round(width * c) for c in _CHANNELS]
        if min(channels) < 1:
            raise ValueError(f"width {width} leaves {min(channels)} channels in the first level")
        if stride not in (4, 8):
            raise ValueError(f"stride must be 8 or 4, got {stride}")
        stem, *levels = channels
        layers: list[nn.Module] = [
            nn.Sequential(_conv(in_channels, stem, 7), nn.BatchNorm2d(stem), nn.ReLU()),
            _plain_level(stem, stem, counts[0]),
            _plain_level(stem, levels[0], counts[1], stride=2),
        ]
        inputs = levels[0]
        strides, dilations = (2, stride // 4, 1, 1), (1, 1, *_DILATIONS[:2])
        for outputs, count, step, dilation in zip(levels[1:5], counts[2:6], strides, dilations, strict=True):
            level, inputs = _residual_level(block, inputs, outputs, count, step, dilation)
            layers.append(level)
        for outputs, count, dilation in zip(levels[5:], counts[6:], _DILATIONS[2:], strict=True):
            layers.append(_plain_level(inputs, outputs, count, dilation=dilation))
            inputs = outputs
        self.levels = nn.Sequential(*layers)
        self.out_channels = inputs
        self.stride = stride
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # of the published code
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (B, out_channels, ceil(H / stride), ceil(W / stride)) of ``x`` (B, in_channels, H, W)."""
        return self.levels(x)


def _plain_level(inputs: int, outputs: int, count: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n in range(count):
        first = n == 0
        layers += [
            _conv(inputs if first else outputs, outputs, 3, stride if first else 1, dilation),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


def _residual_level(
    block: Callable[..., nn.Module], inputs: int, channels: int, count: int, stride: int, dilation: int
) -> tuple[nn.Sequential, int]:
    """A level, and the channels that come out of it."""
    outputs = channels * block.expansion  # type: ignore[attr-defined]
    shortcut = None
    if stride != 1 or inputs != outputs:
        # A 1x1 convolution with a stride reads every other pixel alone. Done in two steps, because torch 2.13 with few
        # channels in channels_last writes beyond its memory in the one step's gradient on a processor.
        every = nn.MaxPool2d(1, stride) if stride != 1 else nn.Identity()
        shortcut = nn.Sequential(every, _conv(inputs, outputs, 1), nn.BatchNorm2d(outputs))
    layers = [block(inputs, channels, stride, dilation, shortcut)]
    layers += [block(outputs, channels, 1, dilation, None) for _ in range(1, count)]
    return nn.Sequential(*layers), outputs


def drn_d_22(in_channels: int = 3, width: float = 1.0, stride: int = 8) -> DRN:
    """DRN-D-22; the arguments are those of :class:`DRN`."""
    return DRN(_Basic, (1, 1, 2, 2, 2, 2, 1, 1), in_channels, width, stride)


def drn_d_38(in_channels: int = 3, width: float = 1.0, stride: int = 8) -> DRN:
    """DRN-D-38, the backbone of PatchFCN: 25,988,912 parameters."""
    return DRN(_Basic, (1, 1, 3, 4, 6, 3, 1, 1), in_channels, width, stride)


def drn_d_54(in_channels: int = 3, width: float = 1.0, stride: int = 8) -> DRN:
    """DRN-D-54, with bottleneck blocks."""
    return DRN(_Bottleneck, (1, 1, 3, 4, 6, 3, 1, 1), in_channels, width, stride)
