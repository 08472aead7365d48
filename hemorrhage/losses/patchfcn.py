"""PatchFCN's loss: weighted cross entropy of pixels, and of patches where the network judges them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

__all__ = ["PatchFCNLoss", "patch_labels"]


def patch_labels(label: torch.Tensor, judged: int) -> torch.Tensor:
    """What a patch holds.

    Args:
        label: (B, 1, H, W) subtype of each pixel, 0 for none.
        judged: 1 for any hemorrhage alone, N + 1 for it and each of N subtypes.

    Returns:
        (B, judged) int64, 1 where the patch holds a pixel of it; any hemorrhage first.
    """
    flat = label.flatten(1)
    columns = [(flat > 0).any(1)] + [(flat == n).any(1) for n in range(1, judged)]
    return torch.stack(columns, 1).long()


class PatchFCNLoss(nn.Module):
    """Weighted sum of the cross entropy of pixels, that of patches and, if wanted, a Dice loss.

    Args:
        positive_weight: factor on the cross entropy of pixels with hemorrhage (3 in both papers).
        pixels: weight of the pixels' mean cross entropy.
        patches: weight of the patches' mean cross entropy; without effect on a network without a patch branch.
        dice: weight of 1 - Dice of any hemorrhage over the batch. The papers have none; it shortens trainings of
            minutes many times.
        names: weight of the cross entropy of subtypes where there is hemorrhage, which asks nothing about how likely
            that is. Subtypes count as the roots of their areas: what a hematoma covers would hush what lies in sulci.
            The papers have none.
    """

    def __init__(
        self,
        positive_weight: float = 3.0,
        pixels: float = 1.0,
        patches: float = 1.0,
        dice: float = 0.0,
        names: float = 0.0,
    ) -> None:
        super().__init__()
        self.positive_weight = positive_weight
        self.pixels = pixels
        self.patches = patches
        self.dice = dice
        self.names = names

    def forward(self, answer: torch.Tensor | Mapping[str, torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        """The loss.

        Args:
            answer: as :class:`hemorrhage.networks.PatchFCN` gives it: (B, N + 1, *spatial) logits of pixels, or a
                mapping of these and of (B, judged, 2) logits of patches.
            label: (B, 1, *spatial) subtype of each pixel, 0 for none; with one class any subtype counts.

        Returns:
            a scalar.
        """
        pixels, patches = (answer["pixels"], answer["patches"]) if isinstance(answer, Mapping) else (answer, None)
        blood = label[:, 0] > 0
        target = blood.long() if pixels.shape[1] == 2 else label[:, 0].long()
        logs = functional.log_softmax(pixels.float(), 1)
        total = pixels.new_zeros((), dtype=torch.float32)
        if self.pixels:
            weight = 1.0 + (self.positive_weight - 1.0) * blood
            total = total + self.pixels * (weight * functional.nll_loss(logs, target, reduction="none")).mean()
        if self.dice:
            p = 1.0 - logs[:, 0].exp()
            # Twenty pixels on both sides keep a batch with a speck of blood from swinging the loss.
            overlap = (2.0 * (p * blood).sum() + 20.0) / (p.sum() + blood.sum() + 20.0)
            total = total + self.dice * (1.0 - overlap)
        if self.names and pixels.shape[1] > 2:
            total = total + self.names * _names_loss(logs, label[:, 0])
        if self.patches and patches is not None:
            wanted = patch_labels(label, patches.shape[1])
            total = total + self.patches * functional.cross_entropy(patches.float().flatten(0, 1), wanted.flatten())
        return total


def _names_loss(logs: torch.Tensor, subtypes: torch.Tensor) -> torch.Tensor:
    """Cross entropy of (B, N + 1, *spatial) logarithms over pixels with hemorrhage; subtypes (B, *spatial)."""
    given = functional.log_softmax(logs[:, 1:], 1)  # of each subtype, given hemorrhage
    wanted = subtypes.long() - 1
    area = torch.bincount(subtypes.long().flatten(), minlength=given.shape[1] + 1)[1:]
    weight = area.clamp(min=1).float().rsqrt()
    missed = functional.nll_loss(given, wanted, weight, ignore_index=-1, reduction="sum")
    return missed / (area * weight).sum().clamp(min=1.0)
