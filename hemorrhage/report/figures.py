"""The figures of an evaluation: pure functions from numbers to PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from hemorrhage.evaluation.summary import FAILED_BELOW
from hemorrhage.metrics.detection import auc_interval, operating_point, roc_auc
from hemorrhage.metrics.volume import WITHIN_ML, local_regression, volume_agreement

__all__ = ["FEWEST_FOR_CURVES", "bland_altman", "dice_boxes", "roc", "save_figures", "volume_scatter"]

FEWEST_FOR_CURVES = 10  # a curve through fewer dots would follow each of them

_GRAY, _BLUE, _RED, _PINK = "#555555", "#0072B2", "#D55E00", "#CC79A7"
_COLORS = (_BLUE, _RED, _PINK, "#009E73", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito
_DOTS: dict[str, Any] = {"s": 18, "color": "#333333", "alpha": 0.55, "linewidths": 0, "zorder": 3}


def _figure(width: float = 5.2, height: float = 4.4) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(stream, format="png", dpi=130, metadata={"Software": None})
    return stream.getvalue()


def _volumes(
    manual_ml: Sequence[float], automatic_ml: Sequence[float], title: str, x_label: str, y_label: str
) -> tuple[np.ndarray, np.ndarray, Figure, Axes]:
    """Both volumes as arrays, and a figure of them that waits for its dots."""
    figure, axes = _figure()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title, fontsize=10)
    return np.asarray(manual_ml, dtype=np.float64), np.asarray(automatic_ml, dtype=np.float64), figure, axes


def _local_curve(axes: Axes, x: np.ndarray, y: np.ndarray, color: str) -> None:
    at = np.linspace(x.min(), x.max(), 60)
    axes.plot(at, local_regression(x, y, at), color=color, linewidth=1.6, label="local (loess)")


def _enough(x: np.ndarray) -> bool:
    return x.size >= FEWEST_FOR_CURVES and np.ptp(x) > 0


def _legend_below(figure: Figure, columns: int) -> None:
    # Inside the axes it would hide dots: nobody knows beforehand where there are none.
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def dice_boxes(dice_by_model: Mapping[str, Sequence[float]]) -> bytes:
    """Box plots of Dice of scans with blood, a box a model (DeepBleed, Fig. 2), every scan a dot on it.

    Args:
        dice_by_model: values of each model, whose number stands behind its name; an empty list leaves a gap.

    Returns:
        a PNG.
    """
    figure, axes = _figure(max(4.2, 1.1 * len(dice_by_model) + 1.6))
    values = [np.asarray(v, dtype=np.float64) for v in dice_by_model.values()]
    places = np.arange(1, len(values) + 1)
    axes.boxplot(values, positions=places, widths=0.5, showfliers=False, medianprops={"color": _RED, "linewidth": 1.6})
    generator = np.random.default_rng(0)
    for place, found in zip(places, values, strict=True):
        axes.scatter(place + generator.uniform(-0.16, 0.16, found.size), found, **_DOTS)
    axes.axhline(FAILED_BELOW, color=_GRAY, linestyle=":", linewidth=1)
    names = [f"{name} ({found.size})" for name, found in zip(dice_by_model, values, strict=True)]
    slanted = sum(map(len, names)) > 12 * len(names) or len(names) > 3
    turn: dict[str, Any] = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axes.set_xticks(places, names, **turn)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("Dice")
    return _png(figure)


def _square(axes: Axes, most: float) -> None:
    axes.set_xlim(0, most)
    axes.set_ylim(0, most)
    axes.set_aspect("equal")


def volume_scatter(manual_ml: Sequence[float], automatic_ml: Sequence[float], title: str = "") -> bytes:
    """Manual against automatic volume, with the identity, a straight and a local regression (DeepBleed, Fig. 5).

    Args:
        manual_ml: (N,) reference volumes.
        automatic_ml: (N,) measured volumes.
        title: above the figure.

    Returns:
        a PNG; both regressions from ten scans on.
    """
    x, y, figure, axes = _volumes(manual_ml, automatic_ml, title, "manual volume (mL)", "automatic volume (mL)")
    most = 1.05 * max(1.0, *x, *y) if x.size else 1.0
    axes.plot([0, most], [0, most], color="black", linewidth=1, label="identity")
    axes.scatter(x, y, **_DOTS)
    if _enough(x):
        ends = np.array([x.min(), x.max()])
        axes.plot(ends, np.polyval(np.polyfit(x, y, 1), ends), color=_BLUE, linewidth=1.4, label="straight line")
        _local_curve(axes, x, y, _RED)
    _square(axes, most)
    _legend_below(figure, 3)
    return _png(figure)


def bland_altman(manual_ml: Sequence[float], automatic_ml: Sequence[float], title: str = "") -> bytes:
    """Difference of volumes over their mean, automatic minus manual (DeepBleed, Fig. 6, has manual minus automatic).

    Args:
        manual_ml: (N,) reference volumes.
        automatic_ml: (N,) measured volumes.
        title: above the figure.

    Returns:
        a PNG, with lines at 0 and at +-5 mL, bias and limits of agreement (from two scans on), and a local regression
        (from ten on).
    """
    labels = "mean of both volumes (mL)", "automatic minus manual (mL)"
    x, y, figure, axes = _volumes(manual_ml, automatic_ml, title, *labels)
    mean, difference = (x + y) / 2, y - x
    agreement = volume_agreement(x, y)
    limits = [v for v in (agreement.limit_low_ml, agreement.limit_high_ml) if np.isfinite(v)]
    reach = 1.15 * max(2 * WITHIN_ML, *np.abs(difference), *map(abs, limits)) if x.size else 2 * WITHIN_ML
    axes.axhline(0, color="black", linewidth=1)
    for sign in (-1, 1):
        axes.axhline(sign * WITHIN_ML, color=_RED, linewidth=1, label="±5 mL" if sign > 0 else None)
    if limits:
        axes.axhspan(
            *limits, color=_BLUE, alpha=0.08, linewidth=0, label="limits {:+.1f} to {:+.1f} mL".format(*limits)
        )
        axes.axhline(
            agreement.bias_ml, color=_BLUE, linestyle="--", linewidth=1.3, label=f"bias {agreement.bias_ml:+.1f} mL"
        )
    axes.scatter(mean, difference, **_DOTS)
    if _enough(mean):
        _local_curve(axes, mean, difference, _PINK)
    axes.set_ylim(-reach, reach)
    _legend_below(figure, 3)
    return _png(figure)


def roc(scores_by_name: Mapping[str, tuple[Sequence[int], Sequence[float]]], intervals: bool = True) -> bytes:
    """ROC curves with the points of full sensitivity and of a score of 0.5.

    Args:
        scores_by_name: labels (0 or 1) and scores of each curve.
        intervals: state DeLong's interval, which takes each score for that of another patient.

    Returns:
        a PNG; a curve of one class alone is named and left out.
    """
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color=_GRAY, linestyle=":", linewidth=1)
    for (name, (labels, scores)), color in zip(scores_by_name.items(), cycle(_COLORS), strict=False):
        truth, score = np.asarray(labels), np.asarray(scores, dtype=np.float64)
        area = roc_auc(truth, score)
        if np.isnan(area):
            kind = "all with blood" if truth.any() else "none with blood"
            axes.plot([], [], color=color, label=f"{name}: {kind}, so there is no curve")
            continue
        low, high = auc_interval(truth, score) if intervals else (np.nan, np.nan)
        said = f" ({low:.3f} to {high:.3f})" if np.isfinite(low) else ""
        fpr, tpr, _ = roc_curve(truth, score)
        axes.step(fpr, tpr, where="post", color=color, linewidth=1.5, label=f"{name}: AUC {area:.3f}{said}")
        full = operating_point(truth, score, 1.0)
        axes.plot(
            1 - full.specificity,
            full.sensitivity,
            marker="o",
            color=color,
            markersize=8,
            fillstyle="none",
            clip_on=False,
        )
        called = score >= 0.5
        axes.plot(
            called[truth == 0].mean(), called[truth == 1].mean(), marker="s", color=color, markersize=6, clip_on=False
        )
    axes.plot([], [], marker="o", color=_GRAY, linestyle="", fillstyle="none", label="all bleeds found")
    axes.plot([], [], marker="s", color=_GRAY, linestyle="", label="score of at least 0.5")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal")
    axes.set_xlabel("1 - specificity")
    axes.set_ylabel("sensitivity")
    _legend_below(figure, 2)
    return _png(figure)


def save_figures(folder: Path, figures: Mapping[str, bytes]) -> None:
    """Write each figure as a PNG of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, png in figures.items():
        (folder / f"{name}.png").write_bytes(png)
