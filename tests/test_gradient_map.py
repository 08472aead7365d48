"""Gradients stay within what a network can see; windows stay within the slice."""

import sys

import torch
from conftest import ROOT
from torch import nn

sys.path.insert(0, str(ROOT / "scripts"))

from gradient_map import gradient_of_region, window_around


def test_gradient_reaches_as_far_as_the_kernel():
    torch.manual_seed(0)
    network = nn.Conv2d(3, 2, 5, padding=2)
    region = torch.zeros(20, 20, dtype=torch.bool)
    region[8:10, 12] = True
    found = gradient_of_region(network, torch.rand(3, 20, 20), region)
    assert found.shape == (20, 20)
    assert (found[6:12, 10:15] > 0).all()
    found[6:12, 10:15] = 0
    assert found.max() == 0


def test_what_is_sure_gives_no_gradient():
    network = nn.Conv2d(3, 2, 1)
    with torch.no_grad():
        network.bias.copy_(torch.tensor([-200.0, 200.0]))
    region = torch.ones(4, 4, dtype=torch.bool)
    assert gradient_of_region(network, torch.rand(3, 4, 4), region).max() == 0


def test_windows_are_centered_and_stay_inside():
    region = torch.zeros(50, 60, dtype=torch.bool)
    region[20:23, 2] = True
    assert window_around(region, 16) == (slice(13, 29), slice(0, 16))
    assert window_around(region, 100) == (slice(0, 50), slice(0, 60))
