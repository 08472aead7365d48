import numpy as np
from matplotlib.image import imread

from hemorrhage.report.montage import montage_slices, save_montage


def test_the_bloodiest_slice_is_always_shown():
    mask, brain = np.zeros((4, 4, 100), bool), np.zeros((4, 4, 100), bool)
    brain[..., 10:90] = True
    mask[0, 0, 37] = True
    chosen = montage_slices(mask, brain, 5)
    assert 37 in chosen
    assert len(chosen) <= 6
    assert min(chosen) >= 10
    assert max(chosen) <= 89


def test_left_of_the_patient_is_right_in_the_picture(tmp_path):
    shape = (60, 60, 1)
    affine = np.diag([1.0, 1.0, 5.0, 1.0])  # RAS: the first index runs to the patient's right
    hu = np.zeros(shape, np.float32)
    mask = np.zeros(shape, bool)
    mask[2:22, 30:58, 0] = True  # small x, large y: the patient's left, anterior
    save_montage(tmp_path / "m.png", hu, mask, mask, affine, "t")
    picture = imread(tmp_path / "m.png")[..., :3]
    red = (picture[..., 0] > 0.25) & (picture[..., 1] < 0.15)
    rows, columns = np.nonzero(red)
    body = rows < 0.75 * picture.shape[0]  # the legend below is red too
    assert body.sum() > 500
    assert columns[body].mean() > 0.55 * picture.shape[1]
    assert rows[body].mean() < 0.5 * picture.shape[0]


def test_odd_grids_are_drawn(tmp_path):
    affine = np.array([[0, 0, 3.0, 0], [-0.4, 0, 0, 0], [0, 0.7, 0, 0], [0, 0, 0, 1]])  # sagittal, permuted
    hu = np.zeros((20, 33, 7), np.float32)
    save_montage(tmp_path / "m.png", hu, hu > 1, hu > -1, affine, "")
    assert imread(tmp_path / "m.png").std() > 0
