"""A system as a bundle of its own: the same answer as with overlays, opened as MONAI Label opens it."""

import importlib.util
import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from conftest import ROOT
from monai.bundle import ConfigWorkflow
from monai.bundle import run as run_bundle

# The steps of monailabel.tasks.infer.bundle.BundleInferTask 0.8.5 on one image, in a process of its own. Its
# installation holds pydicom below 3, its loader takes the place of every LoadImaged and wants its keys to be there, and
# what comes out is resized to the shape that the image had.
LIKE_MONAI_LABEL = """
import sys
sys.modules["pydicom.pixels"] = None
bundle, scan, out = sys.argv[1:]
sys.path.insert(0, bundle)
import numpy as np, torch
from monai.bundle import ConfigParser
from monai.transforms import LoadImaged, SaveImaged
config = ConfigParser()
config.read_config(bundle + "/configs/inference.yaml")
config.config.update({"bundle_root": bundle})
network = config.get_parsed_content("network_def", instantiate=True).eval()
network.load_state_dict(torch.load(bundle + "/models/model.pt", weights_only=True))
before = list(config.get_parsed_content("preprocessing", instantiate=True).transforms)
after = config.get_parsed_content("postprocessing", instantiate=True).transforms
inferer = config.get_parsed_content("inferer", instantiate=True)
sys.path.remove(bundle)
for step in before:
    if isinstance(step, LoadImaged):
        step._loader.image_only = False
data = {"image": scan, "image_path": scan}
for step in before:
    assert not isinstance(step, LoadImaged) or all(key in data for key in step.keys), step.keys
    data = step(data)
with torch.no_grad():
    data["pred"] = inferer(data["image"][None], network)[0]
for step in after:
    if not isinstance(step, SaveImaged):
        data = step(data)
assert data["pred"].shape[1:] == tuple(data["image"].meta["spatial_shape"])
import hemorrhage
assert hemorrhage.__file__.startswith(bundle), hemorrhage.__file__
np.save(out, data["pred"][0].numpy().astype(bool))
"""


def export(out, *more):
    command = [sys.executable, "-W", "ignore", str(ROOT / "scripts/export_bundle.py"), "slice_unet", str(out), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "hemorrhage_slices"
    done = export(out)
    assert done.returncode == 0, done.stderr
    return out


def test_an_exported_bundle_answers_as_the_overlays_do(bundle, study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scan = str(study / "ct_scans/052.nii.gz")
    slices = [str(ROOT / f"configs/{n}.yaml") for n in ("inference", "patchfcn", "patchfcn_small", "slice_unet")]
    run_bundle(config_file=slices, dataset_dir=scan, output_dir="overlays")
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file"]
    options = ["--dataset_dir", scan, "--output_dir", "exported"]
    done = subprocess.run(
        [*command, str(bundle / "configs/inference.yaml"), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    masks = [np.asarray(nib.load(tmp_path / f / "052/hemorrhage.nii.gz").dataobj) for f in ("overlays", "exported")]
    assert masks[0].any()
    np.testing.assert_array_equal(*masks)
    found = [json.loads((tmp_path / f / "052/findings.json").read_text()) for f in ("overlays", "exported")]
    assert found[0]["settings"] == found[1]["settings"]
    assert found[1]["findings"]["probability_of_hemorrhage"] == found[0]["findings"]["probability_of_hemorrhage"]

    labeled = [sys.executable, "-W", "ignore", "-c", LIKE_MONAI_LABEL, str(bundle), scan, str(tmp_path / "label.npy")]
    done = subprocess.run(labeled, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    np.testing.assert_array_equal(np.load(tmp_path / "label.npy"), masks[0].astype(bool))


def test_its_configs_have_all_properties_of_a_bundle(bundle, study, tmp_path):
    for name, kind, values in (
        ("inference", "infer", {}),
        ("train", "train", {"dataset_dir": str(study), "output_dir": str(tmp_path / "run")}),
    ):
        file, meta = str(bundle / f"configs/{name}.yaml"), str(bundle / "configs/metadata.json")
        workflow = ConfigWorkflow(file, meta_file=meta, workflow_type=kind, **values)
        workflow.initialize()
        assert workflow.check_properties() == []
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    assert metadata["network_data_format"]["inputs"]["image"]["num_channels"] == 4
    answer = metadata["network_data_format"]["outputs"]["pred"]
    assert (answer["num_channels"], answer["channel_def"]["1"]) == (2, "intracranial hemorrhage")  # 1 in the mask


def test_a_bundle_that_names_subtypes_says_so_to_monai_label():
    spec = importlib.util.spec_from_file_location("export_bundle", ROOT / "scripts/export_bundle.py")
    exporter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(exporter)
    found = exporter.metadata("slice_unet_subtypes", *exporter.SYSTEMS["slice_unet_subtypes"])
    answer = found["network_data_format"]["outputs"]["pred"]
    assert answer["num_channels"] == len(answer["channel_def"]) == 6
    assert [answer["channel_def"][n] for n in "025"] == [
        "background", "subdural hemorrhage", "intraventricular hemorrhage",
    ]  # fmt: skip
    assert "4 is intraparenchymal hemorrhage" in found["pred_classes"]
    config = exporter.merged(("inference", "patchfcn", "patchfcn_small", "slice_unet", "patchfcn_subtypes"))
    assert (config["network_def"]["classes"], config["names_subtypes"]) == (5, True)


def test_what_is_there_is_replaced_only_when_asked_and_only_if_it_is_a_bundle(bundle, tmp_path):
    done = export(bundle)
    assert done.returncode == 2
    assert "E_WOULD_OVERWRITE" in done.stderr
    assert export(bundle, "--overwrite").returncode == 0
    other = tmp_path / "mine"
    other.mkdir()
    (other / "file").write_text("kept")
    assert export(other, "--overwrite").returncode == 2
    assert (other / "file").read_text() == "kept"
    assert "E_WEIGHTS" in export(tmp_path / "new", "--models", str(tmp_path)).stderr
    assert not (tmp_path / "new").exists()
