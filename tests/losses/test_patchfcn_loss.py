"""PatchFCN's loss against values worked out by hand."""

import math

import pytest
import torch

from hemorrhage.losses import PatchFCNLoss
from hemorrhage.losses.patchfcn import patch_labels


def test_positive_pixels_count_three_times():
    logits = torch.zeros(1, 2, 2, 2)
    label = torch.tensor([[[[1.0, 0], [0, 0]]]])
    assert float(PatchFCNLoss()(logits, label)) == pytest.approx(math.log(2) * (3 + 1 + 1 + 1) / 4)
    assert float(PatchFCNLoss(positive_weight=1)(logits, label)) == pytest.approx(math.log(2))


def test_one_class_takes_any_subtype_and_several_take_their_own():
    label = torch.full((1, 1, 2, 2), 4.0)
    two = torch.stack([torch.zeros(2, 2), torch.full((2, 2), math.log(3))])[None]
    assert float(PatchFCNLoss(1.0)(two, label)) == pytest.approx(-math.log(3 / 4))
    six = torch.zeros(1, 6, 2, 2)
    six[:, 4] = math.log(5)
    assert float(PatchFCNLoss(1.0)(six, label)) == pytest.approx(-math.log(5 / 10))


def test_patch_labels_name_any_first_and_then_each_subtype():
    label = torch.zeros(3, 1, 2, 2)
    label[0, 0, 0, 0], label[0, 0, 1, 1], label[1, 0, 1, 0] = 2, 5, 3
    assert patch_labels(label, 6).tolist() == [[1, 0, 1, 0, 0, 1], [1, 0, 0, 1, 0, 0], [0] * 6]
    assert patch_labels(label, 1).tolist() == [[1], [1], [0]]


def test_terms_add_up_with_their_weights():
    label = torch.tensor([[[[1.0, 0], [0, 0]]]])
    answer = {"pixels": torch.zeros(1, 2, 2, 2), "patches": torch.tensor([[[0.0, math.log(3)]]])}
    pixels, patches = 1.5 * math.log(2), -math.log(3 / 4)
    assert float(PatchFCNLoss(pixels=2, patches=5)(answer, label)) == pytest.approx(2 * pixels + 5 * patches)
    assert float(PatchFCNLoss(pixels=0)(answer, label)) == pytest.approx(patches)
    assert float(PatchFCNLoss(patches=0)(answer, label)) == pytest.approx(pixels)
    dice = (2 * 0.5 + 20) / (2 + 1 + 20)  # four pixels at one half, one of them positive
    assert float(PatchFCNLoss(pixels=0, patches=0, dice=1)(answer, label)) == pytest.approx(1 - dice)


def test_loss_falls_to_zero_with_the_right_answer():
    label = torch.zeros(1, 1, 8, 8)
    label[..., :4] = 1
    logits = torch.cat([-50 * (2 * label - 1), 50 * (2 * label - 1)], 1)
    assert float(PatchFCNLoss(dice=1.0)(logits, label)) == pytest.approx(0, abs=1e-4)


def test_volumes_of_averaged_scores_are_taken_as_well():
    assert torch.isfinite(PatchFCNLoss()(torch.zeros(2, 2, 4, 4, 3), torch.zeros(2, 1, 4, 4, 3)))


def test_names_are_asked_for_where_there_is_hemorrhage_and_not_how_likely_it_is():
    label = torch.tensor([[[[0, 1], [2, 2]]]])
    p = torch.tensor([0.9, 0.02, 0.08])  # of hemorrhage one fifth is called the first subtype
    logs = p.log()[None, :, None, None].expand(1, 3, 2, 2)
    names = PatchFCNLoss(pixels=0.0, names=1.0)
    one, two, root = -math.log(0.2), -math.log(0.8), math.sqrt(2)
    assert float(names(logs, label)) == pytest.approx((one + root * two) / (1 + root))  # roots of areas 1 and 2
    likelier = torch.tensor([0.5, 0.1, 0.4]).log()[None, :, None, None].expand(1, 3, 2, 2)
    assert float(names(likelier, label)) == pytest.approx(float(names(logs, label)))
    assert float(names(logs, torch.zeros(1, 1, 2, 2, dtype=torch.long))) == 0.0
