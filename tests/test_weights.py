import hashlib
import os

import pytest
import torch

from hemorrhage.errors import ScanError
from hemorrhage.weights import load_weights, publish_weights, read_weights


class Runs:
    def __reduce__(self):
        return os.system, ("touch executed",)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(1)
    net = torch.nn.Linear(3, 2)
    torch.save(net.state_dict(), tmp_path / "model.pt")
    return net, tmp_path / "model.pt"


def test_every_tensor_arrives(saved):
    net, path = saved
    other = torch.nn.Linear(3, 2)
    assert load_weights(other, path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert torch.equal(other.weight, net.weight)


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(ScanError, match=r"E_WEIGHTS.*--checkpoint"):
        load_weights(torch.nn.Linear(3, 2), tmp_path / "none.pt")


def test_a_changed_file_is_refused(saved):
    _, path = saved
    path.with_name("model.pt.sha256").write_text("0" * 64 + "  model.pt\n")
    with pytest.raises(ScanError, match=r"E_WEIGHTS.*000000000000"):
        load_weights(torch.nn.Linear(3, 2), path)


def test_another_network_is_named(saved):
    with pytest.raises(ScanError, match=r"E_CHECKPOINT.*does not fit the network Linear"):
        load_weights(torch.nn.Linear(3, 3), saved[1])


def test_code_in_a_checkpoint_never_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Runs()}, tmp_path / "evil.pt")
    with pytest.raises(ScanError, match="E_CHECKPOINT"):
        load_weights(torch.nn.Linear(3, 2), tmp_path / "evil.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"no weights at all"])
def test_rubbish_is_refused(tmp_path, content):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(ScanError, match="E_CHECKPOINT"):
        load_weights(torch.nn.Linear(3, 2), tmp_path / "model.pt")


def test_published_weights_are_the_same_file_each_time_and_are_checked(tmp_path):
    content = {"w": torch.randn(3), "steps": torch.tensor(7)}
    found = publish_weights(content, tmp_path / "a/model.pt")
    assert publish_weights(content, tmp_path / "b/model.pt") == found
    kept, sha256 = read_weights(tmp_path / "a/model.pt")
    assert sha256 == found
    assert (kept["w"].dtype, kept["steps"].dtype) == (torch.float16, torch.int64)
    assert torch.allclose(kept["w"].float(), content["w"], rtol=1e-3)
    (tmp_path / "a/model.pt").write_bytes((tmp_path / "a/model.pt").read_bytes() + b" ")
    with pytest.raises(ScanError, match="E_WEIGHTS"):
        read_weights(tmp_path / "a/model.pt")


def test_a_calibration_stays_with_its_own_weights_alone(tmp_path):
    calibration = tmp_path / "calibration.json"
    for weight, kept in ((1.0, False), (1.0, True), (2.0, False)):
        calibration.write_text("of the weights that lie there")
        publish_weights({"w": torch.tensor([weight])}, tmp_path / "model.pt")
        assert calibration.exists() == kept


def test_what_half_precision_cannot_hold_is_published_whole(tmp_path):
    """A variance of 100,000 is infinite in half precision, and its channel silent without a word."""
    content = {"w": torch.ones(3), "running_var": torch.tensor([1.0, 1e5])}
    publish_weights(content, tmp_path / "model.pt")
    kept, _ = read_weights(tmp_path / "model.pt")
    assert kept["w"].dtype == torch.float16
    assert torch.equal(kept["running_var"], content["running_var"])


@pytest.mark.parametrize("name", ["weight", "running_var"])
def test_numbers_that_are_not_finite_are_neither_published_nor_loaded(tmp_path, name):
    net = torch.nn.BatchNorm1d(2)
    broken = net.state_dict()
    broken[name] = torch.tensor([1.0, float("inf")])
    with pytest.raises(ValueError, match=f"{name} holds"):
        publish_weights(broken, tmp_path / "model.pt")
    assert not (tmp_path / "model.pt").exists()
    torch.save(broken, tmp_path / "other.pt")
    with pytest.raises(ScanError, match=f"E_CHECKPOINT.*{name} holds values that are no finite"):
        load_weights(net, tmp_path / "other.pt")
