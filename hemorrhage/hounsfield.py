"""Whether an array holds Hounsfield units, and what has to be mended before it is used as such.

Both readers, NIfTI and DICOM, ask here, so that the project has one definition of "this is a CT in HU".
"""

from __future__ import annotations

import numpy as np

from hemorrhage.errors import ScanError, ScanWarning
from hemorrhage.geometry import slice_axis, voxel_sizes_mm
from hemorrhage.volume import HU_MAX, HU_MIN

__all__ = ["AIR_HU", "check_hu", "coverage_warnings", "fill_nonfinite"]

AIR_HU = -1000.0

# Reconstructed air reaches about -1100 through noise; scanners write -1500, -2000, -2048 or -3024 outside the circle.
_PADDING_BELOW = -1100.0
# CT numbers are stored in 12 bits up to 3071 (16 bits near metal, a few voxels of a head at most).
_CT_MAX = 4095.0
# Crown to skull base of an adult is 130 mm at least.
_WHOLE_HEAD_MM = 110.0
_SAMPLE = 2_000_000


def fill_nonfinite(hu: np.ndarray, file: object) -> list[ScanWarning]:
    """Set NaN and infinity to air, in place, if they lie where they cannot matter.

    Args:
        hu: (I, J, K) float32; changed in place.
        file: name for the error.

    Returns:
        ``W_NONFINITE`` with the counts, or nothing.

    Raises:
        ScanError: ``E_EMPTY`` if no voxel is finite, ``E_NONFINITE`` if more than 5 % of the head is not.
    """
    finite = np.isfinite(hu)
    bad = hu.size - int(np.count_nonzero(finite))
    if bad == 0:
        return []
    if bad == hu.size:
        raise ScanError("E_EMPTY", file, f"all {bad} voxels are NaN or infinite", "Export the scan again.")
    tissue = np.greater(hu, -300.0, out=np.zeros(hu.shape, dtype=bool), where=finite)
    # Along one axis is enough: a hole may reach across the whole head along another.
    head = _between(tissue, 0) | _between(tissue, 1) | _between(tissue, 2)
    inside = int(np.count_nonzero(head & ~finite))
    share = 100.0 * inside / max(1, int(np.count_nonzero(head)))
    if share > 5.0:
        raise ScanError(
            "E_NONFINITE",
            file,
            f"{inside} voxels in the head, {share:.1f} %, are NaN or infinite",
            "Export the scan again.",
        )
    hu[~finite] = AIR_HU
    return [
        ScanWarning(
            "W_NONFINITE",
            f"{bad} voxels are NaN or infinite and were set to air; {inside} of them lie in the head.",
            numbers={"voxels": bad, "voxels_in_head": inside, "percent_of_head": share},
        )
    ]


def _between(mask: np.ndarray, axis: int) -> np.ndarray:
    """Voxels with a set voxel at or before them and one at or behind them along ``axis``."""
    before = np.logical_or.accumulate(mask, axis=axis)
    behind = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis=axis), axis)
    return before & behind


def check_hu(hu: np.ndarray, file: object, *, hu_offset: float = 0.0) -> tuple[np.ndarray, list[ScanWarning]]:
    """Prove that ``hu`` is in HU and bring it into [HU_MIN, HU_MAX].

    Args:
        hu: (I, J, K) float32, finite (see :func:`fill_nonfinite`); changed in place.
        file: name for the error.
        hu_offset: number to add first, for scans that were stored with a known shift (-1024 for most).

    Returns:
        The array, padding set to air and the rest clamped to the 12-bit range of CT (DeepBleed, "Image Processing"),
        and the warnings ``W_OFFSET``, ``W_PADDING`` and ``W_WINDOWED`` where they apply.

    Raises:
        ScanError: ``E_EMPTY`` (constant), ``E_OFFSET`` (air near 0, brain near 1000), ``E_NOT_HU`` (anything else that
            cannot be a CT in HU: a mask, a window's gray levels, wrapped integers, MR).
    """
    warnings = []
    if hu_offset:
        hu += np.float32(hu_offset)
        warnings.append(
            ScanWarning(
                "W_OFFSET", f"{hu_offset:+g} was added to every voxel, as asked.", numbers={"hu_offset": hu_offset}
            )
        )
    low, high = float(hu.min()), float(hu.max())
    if low == high:
        raise ScanError("E_EMPTY", file, f"all {hu.size} voxels have the value {low:g}", "Export the scan again.")
    # Histograms of some millions of voxels, evenly taken, decide as well as those of a thousand slices.
    sample = hu.ravel(order="K")[:: max(1, hu.size // _SAMPLE)]
    _refuse_foreign_numbers(sample, low, high, file)
    window = _window(sample)
    if window is not None:
        warnings.append(
            ScanWarning(
                "W_WINDOWED",
                f"Made from window gray levels: what lies outside {window[0]:g} to {window[1]:g} HU is lost, so bone "
                "and fat carry no true HU.",
                numbers={"lowest_hu": window[0], "highest_hu": window[1]},
            )
        )
    if low < _PADDING_BELOW:
        padding = hu < _PADDING_BELOW
        count = int(np.count_nonzero(padding))
        hu[padding] = AIR_HU
        warnings.append(
            ScanWarning(
                "W_PADDING",
                f"{count} voxels down to {low:g} are padding outside the scanned field and were set to air.",
                numbers={"voxels": count, "lowest_value": low},
            )
        )
    np.clip(hu, HU_MIN, HU_MAX, out=hu)
    return hu, warnings


def _refuse_foreign_numbers(sample: np.ndarray, low: float, high: float, file: object) -> None:
    said = f"values {low:g} to {high:g}"
    remedy = "Give the CT in Hounsfield units (air -1000, water 0)."
    above = 100.0 * float(np.mean(sample > _CT_MAX))
    if above > 1.0:
        raise ScanError(
            "E_NOT_HU", file, f"{said}; {above:.1f} % lie above {_CT_MAX:g}, as after a wrong sign of integers", remedy
        )
    values = np.unique(sample)
    if float(np.mean(sample < -200.0)) >= 0.001:
        if len(values) <= 3 and high < 100.0:
            raise ScanError("E_NOT_HU", file, f"{said}, only {len(values)} different ones (a mask?)", remedy)
        return
    peaks = _air_and_brain(sample)
    if peaks is not None:
        raise ScanError(
            "E_OFFSET",
            file,
            f"{said}; air lies near {peaks[0]:.0f} and tissue near {peaks[1]:.0f}, so the HU are shifted",
            f"If you know the shift, pass it as --hu_offset ({-1000 - round(peaks[0] - 24):+d} is likely).",
        )
    if len(values) <= 16:
        raise ScanError("E_NOT_HU", file, f"{said}, only {len(values)} different ones (a mask?)", remedy)
    if high <= 1.0:
        kind = "normalized intensities?"
    elif high <= 255.0:
        kind = "gray levels of a window?"
    else:
        kind = "MR, or a head without its skull and air?"
    raise ScanError("E_NOT_HU", file, f"{said}, and no air near -1000 ({kind})", remedy)


def _air_and_brain(sample: np.ndarray) -> tuple[float, float] | None:
    """Peaks of air and of soft tissue in a CT whose numbers were shifted up, or None if it does not look like one."""
    counts, edges = np.histogram(sample, bins=np.arange(-200.0, 2600.0, 8.0))
    centers = (edges[:-1] + edges[1:]) / 2
    near_zero = centers < 300.0
    air = centers[near_zero][counts[near_zero].argmax()]
    tissue = (centers > air + 950.0) & (centers < air + 1150.0)
    if counts[tissue].sum() < 0.03 * sample.size or counts[near_zero].sum() < 0.05 * sample.size:
        return None
    return float(air), float(centers[tissue][counts[tissue].argmax()])


def _window(sample: np.ndarray) -> tuple[float, float] | None:
    """Lowest and highest HU of the window from which an image was made back into HU, or None for an original.

    Such an image has two saturated values, each a single number far from everything else, and gray levels between.
    """
    values, counts = np.unique(sample, return_counts=True)
    if not 18 <= len(values) <= 1026:
        return None
    saturated = (counts[0] + counts[-1]) / sample.size
    gaps = values[1] - values[0], values[-1] - values[-2]
    if saturated < 0.2 or counts[-1] < 0.002 * sample.size or min(gaps) < 200.0 or values[-2] - values[1] > 500.0:
        return None
    return float(values[1]), float(values[-2])


def coverage_warnings(hu: np.ndarray, affine: np.ndarray) -> list[ScanWarning]:
    """Doubts about how much of the head was scanned, which make every volume a lower bound.

    Args:
        hu: (I, J, K) float32 in HU.
        affine: (4, 4), voxel index to RAS+ mm.

    Returns:
        ``W_COVERAGE`` if the slices span less than a head, or if the top slice still shows a large section of it;
        ``W_FOV`` if the skull is cut by the border of the slices.
    """
    warnings = []
    axis = slice_axis(affine)
    sizes = voxel_sizes_mm(affine)
    length = float(hu.shape[axis] * sizes[axis])
    if length < _WHOLE_HEAD_MM:
        warnings.append(
            ScanWarning(
                "W_COVERAGE",
                f"The slices cover {length:.0f} mm, not a whole head: volumes are lower bounds.",
                numbers={"length_mm": length, "slices": hu.shape[axis]},
            )
        )
    else:
        top_index = -1 if affine[2, axis] > 0 else 0
        top = np.take(hu, top_index, axis=axis)
        pixel_mm2 = float(np.prod(np.delete(sizes, axis)))
        area_cm2 = float(np.count_nonzero((top > -20.0) & (top < 100.0))) * pixel_mm2 / 100.0
        if area_cm2 > 50.0:
            warnings.append(
                ScanWarning(
                    "W_COVERAGE",
                    f"The top slice still shows {area_cm2:.0f} cm^2 of soft tissue: the vertex is not covered and "
                    "volumes are lower bounds.",
                    numbers={"top_area_cm2": area_cm2},
                )
            )
    cut_mm = _bone_at_border_mm(hu, sizes, axis)
    if cut_mm > 10.0:
        warnings.append(
            ScanWarning(
                "W_FOV",
                f"The skull touches the border of a slice over {cut_mm:.0f} mm: a part of the head lies outside.",
                numbers={"border_mm": cut_mm},
            )
        )
    return warnings


def _bone_at_border_mm(hu: np.ndarray, sizes: np.ndarray, axis: int) -> float:
    """Longest stretch of bone (over 300 HU) on one edge of one slice, in mm."""
    longest = 0.0
    for across in range(3):
        if across == axis:
            continue
        along = 3 - axis - across
        for end in (0, -1):
            edge = np.moveaxis(hu, (across, along, axis), (0, 1, 2))[end]
            longest = max(longest, float((edge > 300.0).sum(axis=0).max()) * float(sizes[along]))
    return longest
