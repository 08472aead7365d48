"""Several trainings of one network: their mean, their file, and what reads it."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import torch
from conftest import ROOT

from hemorrhage.errors import ScanError
from hemorrhage.networks import MeanOfNetworks, PatchFCN, network_of_weights
from hemorrhage.weights import averaged_weights, joined_weights, load_weights, publish_weights, read_weights


class Says(torch.nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        return self.answer


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_probabilities_are_averaged_and_not_logits(channels):
    torch.manual_seed(0)
    answers = [torch.randn(2, channels, 3, 4) * 20 for _ in range(3)]
    found = MeanOfNetworks([Says(a) for a in answers])(None)
    odds = (lambda a: a.double().softmax(1)) if channels > 1 else (lambda a: a.double().sigmoid())
    assert torch.allclose(odds(found), sum(odds(a) for a in answers) / 3, atol=1e-6)
    assert torch.isfinite(found).all()


def test_two_that_are_sure_of_the_opposite_answer_one_half():
    found = MeanOfNetworks([Says(torch.full((1, 1, 1), 200.0)), Says(torch.full((1, 1, 1), -200.0))])(None)
    assert found.item() == pytest.approx(0, abs=1e-4)


def test_patches_are_averaged_beside_pixels():
    torch.manual_seed(0)
    networks = [PatchFCN(backbone="drn_d_22", width=0.0625, patch_branch=True).eval() for _ in range(2)]
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        mean, *single = (n(x) for n in (MeanOfNetworks(networks), *networks))
    for key, axis in (("pixels", 1), ("patches", -1)):
        assert torch.allclose(mean[key].softmax(axis), sum(s[key].softmax(axis) for s in single) / 2, atol=1e-6)


def test_a_mean_of_none_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        MeanOfNetworks([])


@pytest.fixture
def trained(tmp_path):
    """Three trainings of a linear layer, each with its record."""
    for n in range(3):
        torch.manual_seed(n)
        folder = tmp_path / str(n)
        digest = publish_weights(torch.nn.Linear(3, 2).state_dict(), folder / "model.pt")
        record = {"system": "slice_unet", "configs": ["train"], "data": "phantoms alone", "seed": n, "sha256": digest}
        (folder / "record.json").write_text(json.dumps({**record, "minutes_of_epochs": 10.0 + n, "parameters": 8}))
        pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.0 + n], "seconds": 300.0}).to_csv(
            folder / "curves.csv", index=False
        )
    return [tmp_path / f"{n}/model.pt" for n in range(3)]


def join(*arguments):
    command = [sys.executable, str(ROOT / "scripts/join_weights.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_file_of_several_is_read_as_their_mean_and_trained_on_from_the_first(trained, tmp_path):
    out = tmp_path / "joined"
    out.mkdir()
    (out / "calibration.json").write_text("{}")
    done = join(out, *trained)
    assert done.returncode == 0, done.stderr
    assert not (out / "calibration.json").exists()
    network = network_of_weights(torch.nn.Linear(3, 2), out / "model.pt")
    digest = load_weights(network, out / "model.pt")
    x = torch.rand(5, 3)
    singles = []
    for path in trained:
        singles.append(torch.nn.Linear(3, 2))
        load_weights(singles[-1], path)
    assert torch.allclose(network(x).softmax(1), sum(s(x).softmax(1) for s in singles) / 3, atol=1e-6)
    first = torch.nn.Linear(3, 2)
    assert load_weights(first, out / "model.pt", first_member=True) == digest
    assert torch.equal(first.weight, singles[0].weight)
    with pytest.raises(ScanError, match="E_CHECKPOINT"):
        load_weights(torch.nn.Linear(3, 2), out / "model.pt")

    record = json.loads((out / "record.json").read_text())
    assert record["sha256"] == digest
    assert record["minutes_of_epochs"] == 33.0
    assert record["parameters"] == 24
    assert [m["seed"] for m in record["members"]] == [0, 1, 2]
    assert list(pd.read_csv(out / "curves.csv")["member"]) == [1, 1, 2, 2, 3, 3]


def test_averaged_weights_are_one_network_and_a_step_of_its_record(trained, tmp_path):
    out = tmp_path / "joined"
    done = join(out, *trained[:2], "--average")
    assert done.returncode == 0, done.stderr
    network = torch.nn.Linear(3, 2)
    assert network_of_weights(network, out / "model.pt") is network
    digest = load_weights(network, out / "model.pt")
    before, after = (read_weights(path)[0] for path in trained[:2])
    for name, tensor in network.state_dict().items():
        assert torch.allclose(tensor, (before[name].float() + after[name].float()) / 2, atol=1e-3)

    record = json.loads((out / "record.json").read_text())
    assert (record["sha256"], record["parameters"], record["minutes_of_epochs"]) == (digest, 8, 11.0)
    assert record["steps"][0]["seed"] == 1
    digests = [(path.parent / "model.pt.sha256").read_text().split()[0] for path in trained[:2]]
    assert record["steps"][1] == {"mean_of_weights": digests, "minutes_of_epochs": 0.0}
    assert list(pd.read_csv(out / "curves.csv")["train_loss"]) == [2.0, 2.0]

    assert averaged_weights([{"count": torch.tensor(3)}, {"count": torch.tensor(5)}])["count"] == 5


def test_one_training_and_a_file_that_is_not_there_leave_the_network_as_it_is(trained, tmp_path):
    network = torch.nn.Linear(3, 2)
    assert network_of_weights(network, trained[0]) is network
    assert network_of_weights(network, tmp_path / "none.pt") is network


def test_what_cannot_be_joined_is_refused_and_nothing_written(trained, tmp_path):
    publish_weights(joined_weights([read_weights(p)[0] for p in trained]), tmp_path / "joined.pt")
    publish_weights(torch.nn.Linear(4, 2).state_dict(), tmp_path / "other.pt")
    for files, cause in (
        ([trained[0], trained[0]], "there twice"),
        ([trained[0], tmp_path / "joined.pt"], "several trainings already"),
        ([trained[0], tmp_path / "other.pt"], "another network than model.pt"),
        ([trained[0], tmp_path / "none.pt"], "E_WEIGHTS"),
        ([trained[0]], "two trainings or more"),
    ):
        done = join(tmp_path / "out", *files)
        assert done.returncode != 0
        assert cause in " ".join(done.stderr.replace("│", " ").split())
        assert not (tmp_path / "out").exists()
