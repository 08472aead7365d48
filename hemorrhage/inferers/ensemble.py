"""The mean of several networks, such as one architecture trained from several seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from monai.inferers import Inferer

from hemorrhage.weights import load_weights

__all__ = ["EnsembleInferer", "networks_of"]


def networks_of(network: torch.nn.Module, checkpoints: Sequence[str]) -> list[torch.nn.Module]:
    """Copies of a network, each with weights of its own, ready for inference.

    Args:
        network: the architecture, on its device.
        checkpoints: files of weights.

    Raises:
        ScanError: E_WEIGHTS or E_CHECKPOINT, as :func:`hemorrhage.weights.load_weights`.
    """
    networks = []
    for path in checkpoints:
        copy = deepcopy(network)
        load_weights(copy, Path(path).expanduser())
        networks.append(copy.eval())
    return networks


class EnsembleInferer(Inferer):
    """Run an inferer with each of several networks and average what it answers.

    Kuo et al. 2018 ("External Validation"): three models. The inferer must answer probabilities, such as
    :class:`hemorrhage.inferers.SliceWindowInferer`. The network that the evaluator hands over is not used.

    Args:
        inferer: the inferer.
        networks: for instance those of :func:`networks_of`.
    """

    def __init__(self, inferer: Inferer, networks: Sequence[torch.nn.Module]) -> None:
        super().__init__()
        if not networks:
            raise ValueError("an ensemble needs at least one network")
        self.inferer = inferer
        self.networks = list(networks)

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Mean answer to ``inputs``.

        Args:
            inputs: as the inferer takes them.
            network: ignored.
            args: passed on to the inferer.
            kwargs: passed on to the inferer.
        """
        answers = [self.inferer(inputs, one, *args, **kwargs) for one in self.networks]
        if isinstance(answers[0], Mapping):
            return {key: sum(answer[key] for answer in answers) / len(answers) for key in answers[0]}
        return sum(answers) / len(answers)
