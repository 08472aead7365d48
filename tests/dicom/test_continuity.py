"""Exchanged slices betray themselves by their neighbors, unless they are alike."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pydicom
import pytest
from analytic_head import hu_at
from dicom_phantom import pixel_points, series

from hemorrhage.dicom.continuity import out_of_place

DATA = Path(__file__).resolve().parents[2] / "../shared/data/dicom"


def exchanged(hu: np.ndarray, one: int, two: int) -> np.ndarray:
    changed = hu.copy()
    changed[:, :, [one, two]] = hu[:, :, [two, one]]
    return changed


@pytest.fixture(scope="module")
def leaning_head() -> np.ndarray:
    """A head of 15 slices whose top and bottom differ: that of the other tests is its own mirror image."""
    stack = []
    for dataset in series(tuple(np.arange(15) * 10.0)):
        points = pixel_points(dataset).copy()
        points[..., 1] -= 0.5 * points[..., 2]
        stack.append(hu_at(points).T)
    noise = np.random.default_rng(0).normal(0, 5, (*stack[0].shape, len(stack)))
    return (np.stack(stack, axis=-1) + noise).astype(np.float32)


def test_every_exchange_is_seen_and_none_where_there_is_none(leaning_head: np.ndarray) -> None:
    assert out_of_place(leaning_head) == []
    for pair in combinations(range(leaning_head.shape[2]), 2):
        assert out_of_place(exchanged(leaning_head, *pair)), pair


def test_the_exchanged_slices_are_named(leaning_head: np.ndarray) -> None:
    assert out_of_place(exchanged(leaning_head, 3, 9)) == [3, 9]
    assert out_of_place(exchanged(leaning_head, 6, 7)) == [6, 7]
    assert out_of_place(exchanged(exchanged(leaning_head, 1, 5), 8, 12)) == [1, 5, 8, 12]


def test_slices_that_are_alike_are_exchanged_unseen(leaning_head: np.ndarray) -> None:
    same = np.repeat(leaning_head[:, :, 7:8], 6, axis=2)
    noise = np.random.default_rng(1).normal(0, 20, same.shape)
    assert out_of_place((same + noise).astype(np.float32)) == []


def test_three_slices_say_nothing(leaning_head: np.ndarray) -> None:
    assert out_of_place(leaning_head[:, :, [0, 2, 1]]) == []


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data is not beside this checkout")
@pytest.mark.parametrize(
    ("name", "most_unseen"), [("ge_head_tilted_variable_thickness", 4), ("philips_plastic_head_tilted", 0)]
)
def test_exchanges_in_real_heads(name: str, most_unseen: int) -> None:
    sources = [pydicom.dcmread(path) for path in (DATA / name).iterdir()]
    sources.sort(key=lambda s: float(s.ImagePositionPatient[2]))
    hu = np.stack([s.pixel_array[::8, ::8] * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in sources], -1)
    for part in (hu, hu[:, :, ::2], hu + np.random.default_rng(0).normal(0, 20, hu.shape)):
        assert out_of_place(part.astype(np.float32)) == []
    pairs = list(combinations(range(hu.shape[2]), 2))[:: 1 if hu.shape[2] < 30 else 7]
    unseen = [pair for pair in pairs if not out_of_place(exchanged(hu, *pair))]
    assert len(unseen) <= most_unseen, unseen
