"""Several networks as one module: one file of weights, and the mean of what they answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["MeanOfNetworks"]


class MeanOfNetworks(nn.Module):
    """The mean of the probabilities of several networks, as logits.

    :class:`hemorrhage.inferers.EnsembleInferer` averages networks that stand in files of their own. This is one
    network with one file of weights, so that what takes one file (training, its hash, its calibration, MONAI Label)
    takes an ensemble.

    Args:
        members: networks with the same input that answer (B, C, ...) logits of exclusive classes.

    Raises:
        ValueError: if there are no members.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise ValueError("a mean needs at least one network")
        self.members = nn.ModuleList(members)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits whose softmax is the mean of the members' softmax: (B, C, ...), in single precision."""
        logs = torch.stack([member(x).float().log_softmax(1) for member in self.members])
        return logs.logsumexp(0) - math.log(len(self.members))
