import pytest
import torch

from hemorrhage.networks import slice_unet


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
