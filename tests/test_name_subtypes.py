"""scripts/name_subtypes.py makes weights to learn subtypes from; scripts/score_subtypes.py judges the names."""

import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT

from hemorrhage.files import sha256_of
from hemorrhage.networks import named_slice_unet, slice_unet
from hemorrhage.weights import load_weights, publish_weights, read_weights


def run(script, *arguments):
    command = [sys.executable, "-W", "ignore", str(ROOT / f"scripts/{script}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_weights_to_start_from_keep_what_is_known_of_blood_and_how_they_were_made(tmp_path):
    done = run("name_subtypes", ROOT / "models/slice_unet/model.pt", tmp_path)
    assert done.returncode == 0, done.stderr
    known, named = slice_unet(1, 4), named_slice_unet(5, 4)
    old = load_weights(known, ROOT / "models/slice_unet/model.pt")
    new = load_weights(named, tmp_path / "model.pt")
    torch.manual_seed(0)
    x = torch.rand(1, 4, 64, 64)
    with torch.no_grad():
        before, after = known.eval()(x).softmax(1), named.eval()(x).softmax(1)
    assert before[:, 1].std() > 1e-4
    torch.testing.assert_close(after[:, 0], before[:, 0])
    record = json.loads((tmp_path / "record.json").read_text())
    published = json.loads((ROOT / "models/slice_unet/record.json").read_text())
    assert record["sha256"] == new
    assert record["steps"][:-1] == published["steps"]
    assert record["steps"][-1] == {"subtypes_of": old, "minutes_of_epochs": 0.0}
    assert (tmp_path / "curves.csv").read_text().splitlines()[0].startswith("step,")


def test_other_weights_cannot_be_given_subtypes(tmp_path):
    publish_weights(torch.nn.Linear(2, 2).state_dict(), tmp_path / "line.pt")
    done = run("name_subtypes", tmp_path / "line.pt", tmp_path / "out")
    assert (done.returncode, (tmp_path / "out").exists()) == (2, False)
    assert done.stderr.startswith("error[E_CHECKPOINT]")
    assert "slice_unet.yaml" in done.stderr
    shipped = ROOT / "models/slice_unet/model.pt"
    done = run("name_subtypes", shipped, tmp_path / "out", "--names", shipped)
    assert (done.returncode, (tmp_path / "out").exists()) == (2, False)
    assert "slice_unet_subtypes.yaml" in done.stderr


def test_own_weights_of_blood_get_the_names_that_are_shipped(tmp_path):
    torch.manual_seed(0)
    publish_weights(slice_unet(1, 4).state_dict(), tmp_path / "mine.pt")
    shipped = ROOT / "models/slice_unet_subtypes/model.pt"
    done = run("name_subtypes", tmp_path / "mine.pt", tmp_path / "out", "--names", shipped)
    assert done.returncode == 0, done.stderr
    made, mine, theirs = (read_weights(p)[0] for p in (tmp_path / "out/model.pt", tmp_path / "mine.pt", shipped))
    assert all(torch.equal(made[f"blood.{k}"], t) for k, t in mine.items())
    names = {k: t for k, t in theirs.items() if k.startswith("names.")}
    assert names
    assert all(torch.equal(made[k], t) for k, t in names.items())
    steps = json.loads((tmp_path / "out/record.json").read_text())["steps"]
    assert steps[-1]["names_of"] == sha256_of(shipped)


def test_the_shipped_networks_mark_the_same_blood():
    alone, named = (read_weights(ROOT / f"models/{s}/model.pt")[0] for s in ("slice_unet", "slice_unet_subtypes"))
    assert {k for k in named if not k.startswith("names.")} == {f"blood.{k}" for k in alone}
    for name, tensor in alone.items():  # the moving average of a training rounds what does not move
        torch.testing.assert_close(named[f"blood.{name}"], tensor, rtol=1e-4, atol=0.0)


@pytest.fixture
def study(tmp_path):
    """Two results with their truth: one named right, one with half of it called another subtype."""
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    true = np.zeros((10, 10, 4), np.uint8)
    true[2:8, 2:8, 1:3] = 2
    half = true.copy()
    half[5:8, 2:8] = np.where(true[5:8, 2:8] > 0, 1, 0)
    (tmp_path / "subtypes").mkdir()
    for name, answer in (("a", true), ("b", half)):
        folder = tmp_path / "results" / name
        folder.mkdir(parents=True)
        nib.save(nib.Nifti1Image(answer, affine), folder / "hemorrhage.nii.gz")
        (folder / "findings.json").write_text(json.dumps({"findings": {"volume_ml_by_subtype": {}}}))
        nib.save(nib.Nifti1Image(true, affine), tmp_path / f"subtypes/{name}.nii.gz")
    return tmp_path


def test_names_are_judged_and_kept_scan_by_scan(study):
    done = run("score_subtypes", study / "results", study / "subtypes")
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(study / "results/subtypes.csv").set_index("name")
    assert rows.loc["a", "SDH_ml"] == pytest.approx(6 * 6 * 2 * 5 / 1000, abs=1e-4)
    assert rows.loc["b", "SDH_as_EDH_ml"] == pytest.approx(rows.loc["b", "SDH_ml"] / 2)
    (line,) = (text for text in done.stdout.splitlines() if text.startswith("SDH") and "to" in text)
    assert "0.75 (0.50 to 1.00)" in line


def test_results_without_names_are_refused_in_one_line(study):
    (study / "results/b/findings.json").write_text(json.dumps({"findings": {}}))
    done = run("score_subtypes", study / "results", study / "subtypes")
    assert done.returncode == 2
    assert "error[E_LABEL]" in done.stderr
    assert "slice_unet_subtypes.yaml" in done.stderr
    assert not (study / "results/subtypes.csv").exists()
