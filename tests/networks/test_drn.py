"""Dilated residual networks as published: parameters and shapes."""

import pytest
import torch
from torch import nn

from hemorrhage.networks.drn import drn_d_22, drn_d_38, drn_d_54


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# The published totals (timm, torchvision-style checkpoints) less the classifier's 513 x 1000.
@pytest.mark.parametrize(
    ("make", "published"), [(drn_d_22, 16_393_752), (drn_d_38, 26_501_912), (drn_d_54, 35_809_176)]
)
def test_parameters_are_those_of_the_published_networks(make, published):
    with torch.device("meta"):
        assert parameters(make()) == published - 513_000


def test_drn_d_38_layer_for_layer():
    with torch.device("meta"):
        convolutions = [m for m in drn_d_38().modules() if isinstance(m, nn.Conv2d)]
    main = [c for c in convolutions if c.kernel_size != (1, 1)]
    # Stem, levels 1 and 2, 3 + 4 + 6 + 3 blocks of two, levels 7 and 8: 37 convolutions; the classifier was the 38th.
    assert len(main) == 1 + 2 + 2 * (3 + 4 + 6 + 3) + 2
    assert [c.dilation[0] for c in main] == [1] * 3 + [1] * 14 + [2] * 12 + [4] * 6 + [2] + [1]
    assert [i for i, c in enumerate(main) if c.stride == (2, 2)] == [2, 3, 9]
    assert main[0].kernel_size == (7, 7)
    assert [c.out_channels for c in (main[0], main[2], main[3], main[9], main[17], main[29], main[-1])] == [
        16, 32, 64, 128, 256, 512, 512,
    ]  # fmt: skip
    assert len(convolutions) - len(main) == 4  # a shortcut where a level changes size or channels


@pytest.mark.parametrize("make", [drn_d_22, drn_d_38, drn_d_54])
@pytest.mark.parametrize("size", [(240, 240), (33, 57), (1, 9)])
def test_features_are_an_eighth_rounded_up(make, size):
    with torch.device("meta"):
        features = make()(torch.empty(2, 3, *size))
    assert features.shape == (2, 512, -(-size[0] // 8), -(-size[1] // 8))


def test_width_and_stride():
    narrow = drn_d_22(width=0.25, stride=4)
    assert narrow.out_channels == 128
    assert narrow(torch.zeros(1, 3, 32, 40)).shape == (1, 128, 8, 10)
    # Squared in the channels, but for the layers at the edges.
    assert parameters(narrow) == pytest.approx(15_880_752 / 16, rel=0.01)


def test_gradients_reach_every_level_of_a_narrow_network():
    """Also where few channels once made the gradient of a strided 1x1 convolution write beyond its memory."""
    network = drn_d_22(width=0.25).to(memory_format=torch.channels_last)
    x = torch.rand(4, 3, 48, 48).contiguous(memory_format=torch.channels_last)
    for _ in range(3):
        network(x).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_shortcut_reads_every_other_pixel():
    shortcut = drn_d_22().levels[3][0].shortcut
    whole = nn.Conv2d(32, 64, 1, stride=2, bias=False)
    whole.weight = shortcut[1].weight
    x = torch.rand(1, 32, 9, 8)
    assert torch.allclose(shortcut[:2](x), whole(x), atol=1e-6)


@pytest.mark.parametrize("options", [{"width": 0.01}, {"stride": 16}])
def test_impossible_networks_are_refused(options):
    with pytest.raises(ValueError, match=r"width|stride"):
        drn_d_22(**options)
