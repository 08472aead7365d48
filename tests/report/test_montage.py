import numpy as np
from matplotlib.image import imread

from hemorrhage.report.montage import montage_slices, save_montage
from hemorrhage.subtypes import SUBTYPES


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


def test_subtypes_have_their_colors(tmp_path):
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    labels = np.zeros((60, 60, 2), np.uint8)
    labels[5:25, 20:40], labels[35:55, 20:40] = 1, 3  # epidural on the left, subarachnoid on the right
    black = np.zeros(labels.shape, np.float32)
    save_montage(tmp_path / "m.png", black, labels, labels > 0, affine, "", segments=SUBTYPES)
    picture = imread(tmp_path / "m.png")[: 220 * 3 // 4, :, :3]
    for subtype in SUBTYPES:
        tint = 0.45 * np.array(subtype.rgb) / 255
        shown = (np.abs(picture - tint) < 0.02).all(-1).sum()
        assert (shown > 500) == (subtype.index in (1, 3)), subtype
