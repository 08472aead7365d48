"""What a person sees while scans are read."""

from __future__ import annotations

import logging
import time
from typing import Any

from ignite.engine import Engine, Events
from tqdm import tqdm

__all__ = ["ScanProgress"]

logger = logging.getLogger(__name__)


class ScanProgress:
    """Handler of :class:`hemorrhage.engines.ScanEvaluator`: a bar on a terminal, a line a scan in a log file."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._since = 0.0

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._close)
        engine.add_event_handler(Events.TERMINATE, self._close)

    def _start(self, engine: Engine) -> None:
        self._bar = tqdm(total=engine.state.epoch_length, desc="scans", unit="scan", disable=None)
        self._since = time.perf_counter()

    def __call__(self, engine: Engine) -> None:
        """Count the scan that was just finished or failed."""
        state: Any = engine.state
        now, failed = time.perf_counter(), len(state.failures)
        if self._bar is not None and not self._bar.disable:
            self._bar.set_postfix(failed=failed)
            self._bar.update()
        else:
            done, total = state.iteration, state.epoch_length
            logger.info("scan %d of %d in %.1f s, %d failed", done, total, now - self._since, failed)
        self._since = now

    def _close(self, engine: Engine) -> None:
        if self._bar is not None:
            self._bar.close()
