"""The VNet of DeepBleed, in the paper's reading and in that of its released code.

MONAI's ``VNet`` has other convolution counts (1/2/3/2 down, 2/2/1/1 up, a 5x5x5 output block, 45.6 M parameters), batch
normalization and dropout on every skip, and no switch for any of them, so it cannot express this network.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from monai.networks.layers import Conv, Dropout, get_act_layer, get_norm_layer
from torch import nn

__all__ = ["VNet"]

# Channels as multiples of `width`, and 5x5x5 convolutions, of each stage (DeepBleed, Fig. 2).
_DOWN = ((2, 2), (4, 3), (8, 3), (16, 3))
_UP = ((16, 3), (8, 3), (4, 2), (2, 1))


class _Convolutions(nn.Module):
    """``count`` convolutions with kernel 5, residual around all of them.

    The released code calls one convolution object ``count`` times, always on the block's input (the loop overwrites
    its result), so what it computes is a single convolution, and one is what ``tied`` computes here.
    """

    def __init__(self, dims: int, channels: int, count: int, tied: bool, act: Any, norm: Any) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(1 if tied else count):
            layers.append(Conv[Conv.CONV, dims](channels, channels, kernel_size=5, padding=2))
            if norm is not None:
                layers.append(get_norm_layer(norm, spatial_dims=dims, channels=channels))
            layers.append(get_act_layer(act))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) + x


class VNet(nn.Module):
    """Residual encoder and decoder with skip connections, to one logit a voxel.

    Sharrock et al. 2020 (DeepBleed), "Network Architecture" and Fig. 2, after Milletari et al. 2016. With the default
    width, one input and one output channel it has, in 3D, 22,546,101 parameters tied and 65,171,861 untied; in 2D
    4,745,333 and 13,271,893.

    Args:
        spatial_dims: 3, or 2 for the network on single slices.
        in_channels: channels of the input; must divide ``width``, because the input is added to the first features.
        out_channels: logits a voxel.
        width: channels of the first stage (16 in the paper); the others follow in proportion.
        tied: one convolution a block, as the released code computes it; else the paper's 2/3/3/3 and 3/3/2/1.
        dropout: share of channels dropped in the two deepest stages while training.
        act: activation, as MONAI names it.
        norm: normalization after each convolution, as MONAI names it; None as in the released code.
        prior: probability that the untrained network answers everywhere. Blood fills about a hundredth of a head,
            and a Dice loss that starts at one half takes long to leave it.

    Raises:
        ValueError: if ``in_channels`` does not divide ``width`` or ``prior`` is not inside (0, 1).
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 16,
        tied: bool = True,
        dropout: float = 0.5,
        act: Any = "relu",
        norm: Any = None,
        prior: float = 0.01,
    ) -> None:
        super().__init__()
        if width % in_channels:
            raise ValueError(f"width must be a multiple of in_channels, got {width} and {in_channels}")
        if not 0 < prior < 1:
            raise ValueError(f"prior must lie inside (0, 1), got {prior}")
        conv, trans = Conv[Conv.CONV, spatial_dims], Conv[Conv.CONVTRANS, spatial_dims]
        self.repeats = width // in_channels
        self.stem = nn.Sequential(conv(in_channels, width, kernel_size=5, padding=2), get_act_layer(act))
        self.down, self.down_blocks = nn.ModuleList(), nn.ModuleList()
        channels = width
        for multiple, count in _DOWN:
            out = multiple * width
            self.down.append(nn.Sequential(conv(channels, out, kernel_size=2, stride=2), get_act_layer(act)))
            self.down_blocks.append(_Convolutions(spatial_dims, out, count, tied, act, norm))
            channels = out
        self.dropout = Dropout[Dropout.DROPOUT, spatial_dims](dropout)
        self.up, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        for multiple, count in _UP:
            out = multiple * width
            self.up.append(nn.Sequential(trans(channels, out // 2, kernel_size=2, stride=2), get_act_layer(act)))
            self.up_blocks.append(_Convolutions(spatial_dims, out, count, tied, act, norm))
            channels = out
        # Two maps before the last, as in the released code; leaky, because two plain ReLUs can both die for good.
        self.head = nn.Sequential(conv(channels, 2, kernel_size=1), nn.LeakyReLU(0.1))
        self.last = conv(2, out_channels, kernel_size=1)
        self._initialize(prior)

    def _initialize(self, prior: float) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")  # he_normal, as in the released code
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        for block in [*self.down_blocks, *self.up_blocks]:
            # A residual sum doubles the variance at each block: eight of them without normalization would start the
            # logits in the hundreds.
            last = [m for m in block.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d))][-1]
            nn.init.normal_(last.weight, std=0.1 / math.sqrt(last.weight[0].numel()))
        nn.init.normal_(self.last.weight, std=0.5)
        nn.init.constant_(self.last.bias, math.log(prior / (1 - prior)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of ``x``.

        Args:
            x: (B, in_channels, *spatial), each spatial size a multiple of 16.

        Returns:
            (B, out_channels, *spatial) logits.

        Raises:
            ValueError: if a spatial size is not a multiple of 16.
        """
        if any(size % 16 for size in x.shape[2:]):
            raise ValueError(f"every spatial size must be a multiple of 16, got {tuple(x.shape[2:])}")
        x = self.stem(x) + x.repeat_interleave(self.repeats, dim=1)
        skips = []
        for depth, (down, block) in enumerate(zip(self.down, self.down_blocks, strict=True)):
            skips.append(x)
            x = block(down(x))
            if depth >= 2:
                x = self.dropout(x)
        for up, block in zip(self.up, self.up_blocks, strict=True):
            x = block(torch.cat([up(x), skips.pop()], dim=1))
        return self.last(self.head(x))
