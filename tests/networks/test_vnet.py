import pytest
import torch

from hemorrhage.networks import VNet


@pytest.mark.parametrize(
    ("dims", "tied", "parameters"),
    [(3, True, 22_546_101), (3, False, 65_171_861), (2, True, 4_745_333), (2, False, 13_271_893)],
)
def test_parameter_counts_are_those_of_the_released_code_and_the_paper(dims, tied, parameters):
    with torch.device("meta"):
        net = VNet(spatial_dims=dims, tied=tied)
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize(("dims", "shape"), [(3, (16, 32, 48)), (2, (32, 48))])
def test_output_has_the_input_grid(dims, shape):
    net = VNet(spatial_dims=dims, width=4, in_channels=2, out_channels=3)
    assert net(torch.zeros(2, 2, *shape)).shape == (2, 3, *shape)


def test_refuses_a_size_that_it_would_return_shrunk():
    with pytest.raises(ValueError, match=r"multiple of 16.*\(16, 16, 20\)"):
        VNet(width=2)(torch.zeros(1, 1, 16, 16, 20))


def test_starts_near_its_prior_on_unit_input():
    torch.manual_seed(0)
    net = VNet(width=8, prior=0.02).eval()
    with torch.no_grad():
        p = net(torch.rand(1, 1, 32, 32, 32)).sigmoid()
    assert 0.002 < p.mean() < 0.15
    assert p.std() < 0.1


def test_every_parameter_learns():
    torch.manual_seed(0)
    for tied in (True, False):
        net = VNet(width=2, tied=tied, dropout=0.0)
        net(torch.rand(2, 1, 16, 16, 16)).square().sum().backward()
        dead = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        assert not dead


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    net, x = VNet(width=4, dropout=0.5), torch.rand(1, 1, 16, 16, 16)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))
