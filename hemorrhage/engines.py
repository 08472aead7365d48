"""An evaluator for folders of scans: one bad scan is noted and the others go on."""

from __future__ import annotations

import logging
import signal
import sys
import time
from types import FrameType
from typing import Any

import torch
from ignite.engine import EventEnum
from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents

from hemorrhage.datasets import FAILURE_KEY, Failure
from hemorrhage.errors import EXIT_RESOURCE, ScanError
from hemorrhage.transforms.timed import SECONDS_KEY

__all__ = ["ScanEvaluator", "ScanEvents"]

logger = logging.getLogger(__name__)


class ScanEvents(EventEnum):
    """Events beside ignite's and MONAI's."""

    # In place of STARTED where no scan waits: what a handler refuses must be refused then too.
    NOTHING_TO_DO = "nothing_to_do"


class ScanEvaluator(SupervisedEvaluator):
    """MONAI's ``SupervisedEvaluator`` with a list ``state.failures`` in place of an exception.

    A scan fails in preprocessing (the item then says so), in the network, in postprocessing or in a handler of
    ``MODEL_COMPLETED`` (a writer). A full disk ends the run, because every later scan would meet it too.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["event_names"] = [*(kwargs.get("event_names") or ()), ScanEvents]
        super().__init__(*args, **kwargs)
        self.state.failures = []
        self.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._note_network_seconds)
        self._forward_started = 0.0

    def run(self) -> None:  # type: ignore[override]
        """Evaluate every scan of the data loader; returns at once where it has none."""
        if self.state.epoch_length == 0:
            self.fire_event(ScanEvents.NOTHING_TO_DO)
            logger.info(
                "nothing to do: every scan has its result already (inference makes them anew with --overwrite True)"
            )
            return
        before = signal.signal(signal.SIGTERM, _stop)
        try:
            super().run()
        except KeyboardInterrupt:
            logger.error("stopped; finished results are kept, run the same command again to do the rest")
            sys.exit(128 + signal.SIGINT)
        finally:
            signal.signal(signal.SIGTERM, before)

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict[str, Any]) -> dict[str, Any]:
        if FAILURE_KEY in batchdata:
            self.state.failures.extend(Failure.from_json(text) for text in batchdata[FAILURE_KEY])
            return {}
        try:
            self._forward_started = time.perf_counter()
            return super()._iteration(engine, batchdata)
        except ScanError as error:
            if error.exit_code == EXIT_RESOURCE:
                raise
            self._fail(batchdata, error)
        except Exception as error:  # unforeseen: reported as such, with its exit code
            self._fail(batchdata, error)
        return {}

    def _fail(self, batchdata: dict[str, Any], error: Exception) -> None:
        self.state.failures.extend(Failure.of(name, error) for name in batchdata["name"])

    def _note_network_seconds(self, engine: SupervisedEvaluator) -> None:
        if engine.state.device.type == "cuda":
            torch.cuda.synchronize(engine.state.device)
        seconds = time.perf_counter() - self._forward_started
        count = len(engine.state.batch["name"])
        noted = engine.state.batch.setdefault(SECONDS_KEY, {})
        noted["network"] = torch.full((count,), seconds / count, dtype=torch.float64)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
