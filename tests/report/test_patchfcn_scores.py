"""PatchFCN's scores on maps whose scores are known."""

import numpy as np
import pytest
import torch

from hemorrhage.report.patchfcn_scores import PatchFCNScores, frame_scores, lp_norms, scan_score
from hemorrhage.report.scan_result import ScanResult


def result(probability, affine=None, **data):
    return ScanResult(
        name="a", hu=probability, brain=np.ones(probability.shape, bool), probability=probability,
        mask=probability > 0.5, subtypes=None, affine=np.diag([1.0, 1, 5, 1]) if affine is None else affine,
        to_template=None, sides_known=True, slice_map=None, data=data,
    )  # fmt: skip


def test_frame_score_is_the_mean():
    p = np.zeros((4, 5, 3))
    p[:2, :, 1] = 0.5
    assert frame_scores(p).tolist() == [0, 0.25, 0]
    assert frame_scores(p.transpose(2, 0, 1), axis=0).tolist() == [0, 0.25, 0]


def test_norm_of_equal_pixels():
    p = np.zeros((8, 8, 2))
    p[:4, :4, 0] = 0.8
    assert lp_norms(p, p=2) == pytest.approx([0.8 * 4, 0])
    assert scan_score(p) == pytest.approx(0.8 * 16 ** (1 / 256))


def test_a_small_score_to_a_high_power_is_not_lost():
    p = np.full((1, 1, 1), 1e-3)
    assert scan_score(p) == pytest.approx(1e-3)


def test_norm_lies_between_the_largest_score_and_a_little_more():
    p = np.random.default_rng(0).random((16, 16, 4))
    largest = p.max((0, 1))
    norms = lp_norms(p)
    assert (norms >= largest).all()
    assert (norms <= largest * 256 ** (1 / 256)).all()


def test_patch_scores_follow_the_slices_of_the_file():
    p = np.zeros((2, 2, 3), dtype=np.float32)
    patches = torch.tensor([[0.1, 0.2, 0.9]])
    up = PatchFCNScores()(result(p, patch_scores=patches))["patchfcn"]
    assert [s["patch_score"] for s in up["slices"]] == pytest.approx([0.1, 0.2, 0.9])
    down = PatchFCNScores()(result(p, np.diag([1.0, 1, -5, 1]), patch_scores=patches))["patchfcn"]
    assert [s["patch_score"] for s in down["slices"]] == pytest.approx([0.9, 0.2, 0.1])
    assert up["patch_score"] == down["patch_score"] == pytest.approx(0.9)


def test_subtypes_get_the_score_of_their_patches_or_of_their_pixels():
    p = np.zeros((2, 2, 1), dtype=np.float32)
    patches = torch.tensor([[0.9], [0.1], [0.2], [0.3], [0.4], [0.5]])
    found = PatchFCNScores()(result(p, patch_scores=patches))["patchfcn"]["subtype_scores"]
    assert found == pytest.approx({"EDH": 0.1, "SDH": 0.2, "SAH": 0.3, "IPH": 0.4, "IVH": 0.5})
    classes = torch.zeros(6, 2, 2, 1)
    classes[2, 0, 0, 0] = 0.7
    found = PatchFCNScores()(result(p, class_probability=classes))["patchfcn"]["subtype_scores"]
    assert found == pytest.approx({"EDH": 0, "SDH": 0.7, "SAH": 0, "IPH": 0, "IVH": 0})


def test_without_a_patch_branch_there_is_no_patch_score():
    found = PatchFCNScores()(result(np.full((2, 2, 2), 0.5, dtype=np.float32)))["patchfcn"]
    assert set(found) == {"lp_score", "slices"}
    assert len(found["slices"]) == 2
