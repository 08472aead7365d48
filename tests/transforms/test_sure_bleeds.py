"""Bleeds that nothing is sure of are left out, the others stay whole."""

import numpy as np
import torch
from monai.data import MetaTensor

from hemorrhage.transforms.sure_bleeds import SureBleedsd, sure_bleeds


def _probability() -> np.ndarray:
    p = np.zeros((8, 8, 2), dtype=np.float32)
    p[0:3, 0, 0] = (0.4, 0.9, 0.4)  # sure in its middle
    p[5:8, 0, 0] = 0.4  # nowhere sure
    p[3:5, 5, 0] = 0.4  # sure only on the next slice, across a corner
    p[5, 6, 1] = 0.8
    return p


def test_a_component_stays_whole_or_goes():
    p = _probability()
    kept = sure_bleeds(p >= 0.3, p, 0.8)
    wanted = p >= 0.3
    wanted[5:8, 0, 0] = False
    assert np.array_equal(kept, wanted)


def test_all_stay_when_the_surest_voxel_need_not_be_surer():
    p = _probability()
    assert np.array_equal(sure_bleeds(p >= 0.3, p, 0.3), p >= 0.3)
    assert np.array_equal(sure_bleeds(p >= 0.3, p, 0.1), p >= 0.3)


def test_nothing_marked_and_nothing_sure():
    p = _probability()
    assert not sure_bleeds(np.zeros_like(p), p, 0.8).any()
    assert not sure_bleeds(p >= 0.3, p, 0.95).any()


def test_masks_keep_their_type_and_place():
    p = torch.from_numpy(_probability())[None]
    affine = torch.diag(torch.tensor([0.5, 0.5, 5.0, 1.0], dtype=torch.float64))
    d = SureBleedsd("pred", 0.8)({"pred": MetaTensor((p >= 0.3).float(), affine=affine), "probability": p})
    assert d["pred"].dtype == torch.float32
    assert torch.equal(d["pred"].affine, affine)
    assert int(d["pred"].sum()) == 6
