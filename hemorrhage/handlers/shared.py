"""A handler that other parts of a config refer to, as an entry of a list."""

from __future__ import annotations

from typing import Protocol

from ignite.engine import Engine

__all__ = ["Shared"]


class _Handler(Protocol):
    def attach(self, engine: Engine) -> None: ...


class Shared:
    """Attaches a handler that is defined elsewhere in the config.

    MONAI's ``check_properties`` and MONAI Label expect every entry of ``train#handlers`` to be a dictionary with a
    ``_target_``: a bare reference ends both with a TypeError.

    Args:
        handler: the handler.
    """

    def __init__(self, handler: _Handler) -> None:
        self.handler = handler

    def attach(self, engine: Engine) -> None:
        """Attach the handler to ``engine``."""
        self.handler.attach(engine)
