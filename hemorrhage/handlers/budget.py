"""A training that ends when its time is up."""

from __future__ import annotations

import logging
import time

from ignite.engine import Engine, Events

__all__ = ["StopAfter"]

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
