"""Phantom scans that several tests share, made once a run, and the way to the bundle."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from hemorrhage.phantom import make_case

ROOT = Path(__file__).resolve().parents[1]

# What makes any shipped config small enough for a test: a narrow network on a coarse grid.
SMALL = {"network_def#width": 2, "spacing_mm": 6.0, "device": "$torch.device('cpu')"}


@pytest.fixture(scope="session")
def root():
    """The bundle's root."""
    return ROOT


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Six coarse phantom scans in the CT-ICH form; the first four bleed into the brain, 20 to 50 mL."""
    folder = tmp_path_factory.mktemp("study")
    for index, volume in enumerate((20.0, 30.0, 40.0, 50.0, None, None)):
        subtypes = ("IPH",) if volume else ()
        case = make_case(100 + index, spacing_mm=(1.5, 1.5, 5.0), subtypes=subtypes, volume_ml=volume)
        for part, array in (("ct_scans", case.hu.numpy().astype(np.int16)), ("masks", (case.label > 0).numpy())):
            (folder / part).mkdir(exist_ok=True)
            image = nib.Nifti1Image(array.astype(np.int16 if part == "ct_scans" else np.uint8), case.affine)
            nib.save(image, folder / part / f"{49 + index:03d}.nii.gz")
    return folder
