import math

import pytest
import torch

from hemorrhage.transforms.other_scanner import RandOtherScannerd

NONE = {"contrast": 0.0, "sharpen": 0.0, "shading": 0.0, "noise": (1e-9, 1e-9), "each": 1.0}


def shown(image, seed=0, **options):
    show = RandOtherScannerd("image", **{**NONE, **options})
    show.set_random_state(seed)
    return show({"image": image})["image"]


def test_outside_and_saturated_pixels_stay():
    image = torch.rand(3, 32, 32) * 0.8 + 0.1
    image[:, :4] = 0.0
    image[:, 4:8] = 1.0
    image[:, 8:10] = 1.05  # a factor on the intensity came before
    after = shown(image, contrast=0.3, sharpen=1.0, shading=0.1, noise=(0.05, 0.05))
    assert torch.equal(after[:, :10], image[:, :10])
    assert (after[:, 10:] != image[:, 10:]).float().mean() > 0.9
    assert after[:, 10:].min() > 0
    assert after[:, 10:].max() <= 1


def test_noise_has_the_deviation_asked_for_and_differs_between_slices():
    image = torch.full((3, 96, 96), 0.5)
    noise = shown(image, noise=(0.03, 0.03)) - image
    assert float(noise.std()) == pytest.approx(0.03, rel=0.02)
    assert abs(float((noise[0] * noise[1]).mean())) < 0.1 * 0.03**2
    levels = torch.stack([(shown(image, seed, noise=(0.01, 0.08)) - image).std() for seed in range(60)])
    assert 0.0095 < float(levels.min()) < 0.014
    assert 0.06 < float(levels.max()) < 0.081
    assert float(levels.log().mean().exp()) == pytest.approx(math.sqrt(0.01 * 0.08), rel=0.2)


def test_contrast_is_a_factor_around_gray_matter():
    image = torch.tensor([0.35, 0.45, 0.55]).reshape(1, 1, 3).expand(3, 8, 3).contiguous()
    image = torch.nn.functional.pad(image, (4, 4), mode="replicate")
    factors = set()
    for seed in range(60):
        after = shown(image, seed, contrast=0.25)[0, 4, 4:7]
        assert float(after[1]) == pytest.approx(0.45, abs=1e-5)
        assert float(after[2] - 0.45) == pytest.approx(float(0.45 - after[0]), abs=1e-5)
        factors.add(round(float(after[2] - 0.45) / 0.1, 3))
    assert math.exp(-0.25) <= min(factors) < 0.82
    assert 1.22 < max(factors) <= math.exp(0.25)


def test_detail_changes_edges_both_ways_and_flat_regions_never():
    image = torch.full((1, 40, 40), 0.4)
    image[..., 20:] = 0.6
    steps = []
    for seed in range(40):
        after = shown(image, seed, sharpen=0.8)[0, 20]
        assert torch.allclose(after[:15], image[0, 20, :15], atol=1e-5)
        steps.append(float(after[20] - after[19]))
    assert min(steps) < 0.17
    assert max(steps) > 0.23


def test_shading_is_smooth():
    image = torch.full((1, 64, 64), 0.5)
    shade = shown(image, 3, shading=0.1)[0] - 0.5
    assert float(shade.abs().max()) > 0.01
    assert float((shade[1:] - shade[:-1]).abs().max()) < 0.02


def test_some_items_stay_as_they_are_and_a_seed_repeats_itself():
    image = torch.full((3, 16, 16), 0.5)
    show = RandOtherScannerd("image", each=1.0, prob=0.5)
    show.set_random_state(0)
    same = sum(torch.equal(show({"image": image})["image"], image) for _ in range(200))
    assert 70 < same < 130
    assert torch.equal(*(shown(image, 5, contrast=0.2, noise=(0.02, 0.05)) for _ in range(2)))


def test_noise_of_no_size_is_refused():
    with pytest.raises(ValueError, match="noise must be a range"):
        RandOtherScannerd("image", noise=(0.0, 0.1))
