"""Blood is not looked for in what bone has whitened."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from hemorrhage.phantom import TemplatePhantoms
from hemorrhage.transforms.bone_edge import BloodSpaced, bone_edge


def head():
    """A cube of brain in a shell of bone, with a rim of partial volume that the mask holds."""
    hu = np.full((20, 20, 20), 1000.0, dtype=np.float32)
    hu[2:18, 2:18, 2:18] = 300.0
    hu[3:17, 3:17, 3:17] = 35.0
    brain = np.zeros(hu.shape, dtype=np.uint8)
    brain[2:18, 2:18, 2:18] = 1
    return hu, brain


def test_the_rim_is_bone_and_the_rest_is_not():
    hu, brain = head()
    assert bone_edge(hu, brain).sum() == 16**3 - 14**3
    assert not bone_edge(hu, brain)[3:17, 3:17, 3:17].any()


def test_a_bleed_on_the_table_keeps_every_voxel():
    hu, brain = head()
    hu[3:7, 5:12, 5:12] = 90.0
    assert not bone_edge(hu, brain)[3:7, 5:12, 5:12].any()


def test_what_lies_free_within_the_brain_is_no_bone():
    hu, brain = head()
    hu[8:12, 8:12, 8:12] = 1000.0  # the core of a clot that an exported window saturated
    assert not bone_edge(hu, brain)[4:16, 4:16, 4:16].any()
    hu[3:9, 10, 10] = 150.0  # a bridge to the skull makes it bone
    assert bone_edge(hu, brain)[8:12, 8:12, 8:12].all()


def test_no_brain_no_edge():
    hu, brain = head()
    assert not bone_edge(hu, 0 * brain).any()


def test_a_mask_that_fills_the_field_of_view_has_no_outside():
    hu, brain = head()
    assert not bone_edge(hu, np.ones_like(brain)).any()


def test_the_space_is_brain_without_edge_on_the_same_grid():
    hu, brain = head()
    affine = torch.diag(torch.tensor([0.5, 0.5, 5.0, 1.0], dtype=torch.float64))
    data = {
        "image": MetaTensor(torch.from_numpy(hu[None]), affine=affine),
        "brain": MetaTensor(torch.from_numpy(brain[None]), affine=affine),
    }
    found = BloodSpaced()(data)
    assert found["blood_space"].dtype == torch.uint8
    assert int(found["blood_space"].sum()) == 14**3
    assert int(found["brain"].sum()) == 16**3  # stays as it was
    assert torch.equal(found["blood_space"].affine, affine)


@pytest.mark.parametrize("subtype", ["EDH", "SDH"])
def test_bleeds_on_the_skull_lose_little(subtype):
    """Labels leave whitened voxels out, but a wide kernel may whiten some of them all the same."""
    lost = labeled = 0
    for seed in (32, 33, 34):
        wanted = {"positive_fraction": 1.0, "subtypes": [subtype], "volume_ml": (15, 40)}
        case = TemplatePhantoms(1, 64, 3.0, seed=seed, **wanted)[0]
        label = np.asarray(case["label"][0]) > 0
        edge = bone_edge(np.asarray(case["image"][0]), np.asarray(case["brain"][0]))
        assert edge.sum() > 100
        lost, labeled = lost + int((label & edge).sum()), labeled + int(label.sum())
    assert labeled * 0.027 > 30
    assert lost <= 0.02 * labeled
