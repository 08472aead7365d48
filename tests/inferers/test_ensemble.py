"""The mean of networks, each with its own weights."""

import pytest
import torch
from monai.inferers import SimpleInferer

from hemorrhage.errors import ScanError
from hemorrhage.inferers import SliceWindowInferer
from hemorrhage.inferers.ensemble import EnsembleInferer, networks_of
from hemorrhage.networks import PatchFCN
from hemorrhage.report.ensemble_record import EnsembleRecord


class Constant(torch.nn.Module):
    def __init__(self, value: float):
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(value))

    def forward(self, x):
        return x + self.value


def test_mean_of_networks():
    found = EnsembleInferer(SimpleInferer(), [Constant(1.0), Constant(2.0), Constant(6.0)])(torch.zeros(2, 3), None)
    assert torch.equal(found, torch.full((2, 3), 3.0))


def test_each_copy_has_the_weights_of_its_file(tmp_path):
    for n in (1, 2):
        torch.save({"value": torch.tensor(float(n))}, tmp_path / f"{n}.pt")
    original = Constant(0.0)
    networks = networks_of(original, [str(tmp_path / "1.pt"), str(tmp_path / "2.pt")])
    assert [float(n.value) for n in networks] == [1.0, 2.0]
    assert float(original.value) == 0.0
    assert not any(n.training for n in networks)
    with pytest.raises(ScanError, match="E_WEIGHTS"):
        networks_of(original, [str(tmp_path / "3.pt")])
    record = EnsembleRecord([str(tmp_path / "1.pt"), str(tmp_path / "2.pt")])(None)["ensemble"]
    assert [r["file"] for r in record] == ["1.pt", "2.pt"]
    assert len({r["sha256"] for r in record}) == 2


def test_probabilities_and_patch_scores_are_averaged():
    torch.manual_seed(0)
    networks = [PatchFCN(backbone="drn_d_22", width=0.0625, patch_branch=True).eval() for _ in range(2)]
    one = SliceWindowInferer(24, 1.5)
    x = torch.rand(1, 3, 30, 30, 2)
    with torch.no_grad():
        mean = EnsembleInferer(one, networks)(x, None)
        parts = [one(x, n) for n in networks]
    for key in ("pixels", "patches"):
        assert torch.allclose(mean[key], (parts[0][key] + parts[1][key]) / 2)


def test_an_empty_ensemble_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        EnsembleInferer(SimpleInferer(), [])
