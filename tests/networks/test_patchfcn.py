"""PatchFCN's variants: outputs, first losses, what freezing stops."""

import math

import pytest
import torch

from hemorrhage.losses import PatchFCNLoss
from hemorrhage.networks import PatchFCN
from hemorrhage.networks.drn import drn_d_38

SMALL = {"backbone": "drn_d_22", "width": 0.125}


def test_parameters_of_the_paper_network():
    with torch.device("meta"):
        backbone = sum(p.numel() for p in drn_d_38().parameters())
    assert backbone == 25_988_912
    network = PatchFCN()
    head = 512 * 2 + 2 + 2 * 16 * 16  # 1x1 convolution; one up-convolution of each class
    assert sum(p.numel() for p in network.parameters()) == backbone + head


@pytest.mark.parametrize("classes", [1, 5])
@pytest.mark.parametrize("head", ["scores", "features"])
@pytest.mark.parametrize("size", [(48, 48), (37, 61)])
def test_outputs(classes, head, size):
    network = PatchFCN(classes, head=head, patch_branch=True, **SMALL).eval()
    answer = network(torch.rand(2, 3, *size))
    assert answer["pixels"].shape == (2, classes + 1, *size)
    assert answer["patches"].shape == (2, 1 if classes == 1 else 6, 2)  # 2 for any alone, 2 (N + 1) in all with more
    assert PatchFCN(classes, head=head, **SMALL).eval()(torch.rand(1, 3, *size)).shape == (1, classes + 1, *size)


@pytest.mark.parametrize("classes", [1, 5])
@pytest.mark.parametrize("head", ["scores", "features"])
@pytest.mark.parametrize("patch_branch", [False, True])
def test_first_loss_is_near_log_2(classes, head, patch_branch):
    torch.manual_seed(0)
    network = PatchFCN(classes, head=head, patch_branch=patch_branch, **SMALL)
    label = torch.zeros(4, 1, 48, 48)  # no hemorrhage: the weight of positives plays no part
    loss = PatchFCNLoss()(network(torch.rand(4, 3, 48, 48)), label)
    terms = 2 if patch_branch else 1
    assert float(loss.detach()) == pytest.approx(terms * math.log(2), rel=0.15)


def test_prior_is_what_the_untrained_network_answers():
    torch.manual_seed(0)
    network = PatchFCN(5, head="features", prior=0.01, **SMALL).eval()
    background = network(torch.rand(1, 3, 48, 48)).softmax(1)[:, 0]
    assert float(background.mean()) == pytest.approx(0.99, abs=0.003)


def test_up_convolution_starts_as_linear_interpolation():
    network = PatchFCN(**SMALL)
    grow = network.pixels[1]
    flat = grow(torch.ones(1, 2, 6, 6))
    assert torch.allclose(flat[:, :, 8:-8, 8:-8], torch.ones(1), atol=1e-6)


def test_what_is_frozen_stands_still():
    network = PatchFCN(patch_branch=True, **SMALL)
    network.freeze("backbone", "pixels")
    network.train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    optimizer = torch.optim.SGD((p for p in network.parameters() if p.requires_grad), 0.1)
    answer = network(torch.rand(4, 3, 48, 48))
    torch.nn.functional.cross_entropy(answer["patches"].flatten(0, 1), torch.tensor([0, 1, 1, 0])).backward()
    optimizer.step()
    changed = {k.split(".")[0] for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"patches"}
    network.freeze()
    network.train()
    assert all(p.requires_grad for p in network.parameters())
    assert all(m.training for m in network.modules())


@pytest.mark.parametrize("options", [{"backbone": "resnet"}, {"head": "x"}, {"classes": 0}, {"prior": 1.0}])
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        PatchFCN(**{**SMALL, **options})


def test_freezing_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match="no part named"):
        PatchFCN(**SMALL).freeze("patches_")
