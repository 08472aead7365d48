"""The threshold pair on gray levels that can be counted."""

import numpy as np
import pytest
import torch

from hemorrhage.baselines.thresholds import ThresholdPair, best_pair, fit_thresholds, gray_levels
from hemorrhage.errors import ScanError


def test_gray_levels_of_the_brain_window():
    hu = torch.tensor([-100.0, -20.0, 40.0, 100.0, 300.0])
    assert gray_levels(hu / 40).tolist() == [0, 0, 128, 255, 255]  # 127.5 rounds to the even 128


def test_voxels_between_the_levels_are_blood_both_included():
    network = ThresholdPair()
    hu = torch.tensor([[[139.0, 140.0, 200.0, 230.0, 231.0]]]) * 120 / 255 - 20
    assert (network(hu / 40) > 0).flatten().tolist() == [False, True, True, True, False]


def test_the_best_pair_by_hand():
    blood, others = np.zeros((2, 256)), np.zeros((2, 256))
    blood[:, 150:221] = 1  # 71 voxels of blood at levels 150 to 220 in each case
    others[:, :150] = 10
    others[0, 230:] = 5
    low, high, dice = best_pair(blood, others)
    assert (low, high, dice) == (150, 220, 1.0)


def test_fitting_writes_weights_that_load(tmp_path):
    image = torch.full((1, 8, 8, 8), 30 / 40)
    image[0, 2:5, 2:5, 2:5] = 60 / 40
    item = {"image": image, "label": (image > 1).float()}
    clean = {"image": torch.full((1, 8, 8, 8), 0.75), "label": torch.zeros(1, 8, 8, 8)}
    network = ThresholdPair()
    fit_thresholds([item, clean], network, str(tmp_path))
    other = ThresholdPair()
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    assert torch.equal(other.levels, network.levels)
    assert torch.equal(other(image[None]) > 0, item["label"][None] > 0)
    with pytest.raises(ScanError, match="none of them has blood"):
        fit_thresholds([clean], network, str(tmp_path))
