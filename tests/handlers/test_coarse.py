"""Coarse batches: means of squares, and blood where it fills half of one."""

import pytest
import torch

from hemorrhage.handlers.coarse import coarse_batch


def batch(label):
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    return {"image": image, "label": torch.tensor(label, dtype=torch.uint8)[None, None], "name": "a"}


def test_pixels_are_averaged_and_half_a_square_of_blood_is_blood():
    label = [[1, 0, 2, 2], [0, 0, 0, 0], [4, 4, 0, 5], [4, 4, 5, 5]]  # 1 of 4, 2 of 4, 4 of 4, 3 of 4
    found = coarse_batch(batch(label), 2)
    assert found["image"].tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
    assert found["label"].tolist() == [[[[0, 2], [4, 5]]]]
    assert found["label"].dtype == torch.uint8
    assert found["name"] == "a"


def test_a_crop_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"\(4, 4\) pixels cannot be averaged over squares of 3"):
        coarse_batch(batch([[0] * 4] * 4), 3)
