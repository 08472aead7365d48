"""What counts as Hounsfield units, what is doubted about the field that was scanned."""

from __future__ import annotations

import numpy as np
import pytest
from analytic_head import centered_affine, grid_points, hu_at

from hemorrhage.errors import ScanError
from hemorrhage.hounsfield import check_hu, coverage_warnings, fill_nonfinite

SHAPE = (48, 56, 38)
AFFINE = centered_affine(SHAPE, np.diag([4.0, 4.0, 5.0]))


@pytest.fixture
def head() -> np.ndarray:
    noise = np.random.default_rng(0).normal(0.0, 4.0, SHAPE)
    return (hu_at(grid_points(SHAPE, AFFINE)) + noise).astype(np.float32)


def test_values_beyond_twelve_bits_are_clamped(head: np.ndarray) -> None:
    head[24, 28, 19], head[0, 0, 0] = 8000.0, -1050.0
    hu, warnings = check_hu(head, "a")
    assert (hu[24, 28, 19], hu[0, 0, 0]) == (3071.0, -1024.0)
    assert warnings == []


def test_a_clean_head_raises_no_doubt(head: np.ndarray) -> None:
    before = head.copy()
    hu, warnings = check_hu(head, "a")
    assert warnings == coverage_warnings(hu, AFFINE) == fill_nonfinite(hu, "a") == []
    np.testing.assert_array_equal(hu, np.clip(before, -1024, 3071))


@pytest.mark.parametrize(("low", "high"), [(-20.0, 100.0), (0.0, 80.0), (0.0, 255.0)])
def test_gray_levels_of_a_window_mapped_back_are_told_from_an_original(
    head: np.ndarray, low: float, high: float
) -> None:
    gray = np.round((np.clip(head, low, high) - low) / (high - low) * 255)
    mapped = np.round(low + gray / 255 * (high - low))
    mapped[gray == 0], mapped[gray == 255] = -1000.0, 1000.0
    hu, warnings = check_hu(mapped.astype(np.float32), "a")
    assert [w.code for w in warnings] == ["W_WINDOWED"]
    inside = mapped[np.abs(mapped) < 1000]
    assert warnings[0].numbers == {"lowest_hu": inside.min(), "highest_hu": inside.max()}
    np.testing.assert_array_equal(hu, mapped)


def test_a_head_whose_air_was_lost_is_refused(head: np.ndarray) -> None:
    with pytest.raises(ScanError, match="E_NOT_HU"):
        check_hu(np.clip(head, -40.0, 90.0), "a")


@pytest.mark.parametrize("shift", [1000.0, 1024.0, 1100.0])
def test_a_shift_is_named_and_not_guessed(head: np.ndarray, shift: float) -> None:
    with pytest.raises(ScanError, match=r"E_OFFSET.*hu_offset"):
        check_hu(head + np.float32(shift), "a")


def test_a_few_voxels_of_metal_are_no_wrapped_integers(head: np.ndarray) -> None:
    head[20:24, 28, 19] = 30000.0
    assert check_hu(head, "a")[0].max() == 3071.0


def test_a_short_scan_is_doubted(head: np.ndarray) -> None:
    warnings = coverage_warnings(head[:, :, 15:23], AFFINE)
    assert [w.code for w in warnings] == ["W_COVERAGE"]
    assert warnings[0].numbers["length_mm"] == pytest.approx(40.0)


@pytest.mark.parametrize("flip", [False, True])
def test_a_vertex_that_was_cut_off_is_doubted_whichever_way_slices_run(head: np.ndarray, flip: bool) -> None:
    cut, affine = head[:, :, :28], AFFINE.copy()
    if flip:
        affine[:3, 3] += affine[:3, 2] * 27
        affine[:3, 2] *= -1
        cut = cut[:, :, ::-1]
    warnings = coverage_warnings(cut, affine)
    assert [w.code for w in warnings] == ["W_COVERAGE"]
    assert "vertex" in warnings[0].text


def test_a_cut_neck_is_no_cut_vertex(head: np.ndarray) -> None:
    assert coverage_warnings(head[:, :, 8:], AFFINE) == []


@pytest.mark.parametrize("side", [np.s_[12:], np.s_[:36]])
def test_a_skull_at_the_border_is_doubted(head: np.ndarray, side: slice) -> None:
    warnings = coverage_warnings(head[side], AFFINE)
    assert [w.code for w in warnings] == ["W_FOV"]
    assert warnings[0].numbers["border_mm"] > 10
