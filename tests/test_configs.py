"""Every shipped config, shrunk by overrides alone and run from a working directory that is not the bundle's."""

import importlib
import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT, SMALL
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle import run as run_bundle

from hemorrhage.networks import VNet
from hemorrhage.phantom.study import write_dicom_series

TINY = {
    **SMALL,
    "cases_per_epoch": 2,
    "batch_size": 1,
    "max_epochs": 1,
    "validate#phantoms#length": 2,
    "learning_rate": 1e-3,
}


# Each overlay of a system, with the values that make it as small as the others.
SYSTEMS = {
    "vnet_small": {"network_def#width": 2, "kept_phantoms": 0},
    "vnet64": {"network_def#width": 2, "block": 16, "blocks_per_case": 2},
    "vnet32": {"network_def#width": 2, "block": 16, "blocks_per_case": 4},
    "vnet2d": {"network_def#width": 2, "in_plane": 32, "slices_per_case": 2},
    "segresnet": {"network_def#init_filters": 8},
    "dynunet": {"network_def#filters": [2, 2, 2, 2, 2]},
    "thresholds": {},
    "forest": {"network_def#trees": 3, "network_def#depth": 4},
}


def config(*names):
    paths = [str(ROOT / "configs" / f"{name}.yaml") for name in names]
    return paths[0] if len(paths) == 1 else paths


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    torch.save(VNet(width=2, norm="batch").state_dict(), tmp_path / "weights.pt")
    return str(tmp_path / "weights.pt")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    folder = tmp_path / "else where"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_every_config_is_run_here():
    shipped = {p.stem for p in (ROOT / "configs").glob("*.yaml") if not p.stem.startswith("patchfcn")}
    elsewhere = {"slice_unet", "slice_unet_subtypes", "annealed"}  # run with PatchFCN's overlays
    programs = {"inference", "train", "evaluate", "multi_gpu_train"}
    assert shipped - elsewhere == {*programs, "averaged", "phantom_scans", "vnet_phantoms", *SYSTEMS}


@pytest.mark.parametrize(("name", "kind"), [("inference", "infer"), ("train", "train")])
def test_properties_are_complete(name, kind, elsewhere):
    workflow = ConfigWorkflow(config(name), workflow_type=kind, **SMALL)
    workflow.initialize()
    assert workflow.check_properties() == []


def test_no_name_is_both_of_a_package_and_of_a_module_in_it():
    """From Python 3.12 on a config's ``_target_`` that could be either is the module, which cannot be called."""
    for path in (ROOT / "hemorrhage").rglob("__init__.py"):
        package = importlib.import_module(".".join(path.parent.relative_to(ROOT).parts))
        modules = {p.stem for p in path.parent.glob("*.py")} & set(getattr(package, "__all__", ()))
        assert not modules, (package.__name__, modules)


def test_shared_blocks_are_equal():
    train, inference = (yaml.safe_load((ROOT / f"configs/{n}.yaml").read_text()) for n in ("train", "inference"))
    shared = ("network_def", "bundle_root", "template", "to_network", "spacing_mm", "precision", "device")
    for key in shared:
        assert train[key] == inference[key], key
    for key in ("threshold", "smallest_bleed_mm3", "network"):
        assert yaml.safe_load((ROOT / "configs/evaluate.yaml").read_text())[key] == inference[key], key
    steps = [step for step in [*train["prepare"], *train["normalize"]] if step != "@to_network"]
    alone = [step for step in steps if step["keys"] == "image"]
    assert len(alone) == 4
    for step in alone:
        if step["_target_"] == "LoadImaged":  # training reads files that were prepared: no choice of series
            step["reader"].update(series_uid="@series_uid", assume_ras="@assume_ras")
        assert step in inference["preprocessing"]["transforms"]
    assert "@to_network" in inference["preprocessing"]["transforms"]
    assert "@to_network" in train["prepare"]


def test_metadata_is_one_file_and_names_the_versions_installed():
    assert (ROOT / "metadata.json").resolve() == (ROOT / "configs/metadata.json").resolve()
    meta = json.loads((ROOT / "configs/metadata.json").read_text())
    import hemorrhage

    assert meta["version"] == hemorrhage.__version__
    assert meta["version"] in meta["changelog"]
    assert torch.__version__.split("+")[0] == meta["pytorch_version"]


def test_inference_writes_every_file_of_every_scan(study, weights, elsewhere):
    arguments = {"dataset_dir": str(study / "ct_scans"), "output_dir": "out", "checkpoint": weights, **SMALL}
    run_bundle(config_file=config("inference"), **arguments)
    assert sorted(p.name for p in (elsewhere / "out").iterdir() if p.is_dir()) == [f"{n:03d}" for n in range(49, 55)]
    scan = nib.load(study / "ct_scans/049.nii.gz")
    for name, kind in (("hemorrhage", np.uint8), ("brain", np.uint8), ("probability", np.int16)):
        image = nib.load(elsewhere / f"out/049/{name}.nii.gz")
        assert image.shape == scan.shape
        assert np.allclose(image.affine, scan.affine, atol=1e-4)
        assert image.get_data_dtype() == kind
    probability = nib.load(elsewhere / "out/049/probability.nii.gz").get_fdata()
    assert probability.min() >= 0
    assert 0 < probability.max() <= 1
    assert (elsewhere / "out/049/overlay.png").stat().st_size > 10_000
    findings = json.loads((elsewhere / "out/049/findings.json").read_text())
    assert {"LoadImaged", "BrainMaskd", "RigidToTemplated", "network", "Invertd", "write"} <= set(findings["seconds"])
    assert findings["input"]["file"] == "049.nii.gz"
    assert len(findings["weights"]["sha256"]) == 64
    table = pd.read_csv(elsewhere / "out/findings.csv", dtype={"name": str})
    assert table["name"].tolist() == [f"{n:03d}" for n in range(49, 55)]

    # What is there is kept; what is missing is made.
    before = (elsewhere / "out/050/findings.json").stat().st_mtime_ns
    (elsewhere / "out/051/findings.json").unlink()
    for file in (elsewhere / "out/051").iterdir():
        file.unlink()
    (elsewhere / "out/051").rmdir()
    run_bundle(config_file=config("inference"), **arguments)
    assert (elsewhere / "out/050/findings.json").stat().st_mtime_ns == before
    assert (elsewhere / "out/051/hemorrhage.nii.gz").exists()


def test_a_folder_of_dicom_series_and_masks_of_ones_own(study, weights, elsewhere):
    scan = nib.load(study / "ct_scans/049.nii.gz")
    hu = np.asarray(scan.dataobj).astype(np.int16)
    write_dicom_series(hu, scan.affine, elsewhere / "patients/a/ct", 1, "anonymous")
    arguments = {"checkpoint": weights, **SMALL}
    run_bundle(config_file=config("inference"), dataset_dir="patients", output_dir="made", **arguments)
    made = nib.load(elsewhere / "made/a_ct/brain.nii.gz")
    assert {"hemorrhage.seg.dcm", "measurements.sr.dcm"} <= {p.name for p in (elsewhere / "made/a_ct").iterdir()}
    found = json.loads((elsewhere / "made/a_ct/findings.json").read_text())["findings"]
    assert found["volume_ml_native"] == pytest.approx(found["volume_ml"])  # even slices are those of the volume
    index = np.linalg.inv(made.affine) @ scan.affine[:, 3]
    assert np.allclose(index[:3], np.round(index[:3]), atol=0.02)  # one grid, whatever the order of its axes

    half = np.asarray(made.dataobj).copy()
    half[:, : half.shape[1] // 2] = 0
    (elsewhere / "masks").mkdir()
    nib.save(nib.Nifti1Image(half, made.affine), elsewhere / "masks/a_ct.nii.gz")
    run_bundle(
        config_file=config("inference"), dataset_dir="patients", output_dir="own", brain_dir="masks", **arguments
    )
    assert np.array_equal(np.asarray(nib.load(elsewhere / "own/a_ct/brain.nii.gz").dataobj), half)
    (elsewhere / "masks/a_ct.nii.gz").unlink()
    with pytest.raises(SystemExit):
        run_bundle(
            config_file=config("inference"), dataset_dir="patients", output_dir="x", brain_dir="masks", **arguments
        )


def test_one_bad_scan_does_not_stop_the_others(study, weights, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "good.nii.gz").symlink_to(study / "ct_scans/049.nii.gz")
    (scans / "bad.nii.gz").write_bytes((study / "ct_scans/050.nii.gz").read_bytes()[:5000])
    decoy = tmp_path / "hemorrhage"  # must not be taken for ours
    decoy.mkdir()
    (decoy / "__init__.py").write_text("raise RuntimeError('the wrong package')")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", config("inference")]
    command += ["--dataset_dir", "scans", "--output_dir", "out", "--checkpoint", weights, "--spacing_mm", "6.0"]
    command += ["--network_def#width", "2", "--device", "$torch.device('cpu')"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2, done.stderr
    assert (tmp_path / "out/good/hemorrhage.nii.gz").exists()
    assert not (tmp_path / "out/bad").exists()
    assert "error[E_TRUNCATED]" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    table = pd.read_csv(tmp_path / "out/findings.csv").set_index("name")
    assert "E_TRUNCATED" in table.loc["bad", "error"]
    assert np.isfinite(table.loc["good", "volume_ml"])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["findings.csv", "good"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({}, "E_NOT_FOUND] --dataset_dir"),
        ({"dataset_dir": "nowhere"}, "E_NOT_FOUND"),
        ({"dataset_dir": "."}, "E_NO_SCANS"),
        ({"dataset_dir": "STUDY", "checkpoint": "none.pt"}, "E_WEIGHTS"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(overrides, message, study, elsewhere, capsys):
    overrides = {k: str(study / "ct_scans") if v == "STUDY" else v for k, v in overrides.items()}
    with pytest.raises(SystemExit) as exit_:
        run_bundle(config_file=config("inference"), **SMALL, **overrides)
    assert exit_.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert message in said[-1]
    assert not (elsewhere / "results").exists()


def test_the_result_of_another_scan_is_never_taken_for_this_one(study, weights, elsewhere, capsys):
    scans = elsewhere / "scans"
    scans.mkdir()
    (scans / "a.nii.gz").write_bytes((study / "ct_scans/049.nii.gz").read_bytes())
    arguments = {"dataset_dir": "scans", "output_dir": "out", "checkpoint": weights, **SMALL}
    run_bundle(config_file=config("inference"), **arguments)
    (scans / "a.nii.gz").write_bytes((study / "ct_scans/050.nii.gz").read_bytes())
    with pytest.raises(SystemExit):
        run_bundle(config_file=config("inference"), **arguments)
    assert "E_OTHER_INPUT" in capsys.readouterr().err
    run_bundle(config_file=config("inference"), **arguments, overwrite=True)
    run_bundle(config_file=config("inference"), **arguments)  # all there: nothing to do
    findings = elsewhere / "out/a/findings.json"
    before = findings.stat().st_mtime_ns
    torch.save({k: v + 0.01 for k, v in torch.load(weights, weights_only=True).items()}, "other.pt")
    for change, named in (
        ({"checkpoint": "other.pt"}, "weights"),
        ({"threshold": 0.3}, "threshold"),
        ({"hu_offset": 5, "smallest_bleed_mm3": 0}, "smallest_bleed_mm3, hu_offset"),
    ):
        with pytest.raises(SystemExit):
            run_bundle(config_file=config("inference"), **{**arguments, **change})
        said = capsys.readouterr().err
        assert "E_OTHER_RUN" in said
        assert f"another {named}." in said
        assert findings.stat().st_mtime_ns == before
    record = json.loads(findings.read_text())
    del record["settings"]  # as results were before settings became part of them
    findings.write_text(json.dumps(record))
    with pytest.raises(SystemExit):
        run_bundle(config_file=config("inference"), **arguments, threshold=0.3)
    assert "another threshold." in capsys.readouterr().err


@pytest.mark.parametrize("run_id", [None, "training"])
def test_training_on_phantoms_runs_without_any_file(run_id, elsewhere):
    run_bundle(run_id=run_id, config_file=config("train"), output_dir="run", **TINY)
    assert {"model.pt", "last.pt", "curves.csv", "curves.png", "tensorboard"} <= {
        p.name for p in (elsewhere / "run").iterdir()
    }
    assert all(isinstance(v, torch.Tensor) for v in torch.load(elsewhere / "run/model.pt", weights_only=True).values())


def test_training_and_evaluation_on_files(study, elsewhere):
    run_bundle(config_file=config("train"), dataset_dir=str(study), output_dir="run", **TINY)
    assert any((elsewhere / "run/cache").iterdir())
    overrides = {k: v for k, v in TINY.items() if k != "validate#phantoms#length"}
    run_bundle(
        config_file=config("train", "evaluate"),
        dataset_dir=str(study),
        checkpoint="run/model.pt",
        output_dir="scores",
        fold=0,
        **overrides,
    )
    rows = pd.read_csv(elsewhere / "scores/scans.csv", dtype={"name": str}).set_index("name")
    assert sorted(rows.index) == ["049", "054"]  # six patients, five folds: the first and the sixth
    truth = nib.load(study / "masks/049.nii.gz")
    assert rows.loc["049", "reference_ml"] == pytest.approx(truth.get_fdata().sum() * 1.5 * 1.5 * 5 / 1000, rel=1e-4)
    assert rows.loc["054", "reference_ml"] == 0.0
    scored = nib.load(elsewhere / "scores/scans/049/hemorrhage.nii.gz")
    assert scored.shape == truth.shape  # on the scan's own grid
    marked = np.asarray(scored.dataobj).sum() * 1.5 * 1.5 * 5 / 1000
    assert rows.loc["049", "automatic_ml"] == pytest.approx(marked, rel=1e-4)
    assert {"slices.csv", "summary.csv", "index.html", "figures", "run.json"} <= {
        p.name for p in (elsewhere / "scores").iterdir()
    }

    # What is scored is kept; what is missing is scored; other weights are refused.
    kept = elsewhere / "scores/scans/049/scores.json"
    before = kept.stat().st_mtime_ns
    (elsewhere / "scores/scans/054/scores.json").unlink()
    arguments = {"dataset_dir": str(study), "output_dir": "scores", "fold": 0, "bootstrap_runs": 50, **overrides}
    run_bundle(config_file=config("train", "evaluate"), checkpoint="run/model.pt", **arguments)
    assert kept.stat().st_mtime_ns == before
    assert (elsewhere / "scores/scans/054/scores.json").exists()
    kept.unlink()
    torch.save(VNet(width=2, norm="batch").state_dict(), elsewhere / "other.pt")
    with pytest.raises(SystemExit):
        run_bundle(config_file=config("train", "evaluate"), checkpoint="other.pt", **arguments)


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_every_system_trains_scores_and_reads_scans(name, study, elsewhere):
    small = {"device": SMALL["device"], "spacing_mm": SMALL["spacing_mm"], **SYSTEMS[name]}
    training = {"cases_per_epoch": 2, "batch_size": 1, "max_epochs": 1, "validate#phantoms#length": 1}
    run_bundle(config_file=config("train", name), dataset_dir=str(study), output_dir="run", **training, **small)
    arguments = {"checkpoint": "run/model.pt", **small}
    run_bundle(
        config_file=config("train", name, "evaluate"),
        dataset_dir=str(study),
        fold=0,
        output_dir="scores",
        bootstrap_runs=20,
        **arguments,
    )
    assert len(pd.read_csv(elsewhere / "scores/scans.csv")) == 2
    (elsewhere / "scans").mkdir()
    (elsewhere / "scans/a.nii.gz").symlink_to(study / "ct_scans/049.nii.gz")
    run_bundle(config_file=config("inference", name), dataset_dir="scans", output_dir="out", **arguments)
    findings = json.loads((elsewhere / "out/a/findings.json").read_text())["findings"]
    assert (findings["derived"]["volume_ml_by_compartment"] is None) == (name == "vnet2d")
    assert (elsewhere / "out/a/report.html").exists()
    scan, mask = (nib.load(p) for p in (study / "ct_scans/049.nii.gz", elsewhere / "out/a/hemorrhage.nii.gz"))
    assert mask.shape == scan.shape
    assert np.allclose(mask.affine, scan.affine, atol=1e-4)


@pytest.mark.parametrize("overlays", [(), ("evaluate",), ("forest",), ("thresholds", "evaluate")])
def test_cases_that_are_not_there_are_one_line(overlays, study, elsewhere, capsys):
    one = {"training": [{"image": f"ct_scans/{p.name}", "label": f"masks/{p.stem.split('.')[0]}.nii.gz", "fold": 0}
                        for p in sorted((study / "ct_scans").iterdir())]}  # fmt: skip
    (elsewhere / "one_fold.json").write_text(json.dumps(one))
    wrong = [({"dataset_dir": "nowhere"}, "nowhere"), ({"datalist": "no.json"}, "no.json")]
    if "evaluate" in overlays:
        wrong.append(({"datalist": "one_fold.json", "dataset_dir": str(study), "fold": 3}, "fold 3 leaves no case"))
    else:
        wrong.append(({"datalist": "one_fold.json", "dataset_dir": str(study), "fold": 0}, "to train with"))
    for values, says in wrong:
        with pytest.raises(SystemExit) as stop:
            run_bundle(config_file=config("train", *overlays), output_dir="out", **values)
        assert stop.value.code == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert line.startswith("error[E_")
        assert says in line
    assert not (elsewhere / "out").exists()


def test_a_2d_segresnet_is_two_overlays(study, elsewhere):
    run_bundle(
        config_file=config("train", "vnet2d", "segresnet"), dataset_dir=str(study), output_dir="run",
        cases_per_epoch=1, batch_size=1, max_epochs=1, in_plane=32, slices_per_case=2, device=SMALL["device"],
        **{"network_def#init_filters": 8, "network_def#spatial_dims": 2},
    )  # fmt: skip
    assert (elsewhere / "run/model.pt").exists()


def test_several_processes_train_together(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "monai.bundle", "run", "--config_file", json.dumps(config("train", "multi_gpu_train"))]
    command += [
        "--output_dir",
        "run",
        *[a for k, v in {**TINY, "cases_per_epoch": 4}.items() if k != "device" for a in (f"--{k}", str(v))],
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    curves = pd.read_csv(tmp_path / "run/curves.csv")
    assert np.isfinite(curves["val_loss"]).all()
    saved = torch.load(tmp_path / "run/last.pt", weights_only=True)
    assert saved["iteration"] == 2  # four cases, two processes, one each a step
    assert not any(name.startswith("module.") for name in saved["network"])


def test_resume_goes_on(elsewhere):
    run_bundle(config_file=config("train"), output_dir="run", **TINY)
    run_bundle(config_file=config("train"), output_dir="run", resume=True, **{**TINY, "max_epochs": 2})
    assert pd.read_csv(elsewhere / "run/curves.csv")["epoch"].tolist() == [1, 2]


def test_configs_parse_without_the_runner():
    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs/inference.yaml"))
    assert parser.get_parsed_content("bundle_root") == "."


def test_phantoms_come_as_scans_and_are_made_once(elsewhere):
    few = {**SMALL, "cases_per_epoch": 2, "batch_size": 1, "max_epochs": 1, "kept_phantoms": 1}
    arguments = {**few, "validate#phantoms#length": 1, "output_dir": "run"}
    run_bundle(config_file=config("train", "phantom_scans"), **arguments)
    kept = {p: p.stat().st_mtime_ns for p in (elsewhere / "run/cache").iterdir()}
    assert len(kept) == 2  # one to train on, one to validate
    run_bundle(config_file=config("train", "phantom_scans"), resume=True, **{**arguments, "max_epochs": 2})
    assert {p: p.stat().st_mtime_ns for p in (elsewhere / "run/cache").iterdir()} == kept


def test_averaged_weights_are_validated_kept_and_resumed(elsewhere):
    """The result is the moving average: with almost no momentum it stays at the first weights, whatever is trained."""
    still = {**TINY, "train#average#momentum": 1e-12, "output_dir": "run"}
    run_bundle(run_id="training", config_file=config("train", "averaged"), **still)
    torch.manual_seed(0)
    first = {k: t for k, t in VNet(width=2, norm="batch").state_dict().items() if t.is_floating_point()}  # no counts
    result = torch.load(elsewhere / "run/model.pt", weights_only=True)
    state = torch.load(elsewhere / "run/last.pt", weights_only=True)
    assert all(torch.allclose(result[k], first[k], atol=1e-6) for k in first)
    assert any(not torch.allclose(state["network"][k], first[k], atol=1e-6) for k in first)
    run_bundle(run_id="training", config_file=config("train", "averaged"), resume=True, **{**still, "max_epochs": 2})
    again = torch.load(elsewhere / "run/last.pt", weights_only=True)
    assert again["epoch"] == 2
    assert all(torch.allclose(again["others"]["average"][k], first[k], atol=1e-6) for k in first)
