import pytest
import torch
from conftest import ROOT
from monai.bundle import ConfigParser
from monai.inferers import SimpleInferer

from hemorrhage.inferers import MirroredInferer


def test_a_mirrored_scan_gives_the_mirrored_answer():
    """A network that sees only what lies to its left is made fair to both sides."""
    x = torch.rand(2, 3, 6, 5, 4, generator=torch.Generator().manual_seed(0))

    def network(scan):
        return scan.cumsum(2)[:, :2]

    inferer = MirroredInferer(SimpleInferer())
    answer = inferer(x, network)
    assert torch.allclose(inferer(x.flip(2), network), answer.flip(2))
    # what lies left of a voxel and what lies right of it, itself in both: half of the row and itself
    assert torch.allclose(answer, (x.sum(2, keepdim=True) + x)[:, :2] / 2)


def test_scores_of_slices_are_averaged_without_being_mirrored():
    def network(scan):
        first = scan[:, 0, 0].mean(1)
        return {"pixels": scan, "patches": first[:, None]}

    x = torch.zeros(1, 1, 2, 3, 3)
    x[:, :, 0] = 1.0
    answer = MirroredInferer(SimpleInferer())(x, network)
    assert torch.equal(answer["pixels"], x)
    assert answer["patches"].shape == (1, 1, 3)
    assert torch.equal(answer["patches"], torch.full((1, 1, 3), 0.5))


@pytest.mark.parametrize("base", ["inference", "train"])
def test_the_small_vnet_answers_both_sides_alike(base):
    parser = ConfigParser()
    parser.read_config([str(ROOT / "configs" / f"{name}.yaml") for name in (base, "vnet_small")])
    parser["precision"] = "float32"
    inferer = parser.get_parsed_content("inferer")
    x = torch.rand(1, 1, 6, 5, 4, generator=torch.Generator().manual_seed(0))
    answer = inferer(x, lambda scan: scan.cumsum(2))
    assert torch.allclose(inferer(x.flip(2), lambda scan: scan.cumsum(2)), answer.flip(2))
