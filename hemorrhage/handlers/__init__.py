"""Handlers of trainers and evaluators, named from configs."""

from hemorrhage.handlers.checkpoints import BestWeights, Checkpoints, StopOnBadLoss
from hemorrhage.handlers.plateau import StopOnPlateau
from hemorrhage.handlers.progress import ScanProgress
from hemorrhage.handlers.reseed import ReseedEveryEpoch
from hemorrhage.handlers.scan_writer import ScanWriter

__all__ = [
    "BestWeights",
    "Checkpoints",
    "ReseedEveryEpoch",
    "ScanProgress",
    "ScanWriter",
    "StopOnBadLoss",
    "StopOnPlateau",
]
