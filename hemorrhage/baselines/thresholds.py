"""Two gray levels that blood lies between, found by trying all pairs: the first experiment of the CT-ICH paper."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from hemorrhage.errors import ScanError
from hemorrhage.files import write_atomically

__all__ = ["LOWER_LEVELS", "UPPER_LEVELS", "ThresholdPair", "best_pair", "fit_thresholds", "gray_levels"]

logger = logging.getLogger(__name__)

HU_OF_ONE = 40.0  # the configs' normalization: 40 HU are 1
_LOW_HU, _WIDTH_HU = -20.0, 120.0
# Hssayeni et al. 2020, "Threshold-based": lower 100 to 210, upper 210 to 255.
LOWER_LEVELS = tuple(range(100, 211, 5))
UPPER_LEVELS = tuple(range(210, 256, 5))
_SURE = 10.0


def gray_levels(x: torch.Tensor) -> torch.Tensor:
    """Gray levels 0 to 255 at level 40, width 120, of normalized intensities (40 HU are 1)."""
    return ((x * HU_OF_ONE - _LOW_HU) * (255.0 / _WIDTH_HU)).round().clamp(0, 255)


class ThresholdPair(nn.Module):
    """Calls every voxel blood whose gray level lies between two thresholds, both included.

    Hssayeni et al. 2020, first experiment (found 140 and 230 for their data). Gray levels are those of the brain
    window, level 40 and width 120 HU, to 0 to 255.
    """

    def __init__(self) -> None:
        super().__init__()
        self.levels: torch.Tensor
        self.register_buffer("levels", torch.tensor([140.0, 230.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of ``x`` (B, 1, *spatial) in the configs' normalization: 10 for blood, -10 elsewhere."""
        gray = gray_levels(x)
        blood = (gray >= self.levels[0]) & (gray <= self.levels[1])
        return torch.where(blood, _SURE, -_SURE)


def best_pair(blood: np.ndarray, others: np.ndarray) -> tuple[int, int, float]:
    """The pair of thresholds with the highest mean Dice.

    Args:
        blood: (N, 256) for each case, voxels of blood at each gray level; at least one in each case.
        others: (N, 256) the same of all other voxels.

    Returns:
        lower and upper level, and the mean Dice over cases.
    """
    total = blood.sum(1)
    # The voxels of an interval are a difference of two cumulative sums.
    up_to_blood, up_to_others = (np.pad(h.cumsum(1), ((0, 0), (1, 0))) for h in (blood, others))
    found = (0, 0, -1.0)
    for low in LOWER_LEVELS:
        for high in UPPER_LEVELS:
            tp = up_to_blood[:, high + 1] - up_to_blood[:, low]
            fp = up_to_others[:, high + 1] - up_to_others[:, low]
            dice = float(np.mean(2 * tp / (tp + fp + total)))
            if dice > found[2]:
                found = (low, high, dice)
    return found


def fit_thresholds(
    dataset: Iterable[Mapping[str, Any]], network: ThresholdPair, output_dir: str, cases: int | None = None
) -> None:
    """Find the thresholds on training cases and write ``model.pt``.

    Args:
        dataset: items with "image" (1, *spatial), normalized and 0 outside the brain, and "label".
        network: gets the thresholds.
        output_dir: folder of ``model.pt``.
        cases: how many cases at the most; None takes all.

    Raises:
        ScanError: E_DATALIST if no case has blood.
    """
    blood, others = [], []
    for item in tqdm(islice(dataset, cases), desc="thresholds", unit="case"):
        gray = gray_levels(torch.as_tensor(item["image"])).long()
        label = torch.as_tensor(item["label"]) > 0
        if label.any():
            blood.append(torch.bincount(gray[label], minlength=256).numpy())
            others.append(torch.bincount(gray[~label], minlength=256).numpy())
    if not blood:
        raise ScanError("E_DATALIST", "training cases", "none of them has blood", "Add cases with blood.")
    low, high, dice = best_pair(np.stack(blood), np.stack(others))
    network.levels.copy_(torch.tensor([low, high]))
    logger.info("gray levels %d to %d: mean Dice %.3f of %d cases with blood", low, high, dice, len(blood))
    write_atomically(Path(output_dir) / "model.pt", lambda path: torch.save(network.state_dict(), path))
