"""PatchFCN's overlays, shrunk by overrides alone: training in stages, evaluation, inference, ablations."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle import run as run_bundle

from hemorrhage.errors import scan_error_in
from hemorrhage.networks import PatchFCN
from hemorrhage.systems import USES, bundle_command, configs_of, systems, weights_of
from hemorrhage.weights import joined_weights, publish_weights, read_weights

TINY = {
    "network_def#width": 0.0625,
    "pixel_mm": 3.0,
    "window": 32,
    "window_beta": 1.2,
    "device": "$torch.device('cpu')",
}
STAGES = [
    {"name": "pixels", "epochs": 1, "learning_rate": 1e-3, "freeze": ["patches"], "loss": {"patches": 0.0}},
    {"name": "patches", "epochs": 1, "learning_rate": 1e-3, "freeze": ["backbone", "pixels"], "loss": {"pixels": 0.0}},
    {"name": "all", "epochs": 1, "learning_rate": 1e-4},
]
TRAINING = {
    **TINY,
    "stages": STAGES,
    "cases_per_epoch": 8,
    "slices_per_batch": 2,
    "crops_per_slice": 2,
    "val_interval": 3,
    "smallest_bleed_mm3": 0,
}
JOINT = ("patchfcn_joint", "patchfcn_small")
SUBTYPES = ("patchfcn_joint", "patchfcn_subtypes", "patchfcn_small")


def config(*names):
    return [str(ROOT / f"configs/{name}.yaml") for name in names]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_weights(path, seed=0, **options):
    torch.manual_seed(seed)
    network = PatchFCN(backbone="drn_d_22", width=0.0625, head="features", **options)
    torch.save(network.state_dict(), path)
    return str(path)


def test_every_overlay_is_run_here():
    shipped = {p.stem for p in (ROOT / "configs").glob("patchfcn*.yaml")}
    assert shipped - {"patchfcn_averaged"} == {"patchfcn", "patchfcn_train", "patchfcn_phantoms", *SUBTYPES}


def test_properties_are_complete(study, elsewhere):
    train = ConfigWorkflow(
        config("train", "patchfcn", "patchfcn_train", "patchfcn_phantoms", "patchfcn_small"),
        workflow_type="train",
        **{**TINY, "dataset_dir": str(study)},
    )
    infer = ConfigWorkflow(config("inference", "patchfcn", "patchfcn_small"), workflow_type="infer", **TINY)
    for workflow in (train, infer):
        workflow.initialize()
        assert workflow.check_properties() == []


def test_three_stages_evaluation_and_inference_of_files(study, elsewhere):
    files = config("train", "patchfcn", "patchfcn_train", "patchfcn_phantoms", *JOINT)
    run_bundle(config_file=files, dataset_dir=str(study), output_dir="run", **TRAINING)
    assert {"pixels.pt", "patches.pt", "all.pt", "model.pt", "last.pt"} <= {
        p.name for p in (elsewhere / "run").iterdir()
    }
    pixels, model = (torch.load(f"run/{n}.pt", weights_only=True) for n in ("pixels", "model"))
    assert not torch.equal(pixels["patches.0.weight"], model["patches.0.weight"])

    # Stopped after the first stage and resumed, it ends with the same weights.
    run_bundle(config_file=files, dataset_dir=str(study), output_dir="again", max_epochs=1, **TRAINING)
    run_bundle(config_file=files, dataset_dir=str(study), output_dir="again", resume=True, **TRAINING)
    again = torch.load("again/model.pt", weights_only=True)
    assert all(torch.equal(again[k], model[k]) for k in model)

    run_bundle(
        config_file=config("train", "evaluate", "patchfcn", "patchfcn_train", *JOINT),
        dataset_dir=str(study),
        checkpoint="run/model.pt",
        output_dir="scores",
        fold=0,
        **{**TRAINING, "max_epochs": 1},
    )
    assert any((elsewhere / "scores").iterdir())

    scan = nib.load(study / "ct_scans/050.nii.gz")
    (elsewhere / "one").mkdir()
    k = scan.shape[2] // 2
    one = scan.slicer[:, :, k : k + 1]
    turned = nib.as_closest_canonical(one)
    turned = nib.Nifti1Image(np.asarray(turned.dataobj).transpose(2, 0, 1), turned.affine[:, [2, 0, 1, 3]])
    nib.save(one, elsewhere / "one/a.nii.gz")
    nib.save(turned, elsewhere / "one/b.nii.gz")  # the slice axis first
    arguments = {"output_dir": "out", "checkpoint": "run/model.pt", **TINY}
    run_bundle(config_file=config("inference", "patchfcn", *JOINT), dataset_dir=str(elsewhere / "one"), **arguments)
    straight, other = (nib.load(elsewhere / f"out/{n}/probability.nii.gz") for n in "ab")
    assert straight.shape == one.shape
    assert other.shape == turned.shape
    assert np.allclose(other.get_fdata().transpose(1, 2, 0), straight.get_fdata(), atol=2e-4)
    found = json.loads((elsewhere / "out/a/findings.json").read_text())["findings"]["patchfcn"]
    assert 0 < found["patch_score"] < 1
    assert len(found["slices"]) == 1


UNET = {"network_def#channels": [4, 8, 8], "pixel_mm": 3.0, "window": 64, "device": TINY["device"]}


def train_unet(data, way):
    training = {**TRAINING, **UNET, "coarse_epochs": 1, "fine_epochs": 1, "max_seconds": 600, "max_epochs": 2}
    del training["network_def#width"], training["stages"]
    last = ("averaged", "patchfcn_averaged", "annealed")
    files = config("train", "patchfcn", "patchfcn_train", "patchfcn_phantoms", *way, *last)
    run_bundle(config_file=files, dataset_dir=str(data), output_dir="run", **training)


def test_a_unet_goes_the_same_way_with_averaged_weights(study, elsewhere):
    way = ("patchfcn_small", "slice_unet")
    train_unet(study, way)
    assert (elsewhere / "run/coarse.pt").exists()
    run_bundle(
        config_file=config("inference", "patchfcn", *way),
        dataset_dir=str(study / "ct_scans/049.nii.gz"),
        output_dir="out",
        checkpoint="run/model.pt",
        **UNET,
    )
    probability = nib.load("out/049/probability.nii.gz").get_fdata()
    brain = probability > 0
    assert probability.shape == nib.load(study / "ct_scans/049.nii.gz").shape
    assert 0.02 < brain.mean() < 0.6  # the answer is kept to the brain, whatever the network sees around it


def test_a_unet_learns_subtypes_from_their_maps_and_not_from_masks(study, elsewhere):
    way = ("patchfcn_small", "slice_unet", "patchfcn_subtypes", "slice_unet_subtypes")
    with pytest.raises(RuntimeError) as refused:
        train_unet(study, way)
    assert "no mask holds a value above 1" in str(scan_error_in(refused.value))
    data = elsewhere / "study"
    data.mkdir()
    (data / "subtypes").mkdir()
    for part in ("ct_scans", "masks"):
        (data / part).symlink_to(study / part)
    for path in sorted((study / "masks").iterdir()):
        mask = nib.load(path)
        nib.save(nib.Nifti1Image(4 * np.asarray(mask.dataobj), mask.affine), data / "subtypes" / path.name)
    train_unet(data, way)
    weights = torch.load("run/model.pt", weights_only=True)
    biases = [weights[f"{part}.model.2.1.conv.unit0.conv.bias"] for part in ("blood", "names")]
    assert [len(b) for b in biases] == [2, 5]
    run_bundle(
        config_file=config("inference", "patchfcn", *way),
        dataset_dir=str(study / "ct_scans/049.nii.gz"),
        output_dir="out",
        checkpoint="run/model.pt",
        **UNET,
    )
    findings = json.loads((elsewhere / "out/049/findings.json").read_text())["findings"]
    assert set(findings["volume_ml_by_subtype"]) == {"EDH", "SDH", "SAH", "IPH", "IVH"}


@pytest.mark.parametrize(("weights", "epochs"), [(None, [15, 16]), ("mine.pt", [0, 16])])
def test_only_a_training_from_nothing_begins_on_coarse_pixels(weights, epochs):
    parser = ConfigParser()
    parser.read_config(config(*configs_of(ROOT, "slice_unet", "train")))
    parser["initial_weights"] = weights
    stages = parser.get_parsed_content("stages")
    assert [s["epochs"] for s in stages] == epochs
    assert parser.get_parsed_content("max_epochs") == sum(epochs)
    assert [s.get("coarse") for s in stages] == [2, None]


def test_subtypes_are_mapped_and_scored(study, elsewhere):
    weights = save_weights(elsewhere / "w.pt", classes=5, patch_branch=True, prior=0.9)
    run_bundle(
        config_file=config("inference", "patchfcn", *SUBTYPES),
        dataset_dir=str(study / "ct_scans/049.nii.gz"),
        output_dir="out",
        checkpoint=weights,
        **{**TINY, "network_def#prior": 0.9},
    )
    labels = np.unique(np.asarray(nib.load("out/049/hemorrhage.nii.gz").dataobj))
    assert labels.max() <= 5
    assert len(labels) > 1
    findings = json.loads((elsewhere / "out/049/findings.json").read_text())["findings"]
    assert set(findings["patchfcn"]["subtype_scores"]) == {"EDH", "SDH", "SAH", "IPH", "IVH"}
    sure = findings["certainty_by_subtype"]
    assert {s: p is not None and 0.2 <= p <= 1 for s, p in sure.items()} == {
        s: ml > 0 for s, ml in findings["volume_ml_by_subtype"].items()
    }
    (row,) = pd.read_csv(elsewhere / "out/findings.csv").to_dict("records")
    assert sum(row[f"{s}_ml"] for s in sure) == pytest.approx(row["volume_ml"], abs=1e-3)
    assert len(findings["patchfcn"]["slices"]) == nib.load(study / "ct_scans/049.nii.gz").shape[2]


def test_a_file_of_two_trainings_reads_with_their_mean(study, elsewhere):
    weights = [save_weights(elsewhere / f"{n}.pt", seed=n) for n in range(2)]
    publish_weights(joined_weights([read_weights(Path(w))[0] for w in weights]), elsewhere / "both.pt")
    scan = str(study / "ct_scans/049.nii.gz")
    files = ("inference", "patchfcn", "patchfcn_small")
    for n, w in enumerate([*weights, "both.pt"]):
        run_bundle(config_file=config(*files), dataset_dir=scan, output_dir=f"out{n}", checkpoint=w, **TINY)
    *single, both = (nib.load(f"out{n}/049/probability.nii.gz").get_fdata() for n in range(3))
    assert np.abs(single[0] - single[1]).max() > 1e-3
    assert np.allclose(both, (single[0] + single[1]) / 2, atol=2e-3)  # of weights in half precision
    record = json.loads((elsewhere / "out2/049/findings.json").read_text())["weights"]
    assert record["sha256"] == (elsewhere / "both.pt.sha256").read_text().split()[0]


def ablation(name):
    parser = ConfigParser()
    parser.read_config(config("train", "patchfcn", "patchfcn_train", f"ablations/{name}"))
    return parser


NAMES = sorted(p.stem for p in (ROOT / "configs/ablations").glob("*.yaml"))


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith(("table1", "table2", "table3"))])
def test_ablations_take_as_many_steps_as_the_default(name):
    parser = ablation(name)
    assert parser["stages"][0]["epochs"] / parser["slices_per_batch"] == 400 / 16
    if name.startswith("table1"):  # and as many pixels a batch
        assert parser["window"] ** 2 * parser["slices_per_batch"] == 240**2 * 16
    if name.startswith("table2"):
        assert parser["slices_per_batch"] * parser["crops_per_slice"] == 16
    if name.startswith("table3"):
        assert parser["slices_per_batch"] * parser["crops_per_slice"] == 16
        assert parser["window"] == int(name.removeprefix("table3_crop"))


def test_table_4_runs_whole_slices():
    assert ablation("table4_whole_slices").get_parsed_content("inferer").inferer.window is None
    assert ablation("table1_crop80").get_parsed_content("inferer").inferer.window == 80


def test_the_papers_numbers_stand_in_the_config():
    parser = ConfigParser()
    parser.read_config(config("train", "patchfcn", "patchfcn_train"))
    first = parser["stages"][0]
    assert (parser["window_hu"], parser["window"], parser["window_beta"]) == ([-40, 90], 240, 3.0)
    assert (first["epochs"], first["drops"], parser["learning_rate"]) == (400, [0.4, 0.8], 0.005)
    assert (parser["loss#positive_weight"], parser["optimizer#momentum"]) == (3.0, 0.9)
    joint = yaml.safe_load((ROOT / "configs/patchfcn_joint.yaml").read_text())
    assert [s["epochs"] for s in joint["stages"]] == [400, 40, 30]
    assert [s["learning_rate"] for s in joint["stages"]] == [1e-3, 1e-3, 5e-5]
    assert joint["optimizer"]["momentum"] == 0.99


def test_argument_files_name_the_configs_of_each_system_in_their_order():
    small = ["patchfcn_small", "slice_unet", "slice_unet_subtypes"]
    assert systems(ROOT) == ["patchfcn", *small, "vnet128", "vnet_small"]
    assert len(list((ROOT / "configs/args").iterdir())) == len(USES) * len(systems(ROOT))
    training = ("patchfcn", "patchfcn_train", "patchfcn_phantoms", "patchfcn_small", "slice_unet")
    assert configs_of(ROOT, "slice_unet", "read_with") == ("inference", "patchfcn", "patchfcn_small", "slice_unet")
    assert configs_of(ROOT, "slice_unet", "train") == ("train", *training)
    scored = (name for name in training if name != "patchfcn_phantoms")
    assert configs_of(ROOT, "slice_unet", "evaluate") == ("train", "evaluate", *scored)
    assert weights_of(ROOT, "vnet128") == Path("model.pt")
    assert weights_of(ROOT, "slice_unet") == Path("slice_unet/model.pt")
    for system in systems(ROOT):
        for use in USES:
            path = ROOT / f"configs/args/{use}_{system}.yaml"
            named = yaml.safe_load(path.read_text())["config_file"]
            assert all((ROOT / name).is_file() for name in named)
            assert f"--args_file configs/args/{path.name}" in path.read_text()


def test_a_command_runs_configs_with_values_in_place_of_theirs():
    command = bundle_command(ROOT, ("inference", "vnet_small"), {"threshold": 0.4})
    assert command[-2:] == ["--threshold", "0.4"]
    files = json.loads(command[command.index("--config_file") + 1])
    assert files == [str(ROOT / "configs/inference.yaml"), str(ROOT / "configs/vnet_small.yaml")]


def test_an_argument_file_and_a_folder_are_enough_to_read_scans(study, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    scan = sorted((study / "ct_scans").iterdir())[0]
    run_bundle(
        args_file="configs/args/read_with_slice_unet.yaml", dataset_dir=str(scan), output_dir=str(tmp_path / "out")
    )
    found = json.loads(next((tmp_path / "out").glob("*/findings.json")).read_text())
    assert found["weights"]["sha256"] == (ROOT / "models/slice_unet/model.pt.sha256").read_text().split()[0]
    assert found["findings"]["probability_of_hemorrhage"] is not None
    assert found["settings"]["margin_mm"] == 12


def test_what_a_part_of_a_config_refuses_ends_in_one_line_too(study, tmp_path):
    """The only scan to train on has no blood: the sampler, a part of the trainer, finds that out."""
    cases = [
        {"image": str(study / f"ct_scans/{n}.nii.gz"), "label": str(study / f"masks/{n}.nii.gz")}
        for n in ("053", "054")
    ]
    datalist = {"training": [{**case, "patient": str(k), "fold": k} for k, case in enumerate(cases)]}
    (tmp_path / "cases.json").write_text(json.dumps(datalist))
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "monai.bundle",
        "run",
        "--args_file",
        "configs/args/train_slice_unet.yaml",
    ]
    options = {"datalist": tmp_path / "cases.json", "output_dir": tmp_path / "run", "pixel_mm": 3.0}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    done = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error[E_DATALIST] training cases: 0 of ")
