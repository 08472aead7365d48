"""What benchmarks/appearance.py measures, on slices whose looks are known."""

import importlib.util

import numpy as np
import pytest
from conftest import ROOT

spec = importlib.util.spec_from_file_location("appearance", ROOT / "benchmarks/appearance.py")
appearance = importlib.util.module_from_spec(spec)
spec.loader.exec_module(appearance)

TOP = 80.0


def head(rise_hu=0.0, noise_hu=0.0, skull_mm=6.0, pixel=1.0, radius=70.0):
    """A disk of brain of 35 HU in a ring of bone; the outermost 1.9 mm of brain are brighter by ``rise_hu``."""
    ticks = (np.arange(200) - 99.5) * pixel
    at = np.hypot(ticks[:, None], ticks)
    hu = np.full(at.shape, 35.0) + np.random.default_rng(0).normal(0, 1, at.shape) * noise_hu
    hu[at > radius - 2.5] += rise_hu
    hu[at > radius] = TOP
    hu[at > radius + skull_mm] = 0.0
    return np.clip(hu / TOP, 0, 1)


def test_a_flat_head_has_no_rise_and_no_noise_and_its_skull_is_measured():
    rise, noise, skull, gray = appearance.looks_of(head(), 1.0, TOP)
    assert rise == pytest.approx(0.0, abs=1e-6)
    assert noise == pytest.approx(0.0, abs=1e-6)
    assert gray == pytest.approx(0.0, abs=1e-6)
    assert skull == pytest.approx(6.0, abs=1.2)
    assert appearance.looks_of(head(skull_mm=10), 1.0, TOP)[2] == pytest.approx(10.0, abs=1.2)


def test_a_bright_rim_is_its_rise():
    assert appearance.looks_of(head(rise_hu=12), 1.0, TOP)[0] == pytest.approx(12.0, abs=0.1)


def test_white_noise_has_the_deviation_that_was_put_in():
    assert appearance.looks_of(head(noise_hu=3), 1.0, TOP)[1] == pytest.approx(3.0, rel=0.05)


def test_gray_matter_is_what_deep_tissue_is_brighter_than_most_of_it():
    """A fifth of the tissue deeper than 15 mm, in one piece, is 8 HU brighter: more than the brightest tenth."""
    slice_ = head()
    slice_[100 - 22 : 100 + 22, 100 - 22 : 100 + 22] += 8 / TOP
    assert appearance.looks_of(slice_, 1.0, TOP)[3] == pytest.approx(8.0, abs=0.1)
    noisy = np.clip(slice_ + head(noise_hu=3) - head(), 0, 1)
    assert appearance.looks_of(noisy, 1.0, TOP)[3] == pytest.approx(8.0, abs=1.0)


def test_sizes_are_in_mm():
    fine = appearance.looks_of(head(rise_hu=12, pixel=0.9), 0.9, TOP)
    assert fine[0] == pytest.approx(12.0, abs=0.1)
    assert fine[2] == pytest.approx(6.0, abs=1.2)


@pytest.mark.parametrize("slice_", [np.zeros((200, 200)), head(radius=30.0), np.ones((200, 200))])
def test_slices_without_a_whole_skull_around_much_brain_are_left_out(slice_):
    assert appearance.looks_of(slice_, 1.0, TOP) is None
