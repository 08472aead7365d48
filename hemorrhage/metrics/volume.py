"""How well automatic volumes agree with manual ones over many scans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["WITHIN_ML", "VolumeAgreement", "local_regression", "volume_agreement"]

# Change that the MISTIE protocol calls stable, and about what two readers differ by (DeepBleed, "Volume Comparison").
WITHIN_ML = 5.0


@dataclass(frozen=True)
class VolumeAgreement:
    """Agreement of automatic with manual volumes; differences are automatic minus manual.

    Attributes:
        r: Pearson's correlation; NaN with fewer than three scans, because any two lie on a line, or where one of
            the two volumes does not vary.
        ccc: Lin's concordance correlation (Biometrics 1989): also falls with a bias or another slope. NaN likewise.
        rmse_ml: root of the mean squared difference.
        within_5_ml: share of scans whose volumes differ by at most 5 mL.
        bias_ml: mean difference; negative is underestimated.
        limit_low_ml: lower 95 % limit of agreement, bias - 1.96 SD (Bland and Altman 1986); NaN with one scan.
        limit_high_ml: upper limit.
    """

    r: float
    ccc: float
    rmse_ml: float
    within_5_ml: float
    bias_ml: float
    limit_low_ml: float
    limit_high_ml: float


def volume_agreement(manual_ml: ArrayLike, automatic_ml: ArrayLike) -> VolumeAgreement:
    """Agreement of paired volumes.

    A scan without blood counts with 0 mL in either: volumes need no value for empty masks.

    Args:
        manual_ml: (N,) reference volumes.
        automatic_ml: (N,) measured volumes.

    Returns:
        the measures, all NaN without a scan.

    Raises:
        ValueError: if the lists differ in length or a volume is not finite.
    """
    x, y = np.asarray(manual_ml, dtype=np.float64), np.asarray(automatic_ml, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or not np.isfinite([x, y]).all():
        raise ValueError(f"volumes must be two lists of finite numbers of one length, got {x.shape} and {y.shape}")
    nan = float("nan")
    if not x.size:
        return VolumeAgreement(nan, nan, nan, nan, nan, nan, nan)
    difference = y - x
    bias = float(difference.mean())
    r = ccc = low = high = nan
    if x.size > 1:
        reach = 1.96 * float(difference.std(ddof=1))
        low, high = bias - reach, bias + reach
        covariance = float(((x - x.mean()) * (y - y.mean())).mean())
        if x.size > 2 and x.std() > 0 and y.std() > 0:
            r = covariance / float(x.std() * y.std())
            ccc = 2 * covariance / float(x.var() + y.var() + bias**2)
    return VolumeAgreement(
        r=r,
        ccc=ccc,
        rmse_ml=float(np.sqrt((difference**2).mean())),
        within_5_ml=float((np.abs(difference) <= WITHIN_ML).mean()),
        bias_ml=bias,
        limit_low_ml=low,
        limit_high_ml=high,
    )


def local_regression(x: ArrayLike, y: ArrayLike, at: ArrayLike, share: float = 0.75) -> np.ndarray:
    """Loess: at each point a straight line through the nearest points, weighted by tricubes (Cleveland 1979).

    Degree 1, one pass without robustness weights. Libraries that have it are large for one curve.

    Args:
        x: (N,) places.
        y: (N,) values.
        at: (M,) places of the curve.
        share: share of the points that each line is fitted to; at least three.

    Returns:
        (M,) values; NaN with fewer than three points.
    """
    places, values, wanted = (np.asarray(v, dtype=np.float64) for v in (x, y, at))
    if places.size < 3:
        return np.full(wanted.shape, np.nan)
    count = int(np.clip(np.ceil(share * places.size), 3, places.size))
    curve = np.empty(wanted.shape)
    for n, here in enumerate(wanted):
        distance = np.abs(places - here)
        reach = np.partition(distance, count - 1)[count - 1]
        # A little beyond the farthest of the nearest, which would else count for nothing.
        weight = np.clip(1 - (distance / max(reach * 1.0001, 1e-12)) ** 3, 0, None) ** 3
        center = np.average(places, weights=weight)
        spread = np.average((places - center) ** 2, weights=weight)
        level = np.average(values, weights=weight)
        slope = np.average((places - center) * (values - level), weights=weight) / spread if spread > 1e-12 else 0.0
        curve[n] = level + slope * (here - center)
    return curve
