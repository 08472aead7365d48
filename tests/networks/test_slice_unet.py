import pytest
import torch

from hemorrhage.networks import slice_unet, with_subtypes


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


def test_weights_for_subtypes_say_the_same_of_any_hemorrhage():
    torch.manual_seed(0)
    known, named = slice_unet(channels=(4, 8, 8)), slice_unet(classes=5, channels=(4, 8, 8))
    for _ in range(3):  # statistics and weights of a batch normalization that are not those of the start
        known.train()(torch.randn(4, 3, 16, 24) * 3 + 1)
    with torch.no_grad():
        for parameter in known.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    named.load_state_dict(with_subtypes(known.state_dict(), 5))
    x = torch.randn(2, 3, 16, 24)
    with torch.no_grad():
        before, after = known.eval()(x).softmax(1), named.eval()(x).softmax(1)
    assert before[:, 1].std() > 0.01
    torch.testing.assert_close(after[:, 0], before[:, 0], rtol=1e-4, atol=1e-5)
    for n in range(1, 6):
        torch.testing.assert_close(after[:, n], before[:, 1] / 5, rtol=1e-3, atol=1e-5)


def test_weights_that_cannot_be_given_subtypes_are_refused():
    with pytest.raises(ValueError, match="6 classes"):
        with_subtypes(slice_unet(classes=5, channels=(4, 8)).state_dict(), 5)
    with pytest.raises(ValueError, match="no weights of slice_unet"):
        with_subtypes({"a": torch.zeros(2)}, 5)
