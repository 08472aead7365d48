"""Early stopping by a moving average."""

from __future__ import annotations

import logging
import math
from collections import deque
from typing import Any

from ignite.engine import Engine, Events

__all__ = ["StopOnPlateau"]

logger = logging.getLogger(__name__)


class StopOnPlateau:
    """Handler of a trainer that stops it when the average of the validation loss no longer falls.

    DeepBleed ("Training"): at least 200 epochs, then until the moving average of the validation loss has not improved
    for 10. Ignite's ``EarlyStopping`` knows neither an average nor a least number of epochs. Put it after the
    validation handler.

    Args:
        validator: the validation engine.
        metric: name of the loss among the validation engine's metrics; lower is better.
        min_epochs: epochs before which it is never stopped.
        window: how many validations the average spans.
        patience: how many validations in a row may pass without a new lowest average.
    """

    def __init__(
        self, validator: Engine, metric: str = "val_loss", min_epochs: int = 200, window: int = 10, patience: int = 10
    ) -> None:
        self.validator = validator
        self.metric = metric
        self.min_epochs = min_epochs
        self.patience = patience
        self.recent: deque[float] = deque(maxlen=window)
        self.lowest = math.inf
        self.waited = 0

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Take the epoch's validation, if there was one, into the average, and stop the trainer if it is time."""
        if self.validator.state.epoch != engine.state.epoch:
            return
        self.recent.append(float(self.validator.state.metrics[self.metric]))
        average = sum(self.recent) / len(self.recent)
        if average < self.lowest:
            self.lowest, self.waited = average, 0
        else:
            self.waited += 1
        if self.waited >= self.patience and engine.state.epoch >= self.min_epochs:
            logger.info(
                "stopping: average %s has not fallen below %.4f for %d checks", self.metric, self.lowest, self.waited
            )
            engine.terminate()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"recent": list(self.recent), "lowest": self.lowest, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`."""
        self.recent.clear()
        self.recent.extend(state["recent"])
        self.lowest, self.waited = state["lowest"], state["waited"]
