"""Two 2.5D U-Nets as one: the first says how likely hemorrhage is, the second of which subtype it would be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from hemorrhage.networks.unet import slice_unet

__all__ = ["NamedHemorrhage", "named_slice_unet", "with_names"]


class NamedHemorrhage(nn.Module):
    """Asks where blood is and which blood it is apart, and answers exclusive classes.

    The probability of subtype k is that of any hemorrhage times that of k given hemorrhage. So names take nothing from
    what thin blood gets, and whatever they learn, any hemorrhage is as likely as before.

    Args:
        blood: from (B, C, H, W) to (B, 2, H, W) logits, background first.
        names: from (B, C, H', W') to (B, N, H', W') logits of subtypes, given hemorrhage.
        coarse: pixels a side that ``names`` sees as one. Which blood it is depends on where it lies and how it spreads,
            not on the course of its border.
        multiple: H' and W' are whole multiples of it; zeros are added below and to the right.
        learns_blood: False: training leaves ``blood`` as it is.
    """

    def __init__(
        self, blood: nn.Module, names: nn.Module, coarse: int = 2, multiple: int = 16, learns_blood: bool = False
    ) -> None:
        super().__init__()
        self.blood = blood
        self.names = names
        self.coarse = coarse
        self.multiple = multiple
        self.learns_blood = learns_blood
        self.blood.requires_grad_(learns_blood)

    def train(self, mode: bool = True) -> NamedHemorrhage:
        """Switch to training; statistics of a network of blood that does not learn stay those of its own training."""
        super().train(mode)
        self.blood.train(mode and self.learns_blood)
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N + 1, H, W) logarithms of probabilities, background first, float32."""
        blood = functional.log_softmax(self.blood(x).float(), 1)
        height, width = x.shape[2], x.shape[3]
        whole = self.coarse * self.multiple
        seen = functional.pad(x, [0, -width % whole, 0, -height % whole])
        answer = self.names(functional.avg_pool2d(seen, self.coarse)).float()
        answer = functional.interpolate(answer, scale_factor=float(self.coarse), mode="bilinear")
        names = functional.log_softmax(answer[:, :, :height, :width], 1)
        return torch.cat([blood[:, :1], blood[:, 1:] + names], 1)


def named_slice_unet(
    classes: int = 5,
    in_channels: int = 3,
    channels: Sequence[int] = (16, 32, 64, 128, 160),
    prior: float = 0.01,
    coarse: int = 2,
    learns_blood: bool = False,
) -> NamedHemorrhage:
    """Two networks of :func:`hemorrhage.networks.slice_unet`, of which the second names subtypes.

    Args:
        classes: N, the number of subtypes, at least 2.
        in_channels: as there.
        channels: of both.
        prior: of any hemorrhage; untrained, each subtype is as likely.
        coarse: see :class:`NamedHemorrhage`.
        learns_blood: likewise.

    Returns:
        A network from (B, in_channels, H, W) to (B, N + 1, H, W); H and W are multiples of 2 ** (len(channels) - 1).
    """
    if classes < 2:
        raise ValueError(f"names need at least 2 subtypes, got {classes}")
    blood = slice_unet(1, in_channels, channels, prior)
    names = slice_unet(classes - 1, in_channels, channels, prior=1 - 1 / classes)  # no class is a background
    return NamedHemorrhage(blood, names, coarse, 2 ** (len(channels) - 1), learns_blood)


def with_names(
    weights: Mapping[str, torch.Tensor], network: NamedHemorrhage, names: Mapping[str, torch.Tensor] | None = None
) -> dict[str, torch.Tensor]:
    """Weights of ``network``: what they know of blood from one training, and of names from another or none.

    Untrained names start from what is known of blood, wherever a layer is as large: what tells blood from other tissue
    is half of what tells blood from blood.

    Args:
        weights: of ``slice_unet(1)``.
        network: untrained, of the same channels.
        names: of such a ``network``, whose names are taken; None leaves them to be learned.

    Raises:
        ValueError: if ``weights`` are of another network or name subtypes already, or ``names`` do not.
    """
    if not _fit(weights, network.blood.state_dict()):
        raise ValueError("these are no weights of any hemorrhage of slice_unet")
    fresh = network.names.state_dict()
    if names is None:
        named = {k: weights[k] if weights[k].shape == t.shape else t for k, t in fresh.items()}
    else:
        named = {k.removeprefix("names."): t for k, t in names.items() if k.startswith("names.")}
        if not _fit(named, fresh):
            raise ValueError("these are no weights that name subtypes")
    return {**{f"blood.{k}": t for k, t in weights.items()}, **{f"names.{k}": t for k, t in named.items()}}


def _fit(weights: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> bool:
    return weights.keys() == wanted.keys() and all(weights[k].shape == t.shape for k, t in wanted.items())
