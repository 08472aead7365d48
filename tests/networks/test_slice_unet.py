import pytest
import torch

from hemorrhage.networks import MeanOfNetworks, slice_unet


def test_the_untrained_network_expects_rare_blood():
    torch.manual_seed(0)
    net = slice_unet(channels=(4, 8, 8), prior=0.01).eval()
    with torch.no_grad():
        logits = net(torch.zeros(2, 3, 16, 24))
    assert logits.shape == (2, 2, 16, 24)
    assert logits.softmax(1)[:, 1].mean() == pytest.approx(0.01, rel=0.5)


def test_all_subtypes_together_have_the_prior():
    torch.manual_seed(0)
    net = slice_unet(classes=5, channels=(4, 8, 8), prior=0.05).eval()
    with torch.no_grad():
        blood = 1 - net(torch.zeros(1, 3, 16, 16)).softmax(1)[:, 0]
    assert blood.mean() == pytest.approx(0.05, rel=0.5)
    with pytest.raises(ValueError, match="prior"):
        slice_unet(prior=0.0)


def test_members_answer_the_mean_of_their_probabilities():
    torch.manual_seed(0)
    net = slice_unet(channels=(4, 8, 8), members=3).eval()
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        alone = torch.stack([member(x).softmax(1) for member in net.members])
        together = net(x).softmax(1)
    assert (alone[0] - alone[1]).abs().max() > 1e-4  # each has first weights of its own
    assert torch.allclose(together, alone.mean(0), atol=1e-6)


def test_a_mean_of_equal_networks_is_the_network_and_of_none_an_error():
    torch.manual_seed(0)
    one = slice_unet(channels=(4, 8, 8)).eval()
    x = 50 * torch.randn(1, 3, 16, 16)  # logits far from zero stay finite
    with torch.no_grad():
        assert torch.allclose(MeanOfNetworks([one, one])(x).softmax(1), one(x).softmax(1), atol=1e-5)
    with pytest.raises(ValueError, match="at least one"):
        MeanOfNetworks([])
    with pytest.raises(ValueError, match="members"):
        slice_unet(members=0)
