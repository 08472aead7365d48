"""A training in stages: what is trained, with which loss and at which rate, by the epoch alone."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

from hemorrhage.files import write_atomically
from hemorrhage.handlers.coarse import coarse_batch

__all__ = ["Stages", "learning_rate", "stage_of"]

logger = logging.getLogger(__name__)


def stage_of(epoch: int, lengths: Sequence[int]) -> tuple[int, int]:
    """Number of the stage that an epoch belongs to, and the epochs of it that came before.

    Args:
        epoch: counted from 1; beyond the last stage it belongs to that.
        lengths: epochs of each stage.
    """
    before = epoch - 1
    for number, length in enumerate(lengths):
        if before < length or number == len(lengths) - 1:
            return number, before
        before -= length
    raise ValueError("there is no stage")


def learning_rate(stage: Mapping[str, Any], progress: float) -> float:
    """The rate at a point of a stage.

    Args:
        stage: "learning_rate"; and "drops", shares of the stage after which it falls to a tenth, or "cosine" true: it
            rises over the first 3 % and falls to a hundredth along a cosine.
        progress: share of the stage that is done, 0 to 1.
    """
    base = float(stage["learning_rate"])
    if stage.get("cosine", False):
        return base * min(1.0, (progress + 1e-3) / 0.03) * (0.505 + 0.495 * math.cos(math.pi * min(1.0, progress)))
    return base * 0.1 ** sum(progress >= share - 1e-9 for share in stage.get("drops", ()))


class Stages:
    """Handler of a trainer that leads it through stages, each a dictionary.

    Everything follows from the epoch, so that a resumed training needs no state of this. Momentum starts anew with each
    stage. The weights at the end of a stage are written to ``NAME.pt``, and after each epoch to ``model.pt``: the last
    weights are the result, as in the papers.

    Args:
        stages: dictionaries with "name"; "epochs"; "learning_rate", with "drops" or "cosine" as
            :func:`learning_rate` takes them; "freeze", parts of the network that stand still (default none); "loss",
            weights of the loss's terms by their attribute's name (default as they are); and "coarse", sides of the
            squares of pixels that are averaged before the network sees them (default 1).
        network: the network; where a stage freezes parts it has a method ``freeze``, as
            :class:`hemorrhage.networks.PatchFCN` has.
        optimizer: its optimizer.
        loss: the loss.
        folder: where the weights go.
        gradient_norm: largest norm of the gradient; None for no limit.
        result: whose weights are written, such as a moving average of the network's; None for the network.
    """

    def __init__(
        self,
        stages: Sequence[Mapping[str, Any]],
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: torch.nn.Module,
        folder: str,
        gradient_norm: float | None = None,
        result: torch.nn.Module | None = None,
    ) -> None:
        self.stages = list(stages)
        self.network = network
        self.optimizer = optimizer
        self.loss = loss
        self.folder = Path(folder)
        self.gradient_norm = gradient_norm
        self.result = result
        self._freezes = any(stage.get("freeze") for stage in self.stages)
        self._usual = {name: getattr(loss, name) for stage in self.stages for name in stage.get("loss", {})}

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(Events.ITERATION_STARTED, self._set_rate)
        if any(int(stage.get("coarse", 1)) > 1 for stage in self.stages):
            engine.add_event_handler(Events.ITERATION_STARTED, self._coarsen)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)
        if self.gradient_norm is not None:
            engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._clip)

    @property
    def _inner(self) -> Any:
        wrapped = isinstance(self.network, torch.nn.parallel.DistributedDataParallel)
        return self.network.module if wrapped else self.network

    def _stage(self, engine: Engine) -> tuple[Mapping[str, Any], int]:
        number, before = stage_of(engine.state.epoch, [int(s["epochs"]) for s in self.stages])
        return self.stages[number], before

    def _start_epoch(self, engine: Engine) -> None:
        stage, before = self._stage(engine)
        if self._freezes:
            self._inner.freeze(*stage.get("freeze", ()))
        for parameter in self._inner.parameters():
            if not parameter.requires_grad:
                parameter.grad = None  # a gradient of zero would let weight decay and momentum go on
        for name, usual in self._usual.items():
            setattr(self.loss, name, stage.get("loss", {}).get(name, usual))
        if before == 0:
            self.optimizer.state.clear()
            logger.info("stage %s begins with epoch %d", stage["name"], engine.state.epoch)

    def _set_rate(self, engine: Engine) -> None:
        stage, before = self._stage(engine)
        length = engine.state.epoch_length or 1
        within = (engine.state.iteration - 1) % length / length
        rate = learning_rate(stage, (before + within) / int(stage["epochs"]))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _coarsen(self, engine: Engine) -> None:
        factor = int(self._stage(engine)[0].get("coarse", 1))
        if factor > 1:
            state: Any = engine.state
            state.batch = coarse_batch(state.batch, factor)

    def _clip(self, engine: Engine) -> None:
        assert self.gradient_norm is not None
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_norm)

    def __call__(self, engine: Engine) -> None:
        """Write the weights of the epoch that ends."""
        if idist.get_rank() != 0:
            return
        stage, before = self._stage(engine)
        written = self._inner if self.result is None else self.result
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in written.state_dict().items()}
        names = ["model"] + ([str(stage["name"])] if before + 1 == int(stage["epochs"]) else [])
        for name in names:
            write_atomically(self.folder / f"{name}.pt", lambda path: torch.save(weights, path))
