"""Randomness that depends on the seed and the epoch alone, so that a resumed run draws what an unbroken one would."""

from __future__ import annotations

from collections.abc import Iterable

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.transforms import Randomizable

__all__ = ["ReseedEveryEpoch"]


class ReseedEveryEpoch:
    """Handler of a trainer that seeds every source of randomness anew when an epoch starts.

    Saving the generators' states instead would miss those inside worker processes, which begin anew with each epoch.

    Args:
        seed: the run's seed.
        randomizables: transforms (or compositions of them) that hold generators of their own.
    """

    def __init__(self, seed: int, randomizables: Iterable[Randomizable] = ()) -> None:
        self.seed = int(seed)
        self.randomizables = tuple(randomizables)

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed for the engine's current epoch; processes of a distributed run get different seeds."""
        sequence = np.random.SeedSequence((self.seed, engine.state.epoch, idist.get_rank()))
        seed = int(sequence.generate_state(1)[0])
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - MONAI's transforms fall back to the legacy generator
        for randomizable in self.randomizables:
            randomizable.set_random_state(seed)
