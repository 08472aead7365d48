"""A training small enough for every run of the tests, from phantoms to the bleed of a head that it never saw."""

import nibabel as nib
import numpy as np
import pandas as pd
from conftest import ROOT, SMALL
from monai.bundle import run as run_bundle

TRAINING = {
    **SMALL,
    "network_def#width": 8,
    "network_def#dropout": 0.1,
    "train#phantoms#subtypes": ["IPH"],
    "train#phantoms#volume_ml": [30, 90],
    "train#phantoms#positive_fraction": 0.8,
    "train#phantoms#length": 16,
    "train#dataset#kept_phantoms": 16,
    "cases_per_epoch": 16,
    "batch_size": 2,
    "learning_rate": 2e-3,
    "max_epochs": 24,
    "val_interval": 4,
    "validate#phantoms#length": 4,
    "validate#phantoms#positive_fraction": 1.0,
}


def test_training_on_phantoms_finds_the_bleed_of_another_head(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_bundle(config_file=str(ROOT / "configs/train.yaml"), output_dir="run", **TRAINING)
    dice = pd.read_csv("run/curves.csv")["val_dice"].dropna()
    assert dice.max() > 0.3  # it starts at 0: the untrained network answers 0.01 everywhere (test_vnet.py)

    run_bundle(
        config_file=str(ROOT / "configs/inference.yaml"),
        dataset_dir=str(study / "ct_scans"),
        output_dir="out",
        checkpoint="run/model.pt",
        **{**SMALL, "network_def#width": 8},
    )
    overlaps = []
    for name in ("049", "050", "051", "052"):
        truth = np.asarray(nib.load(study / f"masks/{name}.nii.gz").dataobj) > 0
        found = np.asarray(nib.load(f"out/{name}/hemorrhage.nii.gz").dataobj) > 0
        both = np.count_nonzero(truth & found)
        overlaps.append(2 * both / (np.count_nonzero(truth) + np.count_nonzero(found)))
    assert max(overlaps) > 0.15, overlaps  # a random mask of that size would overlap by 0.03
