"""What a classifier of single voxels is told about each: intensities around it, its place and the other side."""

from __future__ import annotations

import torch
from monai.networks.layers import GaussianFilter
from torch.nn import functional

from hemorrhage.baselines.thresholds import HU_OF_ONE

__all__ = ["FEATURES", "voxel_features"]

_SMOOTHED_MM = (5.0, 10.0, 20.0)
_BLOOD_HU = (40.0, 80.0)
# Muschelli et al. 2017 (PItcHPERFeCT), "Imaging Predictors".
FEATURES = (
    "HU", "z axial", "z coronal", "z sagittal", "local mean", "local SD", "local skew", "local kurtosis",
    "smoothed 5 mm", "smoothed 10 mm", "smoothed 20 mm", "mm to center", "left minus right", "z to template",
    "share of 40 to 80 HU",
)  # fmt: skip


def _box_mean(x: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool3d(x, 3, stride=1, padding=1, count_include_pad=False)


def _moments(hu: torch.Tensor) -> list[torch.Tensor]:
    mean = _box_mean(hu)
    second, third, fourth = (_box_mean(hu**n) for n in (2, 3, 4))
    variance = (second - mean**2).clamp(min=0)
    deviation = variance.sqrt()
    # Central moments from raw ones; a flat neighborhood has neither skew nor kurtosis.
    flat = deviation < 0.5
    skew = (third - 3 * mean * second + 2 * mean**3) / deviation.clamp(min=0.5) ** 3
    kurtosis = (fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4) / variance.clamp(min=0.25) ** 2
    return [mean, deviation, skew.masked_fill(flat, 0), kurtosis.masked_fill(flat, 0)]


def _plane_scores(hu: torch.Tensor, brain: torch.Tensor, axis: int) -> torch.Tensor:
    others = [d for d in (2, 3, 4) if d != axis]
    count = brain.sum(others, keepdim=True).clamp(min=2)
    mean = (hu * brain).sum(others, keepdim=True) / count
    variance = ((hu - mean) ** 2 * brain).sum(others, keepdim=True) / count
    return (hu - mean) / variance.clamp(min=1).sqrt()


def voxel_features(x: torch.Tensor, spacing_mm: float, mean_hu: torch.Tensor, sd_hu: torch.Tensor) -> torch.Tensor:
    """Features of every voxel, in the order of :data:`FEATURES`.

    Args:
        x: (B, 1, I, J, K) in the configs' normalization (40 HU are 1), in the template's space with the first axis from
            left to right or right to left, 0 outside the brain.
        spacing_mm: distance between voxels.
        mean_hu: (1, 1, I, J, K) mean of training heads at each voxel.
        sd_hu: likewise their SD.

    Returns:
        (B, 15, I, J, K) float32; outside the brain without meaning.
    """
    hu = x.float() * HU_OF_ONE
    brain = (hu != 0).float()
    features = [hu, *(_plane_scores(hu, brain, axis) for axis in (4, 3, 2)), *_moments(hu)]
    # Divided by the smoothed brain, so that the zeros outside do not darken its edge.
    for mm in _SMOOTHED_MM:
        smooth = GaussianFilter(3, mm / spacing_mm).to(hu.device)
        features.append(smooth(hu) / smooth(brain).clamp(min=0.05))
    grid = torch.stack(
        torch.meshgrid(*(torch.arange(n, device=hu.device, dtype=torch.float32) for n in hu.shape[2:]), indexing="ij")
    )
    count = brain.sum((2, 3, 4)).clamp(min=1)
    center = (grid[None] * brain).sum((2, 3, 4)) / count
    features.append((grid[None] - center[:, :, None, None, None]).norm(dim=1, keepdim=True) * spacing_mm)
    smooth = GaussianFilter(3, 3.0 / spacing_mm).to(hu.device)
    blurred = smooth(hu)
    features.append(blurred - blurred.flip(2))
    features.append((blurred - mean_hu) / sd_hu.clamp(min=1))
    features.append(_box_mean(((hu >= _BLOOD_HU[0]) & (hu <= _BLOOD_HU[1])).float()))
    return torch.cat(features, 1)
