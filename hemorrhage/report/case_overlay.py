"""A scan with what was found, what was missed and what was invented."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from skimage.transform import resize

from hemorrhage.report.montage import BRAIN_WINDOW, head_window, radiological

__all__ = ["COLORS", "case_overlay", "telling_slices"]

# DeepBleed, Fig. 3 and 4.
COLORS = {"found": (0, 190, 80), "invented": (225, 40, 40), "missed": (50, 110, 255)}
_PIXELS = 220


def telling_slices(reference: np.ndarray, prediction: np.ndarray, most: int) -> list[int]:
    """Slices along the last axis with the most blood in either mask, in order; the middle one where there is none.

    Half of them are those with the most blood, the others those with the most disagreement.
    """
    either, wrong = ((a).sum((0, 1)) for a in (reference | prediction, reference ^ prediction))
    if not either.any():
        return [reference.shape[2] // 2]
    chosen: list[int] = []
    for ranks, count in ((either, (most + 1) // 2), (wrong, most), (either, most)):
        for k in np.argsort(ranks, kind="stable")[::-1]:
            if len(chosen) >= count and ranks is not either:
                break
            if ranks[k] > 0 and int(k) not in chosen and len(chosen) < count:
                chosen.append(int(k))
    return sorted(chosen[:most])


def case_overlay(
    hu: np.ndarray, reference: np.ndarray, prediction: np.ndarray, affine: np.ndarray, title: str, most: int = 5
) -> bytes:
    """A row of slices in the brain window, seen from the feet: found green, invented red, missed blue.

    Args:
        hu: (I, J, K) the scan.
        reference: (I, J, K), nonzero inside.
        prediction: (I, J, K), nonzero inside.
        affine: (4, 4) voxel index to RAS+ mm.
        title: a line above the slices.
        most: how many slices at the most.

    Returns:
        a PNG.
    """
    scan, edges = radiological(hu, affine)
    (manual, _), (automatic, _) = (radiological(np.asarray(m) > 0, affine) for m in (reference, prediction))
    window = head_window(scan > -200, edges)
    scan, manual, automatic = scan[window], manual[window], automatic[window]
    slices = telling_slices(manual, automatic, most)
    height, width = scan.shape[0] * edges[0], scan.shape[1] * edges[1]
    scale = _PIXELS / max(height, width)
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    figure = Figure(figsize=(2.1 * most, 3.0), facecolor="black", layout="constrained")
    low, high = BRAIN_WINDOW
    for axis, k in zip(figure.subplots(1, most, squeeze=False)[0], [*slices, *[None] * most], strict=False):
        axis.set_axis_off()
        if k is None:
            continue
        gray = resize(np.clip((scan[:, :, k] - low) / (high - low), 0, 1), shape, order=1, anti_aliasing=True)
        picture = np.repeat(gray[..., None], 3, axis=2)
        parts = {
            "found": manual[:, :, k] & automatic[:, :, k],
            "invented": automatic[:, :, k] & ~manual[:, :, k],
            "missed": manual[:, :, k] & ~automatic[:, :, k],
        }
        for name, part in parts.items():
            where = resize(part, shape, order=0)
            picture[where] = 0.45 * picture[where] + 0.55 * np.array(COLORS[name]) / 255
        axis.imshow(picture, interpolation="nearest")
        axis.text(0.02, 0.98, f"{k + 1}", color="white", fontsize=7, va="top", transform=axis.transAxes)
    figure.suptitle(title, color="white", fontsize=10)
    figure.legend(
        handles=[Patch(color=(r / 255, g / 255, b / 255), label=name) for name, (r, g, b) in COLORS.items()],
        loc="outside lower center", ncols=3, fontsize=8, labelcolor="white", facecolor="black", edgecolor="black",
    )  # fmt: skip
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(stream, format="png", dpi=110, facecolor="black", metadata={"Software": None})
    return stream.getvalue()
