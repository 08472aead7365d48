"""Weights into a network when an engine starts, refused in one line when they are not what they should be."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from ignite.engine import Engine, Events

from hemorrhage.weights import load_weights

__all__ = ["LoadWeights"]

logger = logging.getLogger(__name__)


class LoadWeights:
    """Handler that calls :func:`hemorrhage.weights.load_weights` at the start.

    MONAI's ``CheckpointLoader`` says neither what to do about a missing file nor whose weights they are.

    Args:
        path: the weights.
        network: the network to fill.
    """

    def __init__(self, path: str, network: torch.nn.Module) -> None:
        self.path = Path(path).expanduser()
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator or a trainer."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Load the weights."""
        digest = load_weights(self.network, self.path)
        logger.info("weights %s, SHA-256 %s", self.path.name, digest)
