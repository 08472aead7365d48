"""The error in mL as an ignite metric of MONAI's kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.data import MetaTensor
from monai.handlers import IgniteMetricHandler
from monai.metrics import CumulativeIterationMetric, do_metric_reduction

from hemorrhage.geometry import voxel_volume_ml

__all__ = ["VolumeError", "VolumeErrorMetric"]


class VolumeErrorMetric(CumulativeIterationMetric):
    """Volume of the prediction minus volume of the reference, in mL; defined for empty masks too.

    DeepBleed ("Statistical Analysis"): mean difference, automatic minus manual.
    """

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        if y is None or not isinstance(y, MetaTensor):
            raise ValueError("volumes need the reference as a MetaTensor: its affine is the size of a voxel")
        # A batch of one, which is how MONAI hands over decollated items, keeps the item's own affine.
        affine = y.affine if y.affine.ndim == 2 else y.affine[0]
        voxels = (y_pred > 0).flatten(2).sum(-1) - (y > 0).flatten(2).sum(-1)
        return torch.as_tensor(voxels).double() * voxel_volume_ml(affine.cpu().numpy())

    def aggregate(self, reduction: str = "mean") -> torch.Tensor:
        """Mean over all cases in mL."""
        return do_metric_reduction(self.get_buffer(), reduction)[0]


class VolumeError(IgniteMetricHandler):
    """Attach :class:`VolumeErrorMetric` to an evaluator; the error of each case goes to the metric details.

    Args:
        output_transform: picks prediction and reference from the engine's output, as for MONAI's ``MeanDice``.
    """

    def __init__(self, output_transform: Callable[[Any], Any], save_details: bool = True) -> None:
        super().__init__(metric_fn=VolumeErrorMetric(), output_transform=output_transform, save_details=save_details)
