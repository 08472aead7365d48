import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from hemorrhage.handlers.volume_error import VolumeErrorMetric

AFFINE = torch.diag(torch.tensor([0.5, 0.5, 5.0, 1.0], dtype=torch.float64))  # 1.25 mm3 a voxel


def masks(predicted, reference):
    y_pred, y = torch.zeros(1, 20, 20, 4), torch.zeros(1, 20, 20, 4)
    y_pred.view(-1)[:predicted] = 1
    y.view(-1)[:reference] = 1
    return MetaTensor(y_pred, affine=AFFINE), MetaTensor(y, affine=AFFINE)


@pytest.mark.parametrize(("predicted", "reference", "ml"), [(800, 400, 0.5), (0, 400, -0.5), (80, 0, 0.1), (0, 0, 0.0)])
def test_automatic_minus_manual_in_ml(predicted, reference, ml):
    metric = VolumeErrorMetric()
    y_pred, y = masks(predicted, reference)
    metric([y_pred], [y])
    assert metric.aggregate().item() == pytest.approx(ml)


def test_mean_over_cases():
    metric = VolumeErrorMetric()
    for predicted, reference in ((800, 0), (0, 400)):
        y_pred, y = masks(predicted, reference)
        metric([y_pred], [y])
    assert metric.aggregate().item() == pytest.approx((1.0 - 0.5) / 2)
    assert np.asarray(metric.get_buffer()).ravel().tolist() == pytest.approx([1.0, -0.5])
