"""MONAI's U-Net as a 2.5D network: neighboring slices as channels, exclusive classes, rare blood from the start."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from monai.networks.nets import UNet
from torch import nn

__all__ = ["slice_unet"]


def slice_unet(
    classes: int = 1, in_channels: int = 3, channels: Sequence[int] = (16, 32, 64, 128, 160), prior: float = 0.01
) -> UNet:
    """A residual U-Net over slices that halves their sides once for each entry of ``channels`` but the first.

    Args:
        classes: N, 1 for any hemorrhage or the number of subtypes.
        in_channels: neighboring slices, the one to segment in the middle.
        channels: of each level.
        prior: probability of hemorrhage that the untrained network answers about everywhere: a network that starts at
            one half first learns to paint all of a batch, and Dice lets it stay there.

    Returns:
        A network from (B, in_channels, H, W) to (B, N + 1, H, W) logits, background first; H and W are multiples of
        2 ** (len(channels) - 1).
    """
    if classes < 1 or not 0 < prior < 1:
        raise ValueError(f"classes must be at least 1 and prior inside (0, 1), got {classes} and {prior}")
    strides = (2,) * (len(channels) - 1)
    net = UNet(2, in_channels, classes + 1, channels, strides, num_res_units=2, norm="batch")
    last = [m for m in net.modules() if isinstance(m, nn.Conv2d)][-1]
    assert last.bias is not None
    with torch.no_grad():
        last.bias.zero_()
        last.bias[0] = math.log(classes * (1 - prior) / prior)
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
