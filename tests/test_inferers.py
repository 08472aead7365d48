import pytest
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer

from hemorrhage.inferers import AutocastInferer, fast_dtype


def test_bfloat16_is_asked_for_and_the_result_is_float32():
    seen = []

    def network(x):
        seen.append(torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu"))
        return torch.nn.functional.conv2d(x, torch.ones(1, 1, 3, 3))

    x = torch.rand(1, 1, 8, 8)
    out = AutocastInferer(SimpleInferer(), "bfloat16")(x, network)
    assert seen == [torch.bfloat16]
    assert out.dtype == torch.float32
    exact = AutocastInferer(SimpleInferer(), "float32")(x, network)
    assert seen[-1] is False
    assert 0 < (out - exact).abs().max() < 0.1


def test_it_wraps_a_sliding_window():
    inner = SlidingWindowInferer((8, 8), overlap=0.5)
    x = torch.rand(1, 1, 20, 20)
    assert torch.allclose(AutocastInferer(inner, "float32")(x, lambda w: 2 * w), 2 * x, atol=1e-6)


def test_a_wrong_type_is_refused_with_what_is_right():
    with pytest.raises(ValueError, match="bfloat16"):
        AutocastInferer(SimpleInferer(), "int8")


def test_the_fast_type_is_one_of_two():
    assert fast_dtype("cpu") in (torch.bfloat16, torch.float32)
