"""The curves of a training as a table and a picture, beside TensorBoard's."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path

import ignite.distributed as idist
import pandas as pd
from ignite.engine import Engine, Events
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hemorrhage.files import write_atomically
from hemorrhage.handlers.outputs import losses_of

__all__ = ["CurveWriter", "save_curves"]

logger = logging.getLogger(__name__)


def save_curves(curves: pd.DataFrame, path: Path) -> None:
    """Draw every column of ``curves`` over its epochs into a PNG: losses above, the rest below.

    Args:
        curves: a row an epoch, with a column "epoch"; "seconds" is not drawn.
        path: the PNG to write.
    """
    losses = [c for c in curves.columns if c.endswith("loss")]
    scores = [c for c in curves.columns if c not in losses and c not in ("epoch", "seconds")]
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    for axis, columns, label in zip(axes, (losses, scores), ("loss", "score"), strict=True):
        for column in columns:
            known = curves.dropna(subset=[column])
            axis.plot(known["epoch"], known[column], marker=".", label=column)
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
        if columns:
            axis.legend()
    axes[-1].set_xlabel("epoch")
    FigureCanvasAgg(figure).print_png(str(path))


class CurveWriter:
    """Handler of a trainer that writes ``curves.csv`` and ``curves.png`` after each epoch.

    A resumed training goes on with the rows of the epochs that it keeps. Put it after the validation handler.

    Args:
        folder: where the two files go.
        validator: the validation engine whose metrics become columns.
    """

    def __init__(self, folder: str, validator: Engine) -> None:
        self.folder = Path(folder)
        self.validator = validator
        self._losses: list[float] = []
        self._since = 0.0

    def attach(self, engine: Engine) -> None:
        """Register with a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._note_loss)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _start_epoch(self, engine: Engine) -> None:
        self._losses.clear()
        self._since = time.perf_counter()

    def _note_loss(self, engine: Engine) -> None:
        losses = losses_of(engine)
        self._losses.append(sum(losses) / len(losses))

    def __call__(self, engine: Engine) -> None:
        """Add the row of the epoch that ends."""
        if idist.get_rank() != 0:
            return
        epoch, table = engine.state.epoch, self.folder / "curves.csv"
        row = {"epoch": epoch, "train_loss": sum(self._losses) / max(1, len(self._losses))}
        if self.validator.state.epoch == epoch:
            row.update({name: float(value) for name, value in self.validator.state.metrics.items()})
        row["seconds"] = round(time.perf_counter() - self._since, 2)
        curves = pd.DataFrame([row])
        if table.exists() and epoch > 1:
            earlier = pd.read_csv(table)
            curves = pd.concat([earlier[earlier["epoch"] < epoch], curves], ignore_index=True)
        write_atomically(table, lambda path: curves.to_csv(path, index=False))
        write_atomically(self.folder / "curves.png", lambda path: save_curves(curves, path))
        shown = ", ".join(f"{k} {v:.4f}" for k, v in row.items() if k != "epoch" and not math.isnan(v))
        logger.info("epoch %d: %s", epoch, shown)
