"""Reference weights: trained by one command, published with all that is needed to trust and repeat them."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import torch
from conftest import ROOT

from hemorrhage.files import sha256_of
from hemorrhage.networks import VNet
from hemorrhage.weights import load_weights

sys.path.insert(0, str(ROOT / "scripts"))
from train_reference import after_origin, keep_origin, training_configs

SMALL = {
    "network_def#width": 2,
    "spacing_mm": 6,
    "kept_phantoms": 2,
    "cases_per_epoch": 2,
    "validate#phantoms#length": 1,
}


def train(folder, *more):
    settings = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    command = [
        sys.executable, "-W", "ignore", str(ROOT / "scripts/train_reference.py"), "vnet_small", *settings,
        "--runs", "runs", "--models", "models", *more,
    ]  # fmt: skip
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_weights_are_trained_published_and_trained_on(tmp_path):
    # A start with other weights that ended before its first epoch is none of this training's history.
    (tmp_path / "runs/vnet_small").mkdir(parents=True)
    (tmp_path / "runs/vnet_small/origin.json").write_text('{"sha256": "other", "steps": []}')
    done = train(tmp_path, "--set", "max_epochs=1", "--minutes", "5", "--seed", "3")
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "models/vnet_small"
    record = json.loads((folder / "record.json").read_text())
    assert (record["seed"], record["epochs"], record["data"]) == (3, 1, "phantoms alone")
    assert record["settings"]["spacing_mm"] == "6"
    assert record["sha256"] == (folder / "model.pt.sha256").read_text().split()[0]

    network = VNet(width=2, norm="batch")
    assert load_weights(network, folder / "model.pt") == record["sha256"]
    kept = torch.load(folder / "model.pt", weights_only=True)
    assert all(t.dtype == torch.float16 for t in kept.values() if t.is_floating_point())
    assert record["parameters"] == sum(t.numel() for t in network.state_dict().values() if t.is_floating_point())

    # Half precision keeps the function: the trained weights lie within a rounding of what is published.
    trained = torch.load(tmp_path / "runs/vnet_small/model.pt", weights_only=True)
    assert all(torch.allclose(kept[n].float(), t.float(), rtol=2e-3, atol=1e-6) for n, t in trained.items())

    # The same command with more to do goes on where it was.
    again = train(tmp_path, "--set", "max_epochs=2", "--minutes", "5", "--seed", "3")
    assert again.returncode == 0, again.stderr[-3000:]
    assert pd.read_csv(folder / "curves.csv")["epoch"].tolist() == [1, 2]
    assert json.loads((folder / "record.json").read_text())["epochs"] == 2

    # Trained on from there and published over it: what came before stays in the record, however often it goes on.
    further = [w for s in ("initial_weights=models/vnet_small/model.pt", "max_epochs=1") for w in ("--set", s)]
    for _ in range(2):
        done = train(tmp_path, *further, "--minutes", "5", "--seed", "4", "--runs", "further")
        assert done.returncode == 0, done.stderr[-3000:]
        last = json.loads((folder / "record.json").read_text())
        assert [(s["seed"], s["epochs"]) for s in last["steps"]] == [(3, 2), (4, 1)]
        assert last["steps"][1]["from"] != last["sha256"] == (folder / "model.pt.sha256").read_text().split()[0]
        total = sum(step["minutes_of_epochs"] for step in last["steps"])
        assert last["minutes_of_epochs"] == pytest.approx(total, abs=0.051)
        curves = pd.read_csv(folder / "curves.csv")
        assert curves[["step", "epoch"]].to_numpy().tolist() == [[1, 1], [1, 2], [2, 1]]


def test_of_several_trainings_in_one_file_the_first_is_what_came_before(tmp_path):
    weights = tmp_path / "joined/model.pt"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    members = [{"seed": n, "sha256": f"of member {n}", "minutes_of_epochs": 5.0, "parameters": 9} for n in (6, 7)]
    shared = {"system": "slice_unet", "configs": ["train"], "data": "phantoms alone"}
    record = {**shared, "members": members, "sha256": sha256_of(weights)}
    (weights.parent / "record.json").write_text(json.dumps(record))
    curves = pd.DataFrame({"epoch": [1, 2, 1], "seconds": 100.0, "member": [1, 1, 2]})
    curves.to_csv(weights.parent / "curves.csv", index=False)
    run = tmp_path / "run"
    run.mkdir()
    keep_origin(weights, run)
    own = {**shared, "seed": 8, "minutes_of_epochs": 2.0}
    whole, both = after_origin(own, pd.DataFrame({"epoch": [1], "seconds": [120.0]}), run)
    assert whole["steps"] == [
        {"seed": 6, "minutes_of_epochs": 5.0},
        {"seed": 8, "minutes_of_epochs": 2.0, "from": "of member 6"},
    ]
    assert whole["minutes_of_epochs"] == 7.0
    assert both[["step", "epoch"]].to_numpy().tolist() == [[1, 1], [1, 2], [2, 1]]
    assert "member" not in both


def test_what_cannot_be_trained_is_said_at_once(tmp_path):
    command = [sys.executable, "-W", "ignore", str(ROOT / "scripts/train_reference.py")]
    for arguments, says in ((["lamp"], "vnet_small"), (["vnet_small", "--set", "width"], "NAME=VALUE")):
        done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert says in done.stderr
        assert not any(tmp_path.iterdir())


def test_reference_weights_come_from_phantoms_as_a_scanner_shows_them():
    assert training_configs("vnet128") == ("train", "phantom_scans", "vnet_phantoms", "averaged")
    assert training_configs("vnet_small") == ("train", "phantom_scans", "vnet_phantoms", "vnet_small", "averaged")
    patchfcn = ("train", "patchfcn", "patchfcn_train", "patchfcn_phantoms", "averaged", "patchfcn_averaged")
    assert training_configs("patchfcn") == patchfcn
    assert training_configs("patchfcn", annealed=True) == (*patchfcn, "annealed")
