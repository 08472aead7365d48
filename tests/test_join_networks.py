"""Networks that were trained one by one become one file of weights."""

import json
import subprocess
import sys

import torch
from conftest import ROOT

from hemorrhage.networks import slice_unet
from hemorrhage.weights import load_weights

SMALL = {"channels": (4, 8, 8)}


def join(folder, *words):
    command = [sys.executable, "-W", "ignore", str(ROOT / "scripts/join_networks.py"), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def trained(path, seed, **kind):
    torch.manual_seed(seed)
    network = slice_unet(**{**SMALL, **kind}).half().float().eval()  # as half precision keeps it
    torch.save(network.state_dict(), path)
    return network


def test_joined_weights_answer_the_mean(tmp_path):
    one, two = trained(tmp_path / "one.pt", 1), trained(tmp_path / "two.pt", 2)
    (tmp_path / "record.json").write_text('{"seed": 1}')
    (tmp_path / "curves.csv").write_text("epoch,train_loss\n1,0.9\n")
    (tmp_path / "both").mkdir()
    (tmp_path / "both/calibration.json").write_text("{}")  # of weights that were there before
    done = join(tmp_path, "both", "one.pt", "two.pt")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "both/calibration.json").exists()

    network = slice_unet(**SMALL, members=2).eval()
    found = load_weights(network, tmp_path / "both/model.pt")
    x = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(network(x).softmax(1), (one(x).softmax(1) + two(x).softmax(1)) / 2, atol=1e-5)
    record = json.loads((tmp_path / "both/record.json").read_text())
    assert record["sha256"] == found == (tmp_path / "both/model.pt.sha256").read_text().split()[0]
    assert [m["seed"] for m in record["members"]] == [1, 1]
    assert (tmp_path / "both/curves.csv").read_text() == "epoch,train_loss,member\n1,0.9,1\n1,0.9,2\n"
    assert record["members"][0]["sha256"] != record["members"][1]["sha256"]


def test_what_cannot_be_joined_is_said_and_nothing_written(tmp_path):
    trained(tmp_path / "one.pt", 1)
    trained(tmp_path / "wide.pt", 1, channels=(4, 8, 16))
    for words, says in (
        (["one.pt"], "two files"),
        (["one.pt", "wide.pt"], "not of one make"),
        (["one.pt", "no.pt"], "error[E_WEIGHTS] no.pt"),
    ):
        done = join(tmp_path, "both", *words)
        assert done.returncode == 2, words
        assert says in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "both").exists()
