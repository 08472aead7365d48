"""Handlers of trainers and evaluators, named from configs."""

from hemorrhage.handlers.budget import AnnealOverBudget, StopAfter
from hemorrhage.handlers.checkpoints import BestWeights, Checkpoints, StopOnBadLoss
from hemorrhage.handlers.curves import CurveWriter
from hemorrhage.handlers.load_weights import LoadWeights
from hemorrhage.handlers.plateau import StopOnPlateau
from hemorrhage.handlers.progress import ScanProgress
from hemorrhage.handlers.reseed import ReseedEveryEpoch
from hemorrhage.handlers.scan_writer import ScanWriter
from hemorrhage.handlers.score_writer import ScoreWriter
from hemorrhage.handlers.shared import Shared
from hemorrhage.handlers.stages import Stages

__all__ = [
    "AnnealOverBudget",
    "BestWeights",
    "Checkpoints",
    "CurveWriter",
    "LoadWeights",
    "ReseedEveryEpoch",
    "ScanProgress",
    "ScanWriter",
    "ScoreWriter",
    "Shared",
    "Stages",
    "StopAfter",
    "StopOnBadLoss",
    "StopOnPlateau",
]
