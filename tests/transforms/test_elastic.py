import torch
from monai.data import MetaTensor
from scipy import ndimage

from hemorrhage.transforms.elastic import RandElasticInPlaned


def ball():
    grid = torch.stack(torch.meshgrid(*[torch.arange(n) - n / 2 for n in (48, 40, 12)], indexing="ij"))
    return (grid.square().sum(0, keepdim=True) < 10**2).float()


def bend(seed, **kwargs):
    transform = RandElasticInPlaned(["image", "label"], mode=["bilinear", "nearest"], prob=1.0, **kwargs)
    transform.set_random_state(seed)
    image = MetaTensor(ball(), affine=torch.diag(torch.tensor([1.5, 1.5, 1.5, 1.0])))
    return transform({"image": image, "label": ball().to(torch.uint8)})


def test_image_and_label_bend_alike():
    out = bend(1, magnitude=(2.0, 2.0))
    both = (out["image"][0] > 0.5) & (out["label"][0] > 0)
    either = (out["image"][0] > 0.5) | (out["label"][0] > 0)
    assert both.sum() / either.sum() > 0.97
    assert (out["image"] - ball()).abs().max() > 0.5
    assert out["label"].dtype == torch.uint8
    assert set(out["label"].unique().tolist()) == {0, 1}


def test_nothing_moves_between_slices():
    out = bend(2, magnitude=(3.0, 3.0))
    filled = [bool(s.any()) for s in out["label"][0].unbind(-1)]
    assert filled == [bool(s.any()) for s in ball()[0].unbind(-1)]
    flat = torch.zeros(1, 48, 40, 12)
    flat[..., 5] = 1
    transform = RandElasticInPlaned("image", prob=1.0, magnitude=(3.0, 3.0)).set_random_state(2)
    bent = transform({"image": flat})["image"]
    assert bent[..., :5].abs().max() == 0
    assert bent[..., 6:].abs().max() == 0


def test_every_slice_bends_alike():
    column = torch.zeros(1, 48, 40, 12)
    column[:, 20:28, 16:24] = 1
    transform = RandElasticInPlaned("image", prob=1.0, magnitude=(3.0, 3.0)).set_random_state(4)
    bent = transform({"image": column})["image"][0]
    assert torch.allclose(bent, bent[..., :1].expand_as(bent), atol=1e-6)


def test_the_seed_decides():
    a, b, c = bend(7)["image"], bend(7)["image"], bend(8)["image"]
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_prob_zero_changes_nothing():
    out = RandElasticInPlaned("image", prob=0.0).set_random_state(0)({"image": ball()})
    assert torch.equal(out["image"], ball())


def test_it_is_smooth():
    out = bend(3, magnitude=(1.0, 1.0))["label"][0].numpy()
    assert ndimage.label(out)[1] == 1
