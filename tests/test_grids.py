"""What benchmarks/grids.py states of a grid, on the head whose bleed is known."""

import importlib.util

import nibabel as nib
import numpy as np
import pytest
from analytic_head import BLEED, BLEED_ML
from conftest import ROOT
from nifti_files import AFFINE, HEAD, image, written

spec = importlib.util.spec_from_file_location("grids", ROOT / "benchmarks/grids.py")
grids = importlib.util.module_from_spec(spec)
spec.loader.exec_module(grids)


def case(folder, blood=True):
    (folder / "masks").mkdir()
    mask = ((HEAD == BLEED) & blood).astype(np.uint8)
    nib.save(nib.Nifti1Image(mask, AFFINE), folder / "masks/head.nii.gz")
    return {"image": str(written(folder, image())), "label": str(folder / "masks/head.nii.gz")}


def test_a_finer_grid_gives_more_of_a_mask_back(tmp_path):
    found = grids.there_and_back(case(tmp_path), [6.0, 1.5])
    assert found["ml"] == pytest.approx(sum(BLEED_ML), rel=0.05)
    assert 0.5 < found["6"] < found["1.5"] <= 1


def test_nothing_is_said_of_a_head_without_blood(tmp_path):
    assert grids.there_and_back(case(tmp_path, blood=False), [3.0]) == {"ml": 0.0}
