"""A page of slices with the mask on them, for looking at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from skimage.transform import resize

from hemorrhage.geometry import voxel_sizes_mm, voxel_volume_ml
from hemorrhage.subtypes import ANY, Subtype

__all__ = ["BRAIN_WINDOW", "head_window", "montage_slices", "radiological", "save_montage"]

BRAIN_WINDOW = (0.0, 80.0)  # level 40, width 80: what a reader sets for acute blood
_PIXELS = 256
_LEGEND_INCHES = 4.8  # what title and legend take, also where there is one slice
_MARGIN_MM = 25.0  # skull and scalp around the brain
_BRAIN_COLOR = (0.2, 0.75, 1.0)


def montage_slices(mask: np.ndarray, brain: np.ndarray, most: int) -> list[int]:
    """Indices along the last axis: spread over the brain, with the slice that shows most blood among them.

    Args:
        mask: (I, J, K) hemorrhage.
        brain: (I, J, K) brain.
        most: how many at the most.
    """
    inside = np.flatnonzero(brain.any(axis=(0, 1)) | mask.any(axis=(0, 1)))
    if not inside.size:
        inside = np.arange(mask.shape[2])
    if inside.size <= most:
        return [int(k) for k in inside]
    chosen = inside[np.linspace(0, inside.size - 1, most).round().astype(int)]
    area = mask.sum(axis=(0, 1))
    if area.max() > 0 and area.argmax() not in chosen:
        chosen[np.abs(chosen - area.argmax()).argmin()] = area.argmax()
    return [int(k) for k in np.unique(chosen)]


def radiological(volume: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows from anterior, columns from the patient's right, slices from inferior) and the voxel edges in mm."""
    start = nib.orientations.io_orientation(affine)
    wanted = nib.orientations.axcodes2ornt(("P", "L", "S"))
    turned = nib.orientations.apply_orientation(volume, nib.orientations.ornt_transform(start, wanted))
    edges = voxel_sizes_mm(affine)[np.argsort(start[:, 0])]
    return turned, edges[[1, 0, 2]]


def head_window(inside: np.ndarray, edges: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the brain with a margin; the air around a head says nothing."""
    if not inside.any():
        return slice(None), slice(None)
    window = []
    for axis in (0, 1):
        where = np.flatnonzero(inside.any(axis=(1 - axis, 2)))
        margin = round(_MARGIN_MM / edges[axis])
        window.append(slice(max(0, where[0] - margin), where[-1] + margin + 1))
    return window[0], window[1]


def save_montage(
    path: Path,
    hu: np.ndarray,
    mask: np.ndarray,
    brain: np.ndarray,
    affine: np.ndarray,
    title: str,
    most: int = 20,
    sides_known: bool = True,
    segments: Sequence[Subtype] = (ANY,),
) -> None:
    """Write a PNG: slices in the brain window, seen from the feet, hemorrhage filled, brain mask outlined.

    Args:
        path: the PNG to write.
        hu: (I, J, K) the scan.
        mask: (I, J, K) hemorrhage, each voxel the ``index`` of its segment.
        brain: (I, J, K) brain mask.
        affine: (4, 4) voxel index to RAS+ mm.
        title: a line above the slices.
        most: how many slices at the most.
        sides_known: whether the affine can tell left from right; if not, both letters are question marks.
        segments: what the mask may hold; the legend gives the volume of each that it does, where there are several.
    """
    scan, edges = radiological(hu, affine)
    blood, _ = radiological(mask, affine)
    inside, _ = radiological(brain, affine)
    window = head_window((inside > 0) | (blood > 0), edges)
    scan, blood, inside = scan[window], blood[window], inside[window]
    slices = montage_slices(blood, inside, most)
    columns = min(5, len(slices))
    rows = -(-len(slices) // columns)
    height, width = scan.shape[0] * edges[0], scan.shape[1] * edges[1]
    scale = _PIXELS / max(height, width)
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    wide = max(2.2 * columns, _LEGEND_INCHES)
    figure = Figure(figsize=(wide, 2.2 * rows + 0.9), facecolor="black", layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in axes:
        axis.set_axis_off()
    low, high = BRAIN_WINDOW
    tints = {s.index: (s.rgb[0] / 255, s.rgb[1] / 255, s.rgb[2] / 255) for s in segments}
    for axis, k in zip(axes, slices, strict=False):
        gray = resize(np.clip((scan[:, :, k] - low) / (high - low), 0, 1), shape, order=1, anti_aliasing=True)
        picture = np.repeat(gray[..., None], 3, axis=2)
        regions = [(inside[:, :, k] > 0, _BRAIN_COLOR)]
        for index in np.intersect1d(blood[:, :, k], list(tints)):
            regions.append((blood[:, :, k] == index, tints[index]))
            marked = resize(blood[:, :, k] == index, shape, order=0)
            picture[marked] = 0.55 * picture[marked] + 0.45 * np.array(tints[index])
        axis.imshow(picture, interpolation="nearest")
        for region, tint in regions:
            if region.any():
                axis.contour(resize(region.astype(np.float32), shape, order=1), [0.5], colors=[tint], linewidths=0.6)
        axis.text(0.02, 0.96, f"{k + 1}", color="white", fontsize=7, va="top", transform=axis.transAxes)
        for place, letter in ((0.02, "R"), (0.94, "L")):
            axis.text(place, 0.04, letter if sides_known else "?", color="white", fontsize=7, transform=axis.transAxes)
    figure.suptitle(title, color="white", fontsize=9)
    keys: list[Artist] = [
        Patch(color=tints[s.index], label=_legend_of(s, mask, affine) if len(segments) > 1 else "hemorrhage")
        for s in segments
        if len(segments) == 1 or (mask == s.index).any()
    ]
    keys.append(Line2D([], [], color=_BRAIN_COLOR, label="brain mask"))
    figure.legend(
        handles=keys,
        loc="outside lower center",
        ncols=len(keys),
        fontsize=7,
        labelcolor="white",
        facecolor="black",
        edgecolor="black",
        title="level 40, width 80 HU; seen from the feet; research use, not for diagnosis",
        title_fontproperties={"size": 7},
    )
    figure.legends[0].get_title().set_color("white")
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None})


def _legend_of(segment: Subtype, mask: np.ndarray, affine: np.ndarray) -> str:
    return f"{segment.short} {np.count_nonzero(mask == segment.index) * voxel_volume_ml(affine):.1f} mL"
