import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from hemorrhage.transforms.brain_margin import BrainMargind, widened_in_plane


def test_a_point_becomes_a_disc_in_millimeters():
    """5 mm around a pixel of 1 x 2 mm: five pixels along the first axis, two along the second, none across slices."""
    mask = np.zeros((21, 21, 3), bool)
    mask[10, 10, 1] = True
    wide = widened_in_plane(mask, (1.0, 2.0), 5.0)
    i, j = np.meshgrid(np.arange(21) - 10, 2 * (np.arange(21) - 10), indexing="ij")
    assert np.array_equal(wide[..., 1], i**2 + j**2 <= 25)
    assert not wide[..., [0, 2]].any()


def test_the_affine_gives_the_size_and_what_was_traced_stays():
    mask = MetaTensor(torch.zeros(1, 9, 9, 2, dtype=torch.uint8), affine=torch.diag(torch.tensor([0.5, 0.5, 5, 1])))
    mask[0, 4, 4, 0] = 1
    mask.push_applied_operation({"class": "before"})
    wide = BrainMargind("inside", 1.0)({"inside": mask})["inside"]
    assert wide.dtype == torch.uint8
    assert int(wide[..., 0].sum()) == 13  # pixels within two steps
    assert [o["class"] for o in wide.applied_operations] == ["before"]
    assert int(mask.sum()) == 1


def test_no_margin_changes_nothing_and_a_negative_one_is_refused():
    mask = MetaTensor(torch.ones(1, 2, 2, 1))
    assert BrainMargind("inside", 0)({"inside": mask})["inside"] is mask
    with pytest.raises(ValueError, match="negative"):
        BrainMargind("inside", -1)
