"""Which weights an ensemble's result came from: all of them, not the first alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hemorrhage.files import sha256_of
from hemorrhage.report.scan_result import ScanResult

__all__ = ["EnsembleRecord"]


class EnsembleRecord:
    """Measure of :class:`hemorrhage.handlers.ScanWriter` that records the weights of every network.

    Args:
        checkpoints: their files.
    """

    def __init__(self, checkpoints: Sequence[str]) -> None:
        self.files = [{"file": Path(p).name, "sha256": sha256_of(Path(p).expanduser())} for p in checkpoints]

    def __call__(self, result: ScanResult) -> Mapping[str, object]:
        """What to add to the findings."""
        return {"ensemble": self.files}
