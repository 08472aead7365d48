"""Weights' gradients in bfloat16 on a processor, where a kernel is larger than what it reads."""

import pytest
import torch
from monai.inferers import SimpleInferer

from hemorrhage.inferers import AutocastInferer
from hemorrhage.inferers.small_convolutions import SmallConvolutionsInFloat32


def gradient(network, images, dtype):
    """The gradient of the weights of ``network``, allocated where numbers lay that are none."""
    network.zero_grad()
    del [torch.full((2**size,), float("nan")) for size in range(8, 20)][:]
    AutocastInferer(SimpleInferer(), dtype)(images, network).square().sum().backward()
    return network.weight.grad.clone()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (torch.nn.Conv3d(16, 16, 5, padding=2), 4),  # the deepest stage of a VNet that reads 64 voxels
        (torch.nn.Conv3d(16, 16, 3, padding=1), 2),
        (torch.nn.Conv2d(128, 128, 5, padding=2), 1),
        (torch.nn.ConvTranspose3d(16, 16, 5, 2, padding=2, output_padding=1), 2),
        (torch.nn.Conv3d(16, 16, 5, padding=2), 6),  # larger than its kernel
    ],
)
def test_the_gradient_is_that_of_float32(layer, size, compiled):
    torch.manual_seed(0)
    dims = layer.weight.dim() - 2
    images = torch.randn(2, layer.weight.shape[0], *[size] * dims)
    network = torch.compile(layer) if compiled else layer
    for _ in range(3):
        exact, mixed = (gradient(network, images, dtype) for dtype in ("float32", "bfloat16"))
        assert (exact - mixed).norm() < 0.02 * exact.norm()


def test_only_convolutions_larger_than_their_input_are_in_float32():
    network = torch.nn.Conv3d(2, 2, (3, 3, 1), padding="same")
    with torch.autocast("cpu", torch.bfloat16), SmallConvolutionsInFloat32():
        assert network(torch.rand(1, 2, 3, 3, 1)).dtype == torch.bfloat16
        assert network(torch.rand(1, 2, 3, 2, 1)).dtype == torch.float32
        assert network(torch.rand(2, 3, 2, 1)).dtype == torch.float32  # without a batch axis
        assert network(torch.rand(2, 3, 3, 1)).dtype == torch.bfloat16
        assert torch.nn.functional.conv1d(torch.rand(1, 1, 2), torch.rand(1, 1, 3), None, 1, 1).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(1, 2, 3, 2, 1)).dtype == torch.bfloat16
