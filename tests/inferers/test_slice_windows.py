"""Windows where the papers put them, averages that MONAI gives too, and nothing lost with the windows left out."""

import itertools
import math

import pytest
import torch
from monai.inferers import SliceInferer

from hemorrhage.inferers import AutocastInferer, SliceWindowInferer
from hemorrhage.inferers.slice_windows import occupied_windows, window_starts
from hemorrhage.networks import PatchFCN


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    net = PatchFCN(classes=2, backbone="drn_d_22", width=0.0625, patch_branch=True).eval()
    for p in net.pixels.parameters():
        torch.nn.init.normal_(p, 0.0, 0.3)
    return net


@pytest.fixture(scope="module")
def scan():
    """A brain of two slices and a slice without any, 0 outside."""
    g = torch.Generator().manual_seed(1)
    x = torch.zeros(1, 3, 70, 60, 3)
    x[:, :, 20:45, 8:30, :2] = 0.1 + 0.9 * torch.rand(1, 3, 25, 22, 2, generator=g)
    return x


def infer(scan, network, **options):
    with torch.no_grad():
        return SliceWindowInferer(**options)(scan, network)


def test_seven_windows_a_side_as_in_the_paper():
    assert window_starts(512, 240, 3.0) == [0, 45, 91, 136, 181, 227, 272]


@pytest.mark.parametrize(
    ("length", "window", "beta"), [(512, 80, 3.0), (258, 144, 2.0), (241, 240, 3.0), (100, 48, 1.2)]
)
def test_windows_reach_both_edges_evenly(length, window, beta):
    starts = window_starts(length, window, beta)
    assert starts[0] == 0
    assert starts[-1] == length - window
    assert len(starts) == min(math.ceil(beta * length / window), length - window + 1)
    steps = {b - a for a, b in itertools.pairwise(starts)}
    assert max(steps) - min(steps) <= 1


def test_a_slice_no_larger_than_a_window_has_one():
    assert window_starts(240, 240, 3.0) == window_starts(100, 240, 3.0) == [0]


def test_average_is_that_of_monai_where_one_step_divides_the_way(network):
    x = torch.rand(1, 3, 64, 64, 3, generator=torch.Generator().manual_seed(2))
    ours = infer(x, lambda a: network(a)["pixels"], window=32, beta=1.5, skip_empty=False)  # 0, 16, 32
    monai = SliceInferer(spatial_dim=2, roi_size=(32, 32), sw_batch_size=4, overlap=0.5, mode="constant")
    with torch.no_grad():
        theirs = monai(x, lambda a: network(a)["pixels"].softmax(1))
    assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("over_brain", [False, True])
def test_windows_without_brain_change_nothing_inside_it(network, scan, over_brain):
    kept = infer(scan, network, window=24, beta=2.0, over_brain=over_brain)
    every = infer(scan, network, window=24, beta=2.0, over_brain=over_brain, skip_empty=False)
    brain = scan[:, 1:2] != 0
    both = brain.expand_as(kept["pixels"])
    assert torch.allclose(kept["pixels"][both], every["pixels"][both], atol=1e-5)
    assert (every["pixels"] - kept["pixels"]).abs().max() > 1e-3  # outside it did
    assert kept["patches"][0, :, 2].max() == 0  # nothing was asked about the slice without brain


def test_fewer_windows_are_run(scan):
    seen = []

    def network(x):
        seen.append(len(x))
        return torch.zeros(len(x), 2, *x.shape[2:])

    counts = {}
    for name, options in {"all": {"skip_empty": False}, "skip": {}, "box": {"over_brain": True}}.items():
        seen.clear()
        infer(scan, network, window=24, beta=2.0, batch_size=7, **options)
        counts[name] = sum(seen)
        assert set(seen[:-1]) <= {7}  # windows of several slices fill the batches
    assert counts["all"] == 3 * 6 * 5
    assert counts["box"] < counts["skip"] < counts["all"]


def test_whole_slices_are_the_network_itself(network, scan):
    whole = infer(scan, network, window=None, skip_empty=False)
    with torch.no_grad():
        direct = network(scan[0].permute(3, 0, 1, 2))
    assert torch.allclose(whole["pixels"][0].permute(3, 0, 1, 2), direct["pixels"].softmax(1), atol=1e-5)
    assert torch.allclose(whole["patches"][0].T, direct["patches"].softmax(-1)[..., 1], atol=1e-5)


def test_probabilities_sum_to_one_everywhere_and_small_slices_are_padded(network):
    x = torch.zeros(2, 3, 10, 17, 1)
    x[0, :, 3:6, 4:9] = 0.5
    found = infer(x, network, window=24)
    assert found["pixels"].shape == (2, 3, 10, 17, 1)
    assert torch.allclose(found["pixels"].sum(1), torch.ones(2, 10, 17, 1), atol=1e-5)


def test_patch_score_is_the_highest_of_the_windows():
    def network(x):
        hot = x[:, 0].flatten(1).amax(1)
        logits = torch.stack([torch.zeros_like(hot), hot], 1)[:, None]
        return {"pixels": torch.zeros(len(x), 2, *x.shape[2:]), "patches": logits}

    x = torch.full((1, 3, 40, 40, 2), 0.1)
    x[0, :, 39, 39, 1] = 3.0
    scores = infer(x, network, window=20, beta=2.0)["patches"][0, 0]
    assert torch.allclose(scores, torch.tensor([0.1, 3.0]).sigmoid(), atol=1e-6)


def test_occupied_windows_are_those_with_anything_in_them():
    occupied = torch.rand(4, 31, 29, generator=torch.Generator().manual_seed(3)) > 0.995
    rows, columns = [0, 7, 20], [0, 3, 18]
    found = occupied_windows(occupied, rows, columns, (9, 11))
    for k in range(4):
        for i, r in enumerate(rows):
            for j, c in enumerate(columns):
                assert found[k, i, j] == occupied[k, r : r + 9, c : c + 11].any()


def test_mixed_precision_takes_a_dictionary(network, scan):
    found = AutocastInferer(SliceWindowInferer(window=24, beta=1.5), dtype="bfloat16")(scan, network)
    assert {v.dtype for v in found.values()} == {torch.float32}


@pytest.mark.parametrize("options", [{"beta": 1.0}, {"batch_size": 0}])
def test_settings_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match="beta must be above 1"):
        SliceWindowInferer(**options)
