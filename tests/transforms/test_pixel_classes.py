"""From classes to a probability, a mask and its subtypes."""

import torch
from monai.data import MetaTensor

from hemorrhage.transforms.pixel_classes import AnyHemorrhaged, NameSubtypesd, TakePatchScoresd, named_subtypes


def test_two_classes_give_the_second():
    p = torch.tensor([0.9, 0.25])[None, :, None]
    d = AnyHemorrhaged()({"pred": torch.cat([1 - p, p])})
    assert torch.equal(d["pred"], p)
    assert torch.allclose(d["logits"].softmax(0)[1:], p)
    assert "class_probability" not in d


def test_more_classes_are_summed_and_kept():
    classes = torch.tensor([0.4, 0.1, 0.2, 0.3]).reshape(4, 1, 1)
    d = AnyHemorrhaged()({"pred": classes})
    assert torch.allclose(d["pred"], torch.tensor(0.6))
    assert torch.equal(d["class_probability"], classes)


def test_each_voxel_of_the_mask_gets_its_likeliest_subtype():
    classes = torch.tensor([[0.2, 0.9, 0.3], [0.5, 0.06, 0.3], [0.3, 0.04, 0.4]])
    mask = torch.tensor([[1.0, 0.0, 1.0]])
    assert named_subtypes(mask, classes).tolist() == [[1, 0, 2]]
    assert NameSubtypesd()({"pred": mask, "class_probability": classes})["pred"].dtype == torch.uint8


def test_patch_scores_are_parted_from_pixels():
    answer = {"pixels": torch.zeros(2, 3), "patches": torch.ones(1, 4)}
    d = TakePatchScoresd()({"pred": answer})
    assert d["pred"].shape == (2, 3)
    assert d["patch_scores"].shape == (1, 4)
    assert set(TakePatchScoresd()({"pred": torch.zeros(2)})) == {"pred"}


def test_a_layer_that_hangs_together_has_one_name():
    classes = torch.zeros(5, 8, 1, 1)
    classes[1, :3], classes[2, :3] = 0.6, 0.4
    classes[1, 3:5], classes[2, 3:5] = 0.1, 0.9  # of all five voxels 2.0 against 3.0
    classes[4, 5] = 1.0  # another subtype parts, and keeps its name
    classes[1, 6:], classes[2, 6:] = 0.8, 0.2
    mask = torch.ones(1, 8, 1, 1)
    assert named_subtypes(mask, classes).flatten().tolist() == [1, 1, 1, 2, 2, 4, 1, 1]
    assert named_subtypes(mask, classes, (1, 2)).flatten().tolist() == [2, 2, 2, 2, 2, 4, 1, 1]
    assert not named_subtypes(torch.zeros_like(mask), classes, (1, 2)).any()
    scan = NameSubtypesd(one_name=(1, 2))({"pred": MetaTensor(mask), "class_probability": MetaTensor(classes)})
    assert scan["pred"].flatten().tolist() == [2, 2, 2, 2, 2, 4, 1, 1]
