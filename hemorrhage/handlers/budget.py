"""A training that ends when its time is up, and whose steps become smaller until then."""

from __future__ import annotations

import logging
import time
from typing import Any

import torch
from ignite.engine import Engine, Events

from hemorrhage.handlers.stages import learning_rate

__all__ = ["AnnealOverBudget", "StopAfter"]

logger = logging.getLogger(__name__)


class StopAfter:
    """Handler of a trainer that lets no epoch begin which would end after the budget.

    Ignite's ``TimeLimit`` stops within an epoch, and the epoch's validation and checkpoint are lost. Put this before
    the handler that saves checkpoints.

    Args:
        seconds: the budget of this process, from its start of training; None for no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._began = self._epoch_began = 0.0

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        if self.seconds is None:
            return
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        self._began = time.monotonic()

    def _start_epoch(self, engine: Engine) -> None:
        self._epoch_began = time.monotonic()

    def __call__(self, engine: Engine) -> None:
        """Stop if another epoch as long as this one would not fit."""
        now = time.monotonic()
        if self.seconds is not None and now - self._began + (now - self._epoch_began) > self.seconds:
            logger.info("stopping after epoch %d: the budget of %.0f s is spent", engine.state.epoch, self.seconds)
            engine.terminate()


class AnnealOverBudget:
    """Handler of a trainer that lets the learning rate rise at first and fall along a cosine until the time is up.

    How many steps a machine does in its time is not known beforehand; a schedule by epochs would end too early or
    never. Put this behind other handlers that set the rate. The training ends after the epoch in which the time is up.

    Args:
        optimizer: its rate is set before each step.
        rate: the highest.
        seconds: the time of the whole training, earlier runs of one that is resumed counted in.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rate: float, seconds: float | None) -> None:
        if not seconds or seconds < 0:
            raise ValueError(f"a rate that follows the time needs a budget of it (max_seconds), got {seconds}")
        self.optimizer = optimizer
        self.stage = {"learning_rate": rate, "cosine": True}
        self.seconds = seconds
        self.spent = 0.0  # by earlier runs
        self._began = 0.0

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_STARTED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._end)

    def _start(self, engine: Engine) -> None:
        self._began = time.monotonic()

    def _elapsed(self) -> float:
        return self.spent + time.monotonic() - self._began

    def __call__(self, engine: Engine) -> None:
        """Set the rate of the next step."""
        rate = learning_rate(self.stage, min(1.0, self._elapsed() / self.seconds))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _end(self, engine: Engine) -> None:
        if self._elapsed() >= self.seconds:
            engine.terminate()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"spent": self._elapsed()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`."""
        self.spent = state["spent"]
