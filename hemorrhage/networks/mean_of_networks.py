"""The mean of several trainings of one network, in one file of weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from hemorrhage.errors import ScanError
from hemorrhage.weights import members_of, read_weights

__all__ = ["MeanOfNetworks", "network_of_weights"]

_CLASSES = {"pixels": 1, "patches": -1}  # axes of exclusive classes in what PatchFCN answers


class MeanOfNetworks(nn.Module):
    """Networks whose probabilities are averaged (Kuo et al. 2018, "External Validation": three).

    Args:
        networks: from the same input to logits, as tensors (B, C, *spatial) or as PatchFCN's dictionary of them. A
            single channel is taken for one probability, several for exclusive classes.

    Raises:
        ValueError: there is no network.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        if not networks:
            raise ValueError("a mean needs at least one network")
        self.members = nn.ModuleList(networks)

    def forward(self, x: torch.Tensor) -> torch.Tensor | dict[str, torch.Tensor]:
        """Logits, float32, whose probabilities are the mean of the members'."""
        answers = [member(x) for member in self.members]
        if isinstance(answers[0], Mapping):
            return {key: _mean([a[key] for a in answers], _CLASSES[key]) for key in answers[0]}
        return _mean(answers, 1)


def _mean(logits: Sequence[torch.Tensor], axis: int) -> torch.Tensor:
    """Logits of the mean probability: those of the sum, which has the same odds."""
    stack = torch.stack([one.float() for one in logits])
    if stack[0].shape[axis] > 1:
        return functional.log_softmax(stack, axis if axis < 0 else axis + 1).logsumexp(0) - math.log(len(logits))
    return functional.logsigmoid(stack).logsumexp(0) - functional.logsigmoid(-stack).logsumexp(0)


def network_of_weights(network: nn.Module, checkpoint: str | Path) -> nn.Module:
    """The network that the weights in ``checkpoint`` fill.

    Args:
        network: the architecture, on its device.
        checkpoint: weights of one training, or several that ``scripts/join_weights.py`` put into one file.

    Returns:
        ``network`` itself for one training, else the mean of as many copies as the file holds. Nothing is loaded yet,
        and a file that cannot be read is refused where that is done.
    """
    try:
        content, _ = read_weights(Path(checkpoint).expanduser())
    except ScanError:
        return network
    count = len(members_of(content))
    return MeanOfNetworks([deepcopy(network) for _ in range(count)]) if count > 1 else network
