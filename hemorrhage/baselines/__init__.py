"""What a network has to beat: methods without one, behind the same interface as the networks."""

from hemorrhage.baselines.forest import VoxelForest, fit_forest
from hemorrhage.baselines.thresholds import ThresholdPair, fit_thresholds

__all__ = ["ThresholdPair", "VoxelForest", "fit_forest", "fit_thresholds"]
