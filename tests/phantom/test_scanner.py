"""Beam and kernel: laws that hold for any phantom."""

import pytest
import torch

from hemorrhage.phantom.beam import beam_effects
from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.scanner import Scanner, scan_slices


def disk(radius_mm, hu=0.0, shell_mm=0.0, pixel=2.0, n=128):
    axis = (torch.arange(n) - (n - 1) / 2) * pixel
    r = torch.sqrt(axis[:, None] ** 2 + axis**2)
    image = torch.full((n, n), -1000.0)
    image[r < radius_mm + shell_mm] = 1300.0
    image[r < radius_mm] = hu
    return image[None], r


def test_water_alone_is_corrected_to_no_cupping():
    image, r = disk(80.0)
    effect = beam_effects(image, 2.0, torch.Generator().manual_seed(0)).hardening[0]
    assert float(effect[r < 60].abs().max()) < 6.0


def test_a_skull_makes_its_inner_rim_brighter_than_the_middle():
    image, r = disk(70.0, 35.0, shell_mm=8.0)
    effect = beam_effects(image, 2.0, torch.Generator().manual_seed(0)).hardening[0]
    rim, middle = float(effect[(r > 58) & (r < 66)].mean()), float(effect[r < 20].mean())
    assert rim - middle > 3.0


def test_between_two_dense_bones_it_is_darker_than_above_them():
    image, _ = disk(80.0, 35.0)
    image[0, 30:50, 58:70] = 1800.0
    image[0, 78:98, 58:70] = 1800.0
    effect = beam_effects(image, 2.0, torch.Generator().manual_seed(0)).hardening[0]
    assert float(effect[58:70, 60:68].mean()) < float(effect[58:70, 90:98].mean()) - 5.0


def test_noise_is_stronger_behind_more_attenuation():
    small, _ = disk(50.0)
    large, _ = disk(95.0)
    g = torch.Generator().manual_seed(0)
    noise = beam_effects(torch.cat([small, large]), 2.0, g).noise
    assert float(noise[1, 60:68, 60:68].mean()) > 1.3 * float(noise[0, 60:68, 60:68].mean())


def test_a_smoother_kernel_blurs_edges_and_leaves_flat_parts():
    image, r = disk(70.0, 40.0)
    brain = (r < 60).float()[None]
    quiet = {"noise_hu": 1e-4, "hardening": 0.0, "streak_hu": 0.0, "holder": False}
    sharp, smooth = (scan_slices(image, brain, 2.0, Scanner(kernel_mm=k, **quiet), Draws(0)) for k in (0.3, 3.0))
    assert float((sharp[0] - 40)[r < 50].abs().max()) <= 2.0
    assert float((smooth[0] - 40)[r < 50].abs().max()) <= 2.0
    edge = (r > 66) & (r < 70)
    assert float(smooth[0][edge].mean()) < float(sharp[0][edge].mean()) - 50


def test_exports_saturate_and_cut_fields_are_padded():
    image, r = disk(70.0, 40.0)
    brain = (r < 60).float()[None]
    window = scan_slices(image, brain, 2.0, Scanner(window=(0.0, 80.0), saturated=(-1000.0, 1000.0)), Draws(0))
    assert not bool(((window > -1000) & (window <= 0)).any())
    assert not bool(((window >= 80) & (window < 1000)).any())
    cut = scan_slices(image, brain, 2.0, Scanner(field_mm=60.0), Draws(0))
    assert float(cut[0][r > 64].max()) == -1024.0


def test_slope_and_offset_are_applied_to_hu():
    image, r = disk(70.0, 50.0)
    brain = (r < 60).float()[None]
    scanner = Scanner(noise_hu=1e-4, hardening=0.0, streak_hu=0.0, slope=1.1, offset_hu=4.0, holder=False)
    got = scan_slices(image, brain, 2.0, scanner, Draws(0))
    assert float(got[0][r < 40].median()) == pytest.approx(59.0, abs=1.0)


QUIET = {"noise_hu": 1e-4, "hardening": 0.0, "streak_hu": 0.0, "holder": False}


def test_glare_brightens_brain_the_more_the_nearer_it_lies_to_bone():
    image, r = disk(70.0, 35.0, shell_mm=8.0)
    brain = (r < 60).float()[None]
    plain, glared = (scan_slices(image, brain, 2.0, Scanner(glare=g, **QUIET), Draws(0))[0] for g in (0.0, 0.05))
    gain = [float((glared - plain)[(r > a) & (r < a + 3)].mean()) for a in (20.0, 58.0, 62.0, 65.0)]
    assert abs(gain[0]) <= 0.5
    assert gain[0] < gain[1] < gain[2] < gain[3]
    assert gain[3] > 5.0


def test_slices_reach_into_their_neighbors_by_the_share_that_is_asked_for():
    """A flat slice of 100 HU between two of 0 HU keeps 80, and each of its neighbors gets 10."""
    image = torch.zeros(5, 64, 64)
    image[2] = 100.0
    got = scan_slices(image, torch.ones_like(image), 2.0, Scanner(tails=0.1, **QUIET), Draws(0))
    assert [float(plane[20:44, 20:44].median()) for plane in got] == pytest.approx([0, 10, 80, 10, 0], abs=1.0)
