"""MONAI's U-Net as a 2.5D network: neighboring slices as channels, exclusive classes, rare blood from the start."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from monai.networks.nets import UNet
from torch import nn

__all__ = ["slice_unet", "with_subtypes"]

GROWN = "model.2.0."  # the last up-convolution and its normalization: a channel a class
ANSWER = "model.2.1.conv.unit0.conv."  # the last convolution, from these channels to the classes


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


def with_subtypes(weights: Mapping[str, torch.Tensor], classes: int) -> dict[str, torch.Tensor]:
    """Weights for subtypes out of those of any hemorrhage, to train on from.

    The classes share what was blood: the new network gives any hemorrhage the probability that the old one gave it, and
    holds each subtype for as likely as the others.

    Args:
        weights: of ``slice_unet(1)``.
        classes: N, the number of subtypes.

    Returns:
        weights of ``slice_unet(N)``, float32 where they changed.

    Raises:
        ValueError: if ``weights`` are of another network, or name subtypes already.
    """
    bias = weights.get(f"{ANSWER}bias")
    if bias is None or f"{GROWN}conv.weight" not in weights:
        raise ValueError("these are no weights of slice_unet")
    if len(bias) != 2:
        raise ValueError(f"these weights have {len(bias)} classes with background, and two are needed")
    old = torch.tensor([0] + [1] * classes)  # of each new class
    share = torch.tensor([1.0] + [1.0 / classes] * classes)
    new = dict(weights)
    new[f"{GROWN}conv.weight"] = weights[f"{GROWN}conv.weight"].float()[:, old]
    for name in ("conv.bias", "adn.N.weight", "adn.N.bias", "adn.N.running_mean", "adn.N.running_var"):
        new[GROWN + name] = weights[GROWN + name].float()[old]
    kernel = weights[f"{ANSWER}weight"].float()[old][:, old]
    new[f"{ANSWER}weight"] = kernel * share[:, None, None]  # equal channels sum to what one was
    new[f"{ANSWER}bias"] = bias.float()[old] + share.log()
    return new
