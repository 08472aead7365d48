"""What an engine has just read and answered, in one form."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine

__all__ = ["batch_of", "losses_of", "outputs_of"]


def _as_list(items: Any) -> list[dict[str, Any]]:
    return items if isinstance(items, list) else [items]


def batch_of(engine: Engine) -> list[dict[str, Any]]:
    """The items of the engine's batch; one dictionary of all where it does not decollate."""
    return _as_list(engine.state.batch)


def outputs_of(engine: Engine) -> list[dict[str, Any]]:
    """The engine's outputs in the order of its batch."""
    return _as_list(engine.state.output)


def losses_of(engine: Engine) -> list[float]:
    """The loss that MONAI's trainer repeats in each output."""
    return [float(output["loss"]) for output in outputs_of(engine)]
