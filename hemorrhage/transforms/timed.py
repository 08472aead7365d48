"""A Compose that notes how long each of its transforms took."""

from __future__ import annotations

import time
from typing import Any

from monai.transforms import Compose

__all__ = ["SECONDS_KEY", "TimedCompose"]

SECONDS_KEY = "seconds"


class TimedCompose(Compose):
    """MONAI's ``Compose`` for one dictionary, which adds ``data["seconds"]``: seconds by transform.

    A name that occurs twice is summed. What the dictionary brings along under that key is kept, so that pre- and
    postprocessing fill one record.
    """

    def __call__(self, input_: dict[str, Any], **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Apply all transforms to ``input_`` in turn; a part of them (``start``, ``end``) is not timed."""
        if "start" in kwargs or "end" in kwargs:
            return super().__call__(input_, **kwargs)
        data, seconds = dict(input_), dict(input_.get(SECONDS_KEY, {}))
        for index, transform in enumerate(self.transforms):
            start = time.perf_counter()
            data = super().__call__(data, start=index, end=index + 1, **kwargs)
            name = type(transform).__name__
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
        return {**data, SECONDS_KEY: seconds}
