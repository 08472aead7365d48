"""Bleeds counted by hand."""

import numpy as np
import pytest
from skimage.measure import label as components

from hemorrhage.metrics.lesions import lesion_counts


def grid(*voxels):
    mask = np.zeros((8, 8, 4), dtype=np.uint8)
    for place in voxels:
        mask[place] = 1
    return mask


REFERENCE = grid((1, 1, 1), (2, 2, 2), (5, 5, 0), (7, 0, 3))  # the first two touch by a corner: three bleeds
NOTHING = grid()


def test_found_missed_and_invented():
    found = lesion_counts(REFERENCE, grid((2, 2, 2), (5, 5, 0), (5, 5, 1), (0, 7, 0), (0, 7, 3)))
    assert (found.lesions, found.found, found.false_positives) == (3, 2, 2)
    assert found.sensitivity == pytest.approx(2 / 3)


def test_one_prediction_over_two_bleeds_finds_both():
    wide = np.zeros_like(REFERENCE)
    wide[1:6, 1:6] = 1
    found = lesion_counts(REFERENCE, wide)
    assert (found.found, found.false_positives) == (2, 0)


@pytest.mark.parametrize(
    ("reference", "prediction", "counts"),
    [(NOTHING, NOTHING, (0, 0, 0)), (NOTHING, REFERENCE, (0, 0, 3)), (REFERENCE, NOTHING, (3, 0, 0))],
    ids=["both empty", "reference empty", "prediction empty"],
)
def test_empty_masks_have_the_declared_values(reference, prediction, counts):
    found = lesion_counts(reference, prediction)
    assert (found.lesions, found.found, found.false_positives) == counts
    assert np.isnan(found.sensitivity) == (not reference.any())


def test_against_scikit_image():
    a, b = np.random.default_rng(0).random((2, 12, 12, 6)) > 0.93
    parts, calls = components(a, connectivity=3), components(b, connectivity=3)
    found = lesion_counts(a, b)
    assert found.lesions == parts.max()
    assert found.found == sum((b & (parts == n)).any() for n in range(1, parts.max() + 1))
    assert found.false_positives == sum(not (a & (calls == n)).any() for n in range(1, calls.max() + 1))


def test_masks_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match="different shapes"):
        lesion_counts(REFERENCE, REFERENCE[:-1])
