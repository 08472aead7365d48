import pytest
import torch

from hemorrhage.losses import PatchFCNLoss
from hemorrhage.networks import named_slice_unet, slice_unet, with_names

CHANNELS = (4, 8, 8)


def known_network():
    """A network of blood whose statistics and weights are not those of the start."""
    torch.manual_seed(0)
    known = slice_unet(channels=CHANNELS)
    for _ in range(3):
        known.train()(torch.randn(4, 3, 16, 24) * 3 + 1)
    with torch.no_grad():
        for parameter in known.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return known.eval()


@pytest.mark.parametrize("size", [(16, 24), (20, 28), (8, 8)])
def test_classes_are_exclusive_and_any_hemorrhage_is_what_the_first_network_says(size):
    known, named = known_network(), named_slice_unet(channels=CHANNELS).eval()
    named.load_state_dict(with_names(known.state_dict(), named))
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        before, after = known(x).softmax(1), named(x)
    assert after.shape == (2, 6, *size)
    assert before[:, 1].std() > 0.01
    torch.testing.assert_close(after.exp().sum(1), torch.ones(2, *size))
    torch.testing.assert_close(after[:, 0].exp(), before[:, 0])


def test_untrained_each_subtype_is_about_as_likely():
    torch.manual_seed(0)
    named = named_slice_unet(classes=4, channels=CHANNELS, prior=0.02).eval()
    with torch.no_grad():
        p = named(torch.zeros(1, 3, 16, 16)).exp().mean((0, 2, 3))
    assert p[1:].sum() == pytest.approx(0.02, rel=0.5)
    assert (p[1:] / p[1:].sum()).tolist() == pytest.approx([0.25] * 4, abs=0.1)
    with pytest.raises(ValueError, match="at least 2"):
        named_slice_unet(classes=1)


@pytest.mark.parametrize("learns_blood", [False, True])
def test_training_names_leaves_blood_alone_unless_asked(learns_blood):
    torch.manual_seed(0)
    named = named_slice_unet(channels=CHANNELS, learns_blood=learns_blood).train()
    before = {k: t.clone() for k, t in named.state_dict().items()}
    optimizer = torch.optim.AdamW(named.parameters(), lr=0.01)
    label = torch.randint(0, 6, (4, 1, 16, 16))
    for _ in range(2):
        optimizer.zero_grad()
        PatchFCNLoss(dice=1.0, names=1.0)(named(torch.randn(4, 3, 16, 16)), label).backward()
        optimizer.step()
    changed = {k.split(".")[0] for k, t in named.state_dict().items() if not torch.equal(t, before[k])}
    assert changed == ({"blood", "names"} if learns_blood else {"names"})


def test_names_start_from_what_is_known_of_blood():
    known, named = known_network(), named_slice_unet(channels=CHANNELS)
    made = with_names(known.state_dict(), named)
    first = "model.0.conv.unit0.conv.weight"
    assert torch.equal(made[f"names.{first}"], known.state_dict()[first])
    assert len(made["names.model.2.1.conv.unit0.conv.bias"]) == 5
    for other in (slice_unet(classes=5, channels=CHANNELS), slice_unet(in_channels=4, channels=CHANNELS)):
        with pytest.raises(ValueError, match="no weights of any hemorrhage"):
            with_names(other.state_dict(), named)
    with pytest.raises(ValueError, match="no weights of any hemorrhage"):
        with_names({"a": torch.zeros(2)}, named)


def test_names_of_another_training_are_taken_as_they_are():
    known, named, other = known_network(), named_slice_unet(channels=CHANNELS), named_slice_unet(channels=CHANNELS)
    named.load_state_dict(with_names(known.state_dict(), named, other.state_dict()))
    assert all(torch.equal(t, other.names.state_dict()[k]) for k, t in named.names.state_dict().items())
    assert all(torch.equal(t, known.state_dict()[k]) for k, t in named.blood.state_dict().items())
    with pytest.raises(ValueError, match="no weights that name subtypes"):
        with_names(known.state_dict(), named, known.state_dict())
