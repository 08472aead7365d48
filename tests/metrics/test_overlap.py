"""Masks on a grid of 0.5 x 0.5 x 5 mm whose overlap and distances can be counted by hand."""

import numpy as np
import pytest
import torch
from monai.metrics import DiceMetric, MeanIoU
from scipy import ndimage
from scipy.spatial.distance import cdist
from sklearn.metrics import f1_score, jaccard_score

from hemorrhage.metrics.overlap import counts, dice, hausdorff95_mm, jaccard, surface_dice

SPACING = (0.5, 0.5, 5)


def box(*edges, shape=(24, 24, 8)):
    mask = np.zeros(shape, dtype=np.uint8)
    mask[tuple(slice(*e) for e in edges)] = 1
    return mask


BLEED = box((4, 14), (4, 14), (2, 5))
NOTHING = np.zeros_like(BLEED)


@pytest.fixture
def blobs():
    noise = np.random.default_rng(0).normal(size=(2, 24, 24, 8))
    return [ndimage.gaussian_filter(n, (3, 3, 1)) > 0.02 for n in noise]


def test_box_shifted_by_two_voxels_of_ten():
    moved = box((6, 16), (4, 14), (2, 5))  # 240 of 300 voxels in common
    found = counts(BLEED, moved)
    assert (found.tp, found.fp, found.fn) == (240, 60, 60)
    assert dice(BLEED, moved) == pytest.approx(0.8)
    assert jaccard(BLEED, moved) == pytest.approx(240 / 360)


def test_against_scikit_learn_and_monai(blobs):
    a, b = blobs
    ta, tb = (torch.from_numpy(m)[None, None] for m in (a, b))
    assert dice(a, b) == pytest.approx(f1_score(a.ravel(), b.ravel()))
    assert jaccard(a, b) == pytest.approx(jaccard_score(a.ravel(), b.ravel()))
    assert dice(a, b) == pytest.approx(float(DiceMetric(include_background=True)(tb, ta)), abs=1e-6)
    assert jaccard(a, b) == pytest.approx(float(MeanIoU(include_background=True)(tb, ta)), abs=1e-6)


@pytest.mark.parametrize(
    ("reference", "prediction", "overlap", "distance"),
    [(NOTHING, NOTHING, 1.0, 0.0), (NOTHING, BLEED, 0.0, np.inf), (BLEED, NOTHING, 0.0, np.inf)],
    ids=["both empty", "reference empty", "prediction empty"],
)
def test_empty_masks_have_the_declared_values(reference, prediction, overlap, distance):
    assert dice(reference, prediction) == overlap
    assert jaccard(reference, prediction) == overlap
    assert surface_dice(reference, prediction, SPACING) == overlap
    assert hausdorff95_mm(reference, prediction, SPACING) == distance


def test_distances_know_the_spacing_of_each_axis():
    # The whole box moves by one slice: its last face lies 5 mm off; by four pixels: 2 mm off.
    assert hausdorff95_mm(BLEED, box((4, 14), (4, 14), (3, 6)), SPACING) == 5.0
    assert hausdorff95_mm(BLEED, box((8, 18), (4, 14), (2, 5)), SPACING) == 2.0
    assert hausdorff95_mm(BLEED, BLEED, SPACING) == 0.0


def test_the_worst_twentieth_of_a_surface_is_left_out():
    # A row of 100 voxels against the same row and one voxel 10 mm beside it: 1 of 101 distances is not zero.
    row = box((0, 100), (0, 1), (0, 1), shape=(100, 30, 1))
    stray = row | box((50, 51), (20, 21), (0, 1), shape=(100, 30, 1))
    assert hausdorff95_mm(row, stray, SPACING) == 0.0


def test_hausdorff_against_all_pairs_of_surface_points(blobs):
    points = []
    for mask in blobs:
        surface = mask & ~ndimage.binary_erosion(mask)  # outside the array is outside the mask
        points.append(np.argwhere(surface) * SPACING)
    distances = cdist(*points)
    expected = max(np.percentile(distances.min(0), 95), np.percentile(distances.min(1), 95))
    assert hausdorff95_mm(*blobs, SPACING) == pytest.approx(expected, abs=1e-4)


def test_surface_dice_of_two_single_voxels_two_slices_apart():
    # Each surface has an upper and a lower half. The halves that face each other are 5 mm apart, the others 10 mm
    # from what is nearest to them.
    low, high = box((9, 10), (9, 10), (2, 3)), box((9, 10), (9, 10), (4, 5))
    found = [surface_dice(low, high, SPACING, tolerance) for tolerance in (4.9, 5.0, 9.9, 10.0)]
    assert found == pytest.approx([0.0, 0.5, 0.5, 1.0], abs=1e-6)
    # In the plane the same step is 1 mm: half of the surface lies within 0.5 mm.
    beside = box((11, 12), (9, 10), (2, 3))
    assert [surface_dice(low, beside, SPACING, t) for t in (0.4, 0.5, 1.0)] == pytest.approx([0.0, 0.5, 1.0], abs=1e-6)


def test_a_slice_can_be_measured_alone():
    square = box((4, 14), (4, 14), (2, 3))[:, :, 2]
    assert hausdorff95_mm(square, np.roll(square, 4, axis=0), SPACING[:2]) == 2.0
    assert surface_dice(square, np.roll(square, 4, axis=0), SPACING[:2], 2.0) == 1.0


def test_masks_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match="different shapes"):
        dice(BLEED, BLEED[:-1])
