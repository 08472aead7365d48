"""PatchFCN: a dilated residual network with a pixel head and, if wanted, a branch that judges the whole patch."""

from __future__ import annotations

import math

import torch
from torch import nn

from hemorrhage.networks import drn

__all__ = ["PatchFCN"]

_BACKBONES = {"drn_d_22": drn.drn_d_22, "drn_d_38": drn.drn_d_38, "drn_d_54": drn.drn_d_54}


class PatchFCN(nn.Module):
    """Kuo et al. 2018 (arXiv:1806.03265) and 2019 (PNAS 116:22737), every variant by its arguments.

    The pixel head answers N + 1 exclusive classes, background first. The patch branch (convolution, batch
    normalization, ReLU, convolution, global average; 2019, "Implementation details") answers "no" and "yes" for any
    hemorrhage, and, with several classes, for each of them, independently: 2 outputs for one class, 2 (N + 1) for more.

    Args:
        classes: N, 1 for any hemorrhage or the number of subtypes.
        backbone: "drn_d_22", "drn_d_38" (the papers') or "drn_d_54".
        in_channels: neighboring slices, the one to segment in the middle.
        width: factor on the backbone's channels.
        stride: see :class:`hemorrhage.networks.drn.DRN`.
        head: "scores": a 1x1 convolution to the classes and one learned up-convolution of each (2018, after DRN's
            segmentation code); "features": one learned up-convolution of the features to the classes (2019), which can
            draw finer borders than the features' grid.
        patch_branch: whether there is one.
        prior: probability of hemorrhage that the untrained network answers everywhere. With one half the first cross
            entropy is near log 2, whatever the number of classes.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        classes: int = 1,
        backbone: str = "drn_d_38",
        in_channels: int = 3,
        width: float = 1.0,
        stride: int = 8,
        head: str = "scores",
        patch_branch: bool = False,
        prior: float = 0.5,
    ) -> None:
        super().__init__()
        if backbone not in _BACKBONES:
            raise ValueError(f"backbone must be one of {sorted(_BACKBONES)}, got {backbone!r}")
        if head not in ("scores", "features"):
            raise ValueError(f'head must be "scores" or "features", got {head!r}')
        if classes < 1 or not 0 < prior < 1:
            raise ValueError(f"classes must be at least 1 and prior inside (0, 1), got {classes} and {prior}")
        self.classes = classes
        self.backbone = _BACKBONES[backbone](in_channels, width, stride)
        features, outputs = self.backbone.out_channels, classes + 1
        size, padding = 2 * stride, stride // 2
        # Background gets the logit at which the other classes share the prior.
        bias = torch.zeros(outputs)
        bias[0] = math.log(classes * (1 - prior) / prior)
        if head == "scores":
            score = nn.Conv2d(features, outputs, 1)
            nn.init.normal_(score.weight, 0.0, 0.1 / math.sqrt(features))
            grow = nn.ConvTranspose2d(outputs, outputs, size, stride, padding, groups=outputs, bias=False)
            with torch.no_grad():
                score.bias.copy_(bias)  # type: ignore[union-attr]
                grow.weight.copy_(_bilinear(size).expand_as(grow.weight))
            self.pixels: nn.Module = nn.Sequential(score, grow)
        else:
            grow = nn.ConvTranspose2d(features, outputs, size, stride, padding)
            nn.init.normal_(grow.weight, 0.0, 0.1 / math.sqrt(features))
            with torch.no_grad():
                grow.bias.copy_(bias)  # type: ignore[union-attr]
            self.pixels = grow
        self.patches: nn.Module | None = None
        if patch_branch:
            judged = 1 if classes == 1 else classes + 1
            last = nn.Conv2d(features, 2 * judged, 1)
            nn.init.normal_(last.weight, 0.0, 0.1 / math.sqrt(features))
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]
            self.patches = nn.Sequential(
                nn.Conv2d(features, features, 3, padding=1, bias=False),
                nn.BatchNorm2d(features),
                nn.ReLU(),
                last,
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Unflatten(1, (judged, 2)),
            )
        self.frozen: tuple[str, ...] = ()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def freeze(self, *parts: str) -> None:
        """Train all but ``parts`` ("backbone", "pixels", "patches"), whose running statistics stand still as well.

        Raises:
            ValueError: if there is no such part.
        """
        unknown = set(parts) - {name for name, _ in self.named_children()}
        if unknown:
            raise ValueError(f"no part named {sorted(unknown)}; there are {[n for n, _ in self.named_children()]}")
        self.frozen = tuple(parts)
        for name, part in self.named_children():
            part.requires_grad_(name not in parts)
        self.train(self.training)

    def train(self, mode: bool = True) -> PatchFCN:
        """Switch to training or evaluation; what is frozen stays in evaluation."""
        super().train(mode)
        for name in self.frozen:
            getattr(self, name).eval()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor | dict[str, torch.Tensor]:
        """Logits of ``x``.

        Args:
            x: (B, in_channels, H, W) of any size.

        Returns:
            (B, N + 1, H, W) logits of the pixels' classes; with a patch branch a dictionary of these as "pixels" and
            of (B, 1 or N + 1, 2) logits as "patches", any hemorrhage first.
        """
        height, width = x.shape[2:]
        features = self.backbone(x.contiguous(memory_format=torch.channels_last))
        pixels = self.pixels(features)[:, :, :height, :width]
        return pixels if self.patches is None else {"pixels": pixels, "patches": self.patches(features)}


def _bilinear(size: int) -> torch.Tensor:
    """(size, size) weights with which an up-convolution of stride ``size / 2`` interpolates linearly."""
    stride = size // 2
    ramp = 1 - (torch.arange(size) - (size - 1) / 2).abs() / stride
    return ramp[:, None] * ramp
