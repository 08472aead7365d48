"""Whole cases: truth of volumes, places, densities, noise, and that a seed is a case."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from hemorrhage.errors import ScanError
from hemorrhage.geometry import shear_degrees, voxel_volume_ml
from hemorrhage.phantom import Scanner, make_case
from hemorrhage.phantom.slices import grid_affine
from hemorrhage.subtypes import BY_NAME

SPACING, SHAPE = (1.2, 1.2, 5.0), (192, 192, 32)
QUIET = Scanner(noise_hu=0.5, hardening=0.0, streak_hu=0.0, holder=False)
VOLUMES = {"EDH": 20.0, "SDH": 30.0, "SAH": 4.0, "IPH": 15.0, "IVH": 6.0}


@pytest.fixture(scope="module")
def cases():
    return {
        name: make_case(11, subtypes=[name], volume_ml=ml, spacing_mm=SPACING, shape=SHAPE, scanner=QUIET)
        for name, ml in VOLUMES.items()
    }


@pytest.mark.parametrize("name", VOLUMES)
def test_voxel_labels_amount_to_the_stated_and_the_wanted_volume(cases, name):
    case = cases[name]
    ml = int((case.label == BY_NAME[name].index).sum()) * voxel_volume_ml(case.affine)
    assert case.truth["subtypes"][name]["ml"] == pytest.approx(ml)
    assert ml == pytest.approx(VOLUMES[name], rel=0.01)
    assert set(case.label.unique().tolist()) == {0, BY_NAME[name].index}


@pytest.mark.parametrize("name", VOLUMES)
def test_no_bleed_lies_outside_the_brain_case(cases, name):
    assert int(((cases[name].label > 0) & (cases[name].brain == 0)).sum()) == 0


@pytest.mark.parametrize("name", ["EDH", "SDH"])
def test_collections_touch_the_inner_table(cases, name):
    case = cases[name]
    inside = ndimage.distance_transform_edt(case.brain.numpy(), sampling=SPACING)
    touching = inside[(case.label > 0).numpy()]
    # The voxel beside the table is white with bone, and nobody marks it.
    assert touching.min() <= 2 * SPACING[0] + 1e-6
    # A layer on the table: most of it is near, and brain proper is not filled.
    assert np.median(touching) < 12.0


def test_intraparenchymal_blood_leaves_the_table_and_ventricular_blood_lies_deep(cases):
    for name, least in (("IPH", 1.0), ("IVH", 10.0)):
        inside = ndimage.distance_transform_edt(cases[name].brain.numpy(), sampling=SPACING)
        assert inside[(cases[name].label > 0).numpy()].min() > least


@pytest.mark.parametrize("name", ["SAH", "IVH"])
def test_blood_in_csf_replaces_csf(name):
    """The same head without blood is darker than brain where the label lies."""
    bled = make_case(23, subtypes=[name], volume_ml=3.0, spacing_mm=SPACING, shape=SHAPE, scanner=QUIET, pose=False)
    clean = make_case(23, subtypes=[], spacing_mm=SPACING, shape=SHAPE, scanner=QUIET, pose=False)
    where = bled.label > 0
    gray = clean.truth["head"]["gray"]
    assert float(clean.hu[where].median()) < gray - 5
    assert float(bled.hu[where].median()) > float(clean.hu[where].median()) + 5


@pytest.mark.parametrize(("name", "wanted", "ml"), [("IPH", 60.0, 30.0), ("SDH", 52.0, 3.0), ("EDH", 46.0, 3.0)])
@pytest.mark.parametrize("kernel_mm", [0.3, 0.9])
def test_blood_measures_the_wanted_density_behind_any_kernel(name, wanted, ml, kernel_mm):
    """Thin blood beside bone too, where a wide kernel and the rim of beam hardening would brighten it by tens of HU."""
    scanner = Scanner(noise_hu=0.5, hardening=1.0, streak_hu=0.0, holder=False, kernel_mm=kernel_mm)
    case = make_case(31, subtypes=[name], volume_ml=ml, density_hu={name: wanted}, spacing_mm=(0.9, 0.9, 5.0),
                     shape=(256, 256, 32), scanner=scanner)  # fmt: skip
    assert case.truth["subtypes"][name]["hu"] == pytest.approx(wanted, abs=2.0)


@pytest.mark.parametrize("name", ["EDH", "SDH"])
def test_labels_hold_no_voxel_that_bone_has_turned_white(name):
    """In the masks of CT-ICH at most a fourteenth of a slice's marked voxels measure above 90 HU."""
    case = make_case(31, subtypes=[name], volume_ml=5.0, density_hu={name: 50.0}, spacing_mm=(0.6, 0.6, 5.0),
                     shape=(360, 360, 32), scanner=QUIET)  # fmt: skip
    assert float((case.hu[case.label > 0] > 90).float().mean()) < 0.07


def test_same_seed_same_case_and_another_seed_another():
    first, again, other = (make_case(s, spacing_mm=(1.8, 1.8, 8), shape=(128, 128, 18)) for s in (5, 5, 6))
    assert torch.equal(first.hu, again.hu)
    assert torch.equal(first.label, again.label)
    assert first.truth == again.truth
    assert not torch.equal(first.hu, other.hu)


def test_tissue_lies_in_its_range():
    case = make_case(8, subtypes=[], spacing_mm=SPACING, shape=SHAPE, scanner=QUIET)
    brain = case.hu[torch.from_numpy(ndimage.binary_erosion(case.brain.numpy(), iterations=3))]
    low, median, high = (float(torch.quantile(brain[::7], q)) for q in (0.02, 0.5, 0.95))
    assert -5 < low < 30
    assert 24 < median < 42
    assert 30 < high < 75
    assert float(case.hu.min()) >= -1024
    assert float(case.hu.max()) <= 3071
    assert float((case.hu < -900).float().mean()) > 0.3
    # calvarium: the densest hundredth
    assert 400 < float(torch.quantile(case.hu[case.hu > 250][::11], 0.9)) < 2200
    assert torch.equal(case.hu, case.hu.round())


@pytest.mark.parametrize("noise", [2.0, 6.0])
def test_noise_has_the_asked_standard_deviation(noise):
    shape = (256, 256, 12)
    scans = [
        make_case(3, subtypes=[], spacing_mm=(0.9, 0.9, 5.0), shape=shape, pose=False,
                  scanner=Scanner(noise_hu=n, hardening=0.0, streak_hu=0.0, holder=False))
        for n in (1e-6, noise)
    ]  # fmt: skip
    difference = (scans[1].hu - scans[0].hu)[scans[0].brain > 0]
    # Both were rounded to whole HU, each with a variance of 1/12.
    assert float((difference.var() - 1 / 6).sqrt()) == pytest.approx(noise, rel=0.1)


def test_tilted_grids_turn_and_sheared_ones_shear():
    turned = grid_affine((10, 10, 5), (1, 1, 5), 20.0)
    assert shear_degrees(turned) == pytest.approx(0.0, abs=1e-6)
    sheared = grid_affine((10, 10, 5), (1, 1, 5), 20.0, sheared=True)
    assert shear_degrees(sheared) == pytest.approx(20.0, abs=1e-6)
    assert voxel_volume_ml(sheared) == pytest.approx(0.005)
    assert sheared[:3, 2] == pytest.approx([0, 0, 5 / np.cos(np.radians(20))])


def test_grids_are_centered():
    affine = grid_affine((11, 21, 31), (2, 3, 4), 13.0, (5, 6, 7))
    assert (affine @ [5, 10, 15, 1])[:3] == pytest.approx([5, 6, 7])


def test_bad_requests_are_refused_by_name():
    with pytest.raises(ScanError, match="E_OPTION"):
        make_case(0, subtypes=["XYZ"])
    with pytest.raises(ScanError, match="E_OPTION"):
        make_case(0, subtypes=["IPH", "IVH"], volume_ml=3.0)
    with pytest.raises(ScanError, match="E_NO_ROOM"):
        make_case(0, subtypes=["IPH"], volume_ml=5000.0, spacing_mm=(4, 4, 8), shape=(40, 40, 10))


def test_no_voxel_that_the_scanner_turned_white_is_labeled():
    """Readers mark next to none above 90 HU, and the truth counts what is left."""
    glaring = Scanner(noise_hu=1.0, hardening=2.8, glare=0.08, glare_mm=10.0, tails=0.05)
    case = make_case(3, subtypes=["SDH"], volume_ml=15.0, spacing_mm=(1.5, 1.5, 5.0), scanner=glaring)
    inside = case.label > 0
    assert float((case.hu[inside] > 100).float().mean()) < 0.05
    truth = case.truth["subtypes"]["SDH"]
    assert truth["ml"] == pytest.approx(float(inside.sum()) * 1.5 * 1.5 * 5.0 / 1000)
    assert 0 < truth["ml"] < truth["wanted_ml"]


def test_blood_beside_bright_bone_stays_denser_than_brain_would_be_there():
    """Made so faint that its median is what was asked for, it would be darker than the brain around it."""
    glaring = Scanner(noise_hu=1.0, hardening=2.8, glare=0.08, glare_mm=10.0, streak_hu=0.0, holder=False)
    scans = [
        make_case(2, subtypes=names, volume_ml=dict.fromkeys(names, 12.0), density_hu=dict.fromkeys(names, 50.0),
                  spacing_mm=(1.5, 1.5, 5.0), scanner=glaring, pose=False)
        for names in (["EDH"], [])
    ]  # fmt: skip
    there = scans[0].label > 0
    assert float((scans[0].hu - scans[1].hu)[there].median()) > 4
