"""Checkpoints that a kill at any moment leaves loadable, and a training that goes on from them."""

from __future__ import annotations

import logging
import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from hemorrhage.errors import EXIT_INTERNAL, ScanError, first_sentence
from hemorrhage.files import claim_folder, write_atomically
from hemorrhage.handlers.outputs import batch_of, losses_of
from hemorrhage.weights import load_weights

__all__ = ["BestWeights", "Checkpoints", "StopOnBadLoss"]

logger = logging.getLogger(__name__)
LAST = "last.pt"


def _plain(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a module under their own names, with or without a distributed wrapper around it."""
    inner = module.module if isinstance(module, torch.nn.parallel.DistributedDataParallel) else module
    return {name: tensor.detach().cpu().contiguous() for name, tensor in inner.state_dict().items()}


class BestWeights:
    """Handler of a validation engine that writes ``model.pt`` (tensors only) when the key metric is the best so far.

    Args:
        folder: where ``model.pt`` goes.
        network: the network to save.
        file_name: another name for the file.
    """

    def __init__(self, folder: str, network: torch.nn.Module, file_name: str = "model.pt") -> None:
        self.path = Path(folder) / file_name
        self.network = network
        self.best = -math.inf

    def attach(self, engine: Engine) -> None:
        """Register with a validation engine that has a key metric."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Save if the latest value of the key metric is the highest of this training."""
        state: Any = engine.state
        name = state.key_metric_name
        value = float(state.metrics[name])
        if not value > self.best:
            return
        self.best = value
        if idist.get_rank() == 0:
            write_atomically(self.path, lambda path: torch.save(_plain(self.network), path))
            logger.info("%s = %.4f is the best so far: wrote %s", name, value, self.path.name)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state_dict`."""
        self.best = state["best"]


def _unwrapped(network: torch.nn.Module) -> torch.nn.Module:
    """The network itself where several processes train copies of it."""
    return network.module if isinstance(network, torch.nn.parallel.DistributedDataParallel) else network


class Checkpoints:
    """Handler of a trainer that saves everything after each epoch and, when asked, starts from it.

    MONAI's ``CheckpointSaver`` writes in place, and ignite deletes the old file before it writes the new one: a kill in
    between leaves nothing. Put this handler last in the list, after validation, so that what validation changed is
    saved too.

    Args:
        folder: where ``last.pt`` goes.
        network: the network.
        optimizer: its optimizer.
        others: more objects with ``state_dict`` and ``load_state_dict``, by name.
        resume: start from ``last.pt`` where there is one; else such a file is an error, so that no run is overwritten
            by mistake.
        initial_weights: weights to start a new training from (fine-tuning); None starts from scratch. Networks among
            ``others``, such as a running average, start from them too.
    """

    def __init__(
        self,
        folder: str,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        others: Mapping[str, Any] | None = None,
        resume: bool = False,
        initial_weights: str | None = None,
    ) -> None:
        self.path = Path(folder) / LAST
        self.network = network
        self.optimizer = optimizer
        self.others = dict(others or {})
        self.resume = resume
        self.initial_weights = initial_weights

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        if idist.get_rank() == 0:
            claim_folder(self.path.parent)
        inner = _unwrapped(self.network)
        if not self.path.exists():
            if self.initial_weights:
                # A running average would else begin with the random weights that the network had when it was built.
                averages = [other for other in self.others.values() if isinstance(other, torch.nn.Module)]
                for module in (inner, *averages):
                    load_weights(_unwrapped(module), Path(self.initial_weights).expanduser(), first_member=True)
            return
        if not self.resume:
            raise ScanError(
                "E_WOULD_OVERWRITE",
                self.path,
                "there is a training in this folder already",
                "Continue it with --resume True, or name another --output_dir.",
            )
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            inner.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            for name, other in self.others.items():
                other.load_state_dict(state["others"][name])
        except (pickle.UnpicklingError, RuntimeError, ValueError, KeyError, EOFError) as error:
            raise ScanError(
                "E_CHECKPOINT",
                self.path,
                f"the training cannot go on from it ({first_sentence(error)})",
                "Use the config and overrides that it was started with, or another --output_dir.",
            ) from error
        engine.state.epoch, engine.state.iteration = state["epoch"], state["iteration"]
        logger.info("continuing after epoch %d (iteration %d)", state["epoch"], state["iteration"])

    def __call__(self, engine: Engine) -> None:
        """Save the whole state of the training."""
        if idist.get_rank() != 0:
            return
        state = {
            "network": _plain(self.network),
            "optimizer": self.optimizer.state_dict(),
            "others": {name: other.state_dict() for name, other in self.others.items()},
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
        }
        write_atomically(self.path, lambda path: torch.save(state, path))


class StopOnBadLoss:
    """Handler of a trainer that ends the run at the first loss that is not finite, naming the cases of the batch.

    One NaN voxel turns all weights to NaN, and training would go on to its end as if nothing had happened.
    """

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Check the loss of the iteration.

        Raises:
            ScanError: E_LOSS with the names of the batch's cases.
        """
        if all(math.isfinite(loss) for loss in losses_of(engine)):
            return
        names = {str(getattr(b["image"], "meta", {}).get("filename_or_obj", "a phantom")) for b in batch_of(engine)}
        raise ScanError(
            "E_LOSS",
            ", ".join(sorted(Path(n).name for n in names)),
            f"the loss is not finite in epoch {engine.state.epoch}, iteration {engine.state.iteration}",
            "The checkpoint before it is kept. Look for NaN in these cases, or lower the learning rate.",
            EXIT_INTERNAL,
        )
