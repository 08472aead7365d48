"""A folder of DICOM to one head CT: the steps of the import in their order, and what each of them found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hemorrhage.dicom.continuity import out_of_place
from hemorrhage.dicom.headers import Slice, slices_of
from hemorrhage.dicom.pixels import read_hu
from hemorrhage.dicom.positions import Stack, find_missing, stack_positions
from hemorrhage.dicom.scan_folder import read_headers, unquoted
from hemorrhage.dicom.series import choose_series, drop_copies, refuse_mixtures
from hemorrhage.dicom.slice_map import SliceMap
from hemorrhage.errors import EXIT_RESOURCE, ScanError, ScanWarning
from hemorrhage.hounsfield import check_hu, coverage_warnings
from hemorrhage.straighten import shift_slices
from hemorrhage.volume import MAX_VOXELS, Volume

__all__ = ["ImportedSeries", "import_series", "read_series"]

_LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
_STEEPEST_DEGREES = 50.0
_FINEST_MM = 0.5
# Siemens H/Hr/B/Br 60 and up, Canon FC30 and FC80 and up, and the words of the others.
_SHARP = re.compile(r"BONE|EDGE|LUNG|^[HB]R?[6-9]\d|^FC(3|8)\d|^Y[A-E]$|DETAIL|SHARP", re.IGNORECASE)


@dataclass(frozen=True)
class ImportedSeries:
    """A scan and the way back to its slices.

    Attributes:
        volume: in HU on an orthogonal grid, slices along the last axis.
        slice_map: between that grid and the native slices, with file names.
    """

    volume: Volume
    slice_map: SliceMap


def read_series(folder: str | Path, *, series_uid: str | None = None, min_slices: int = 3) -> Volume:
    """One head CT from a folder of DICOM; see :func:`import_series`."""
    return import_series(folder, series_uid=series_uid, min_slices=min_slices).volume


def import_series(
    folder: str | Path, *, series_uid: str | None = None, min_slices: int = 3, blend: bool = True
) -> ImportedSeries:
    """Read one series, order and geometry from its positions alone.

    Slices are put in order along their normal; a lean of the stack (gantry tilt) is undone by shifting slices in their
    own plane; unequal distances are resampled on the finest one. Tags such as GantryDetectorTilt,
    SliceThickness and InstanceNumber only confirm or cast doubt.

    Args:
        folder: searched with all folders below it; or one DICOM file.
        series_uid: the series to read where the folder holds several.
        min_slices: fewest slices that are accepted; a single one takes its thickness from the header.
        blend: resample unequal distances by linear interpolation; False repeats the nearest slice, for networks that
            read slices one by one: a blend of two thick ones shows a rim beside the skull that neither has.

    Raises:
        ScanError: for a folder that is not one complete head CT series of one patient.
    """
    folder = Path(folder)
    try:
        with unquoted():
            return _import_series(folder, series_uid, min_slices, blend)
    except MemoryError as fault:
        raise ScanError(
            "E_BOMB", _shown(folder), "its import needs more memory than there is", "Check the files.", EXIT_RESOURCE
        ) from fault


def _import_series(folder: Path, series_uid: str | None, min_slices: int, blend: bool) -> ImportedSeries:
    headers, warnings = read_headers(folder)
    folder = _shown(folder)
    chosen, skipped = choose_series(headers, series_uid, folder)
    slices, copies = drop_copies([s for header in chosen for s in slices_of(header)])
    warnings += skipped + copies
    _refuse_mixed_geometry(slices)
    if len(slices) < min_slices:
        raise ScanError(
            "E_TOO_FEW", folder, f"{len(slices)} slices; at least {min_slices} are needed", "Give the whole series."
        )
    slices, stack = _in_order(slices, folder)
    warnings += _doubts(slices, stack) + _order_warnings(slices, stack)
    step = _step_mm(slices, stack)
    count = 1 + round(stack.distances_mm[-1] / step)
    if slices[0].rows * slices[0].columns * count > MAX_VOXELS:
        raise ScanError(
            "E_SIZE", folder, f"{count} slices {step:.2f} mm apart", "This is no head CT; check the positions."
        )

    hu, content = check_hu(read_hu(slices), folder)
    first = slices[0]
    affine = np.eye(4)
    # Array axis 0 runs along a row, so over columns: its step is the spacing between columns, the second of the two.
    sizes = np.array([first.spacing[1], first.spacing[0]])
    affine[:3, 0] = first.along_row * sizes[0] * _LPS_TO_RAS
    affine[:3, 1] = first.along_column * sizes[1] * _LPS_TO_RAS
    affine[:3, 2] = stack.normal * stack.distances_mm[-1] / max(1, len(slices) - 1) * _LPS_TO_RAS
    affine[:3, 3] = first.position * _LPS_TO_RAS
    if len(slices) == 1:
        affine[:3, 2] = stack.normal * step * _LPS_TO_RAS
    warnings += content + coverage_warnings(hu, affine) + _continuity_warnings(hu, slices)

    hu, before = shift_slices(hu, stack.offsets_mm / sizes)
    affine[:3, 2] = stack.normal * step * _LPS_TO_RAS
    affine[:3, 3] += affine[:3, :2] @ before
    slice_map = SliceMap(
        native_shape=(first.columns, first.rows),
        distances_mm=stack.distances_mm,
        offsets=stack.offsets_mm / sizes - before,
        step_mm=step,
        pixel_area_mm2=float(np.prod(sizes)),
        files=tuple(s.header.name for s in slices),
        frames=tuple(s.frame for s in slices),
        blended=blend,
    )
    source = {"format": "DICOM", "shape": [first.columns, first.rows, len(slices)], **slice_map.as_source()}
    return ImportedSeries(Volume(slice_map.resample(hu), affine, tuple(warnings), source), slice_map)


def _shown(folder: Path) -> Path:
    """What errors call the folder: files are named relative to it, and where it lies is nobody's business."""
    return Path(folder.name) if folder.name else folder


def _refuse_mixed_geometry(slices: Sequence[Slice]) -> None:
    first = slices[0]
    for other in slices[1:]:
        for what, one, two, same in (
            ("size", _size(first), _size(other), _size(first) == _size(other)),
            ("PixelSpacing", first.spacing, other.spacing, np.allclose(first.spacing, other.spacing, rtol=1e-3)),
            ("orientation", "the first", "another", _parallel(first, other)),
        ):
            if not same:
                raise ScanError(
                    "E_MIXED",
                    other.header.name,
                    f"{what} {two} differs from {one} in {first.header.name}",
                    "Give each reconstruction a folder.",
                )


def _size(one: Slice) -> str:
    return f"{one.columns} x {one.rows}"


def _parallel(one: Slice, two: Slice) -> bool:
    return bool(
        np.allclose(one.along_row, two.along_row, atol=1e-3)
        and np.allclose(one.along_column, two.along_column, atol=1e-3)
    )


def _in_order(slices: Sequence[Slice], folder: Path) -> tuple[list[Slice], Stack]:
    """Slices along their normal; refuses positions from which no volume follows."""
    first = slices[0]
    if len(slices) == 1:
        zero = np.zeros(1)
        normal = np.cross(first.along_row, first.along_column)
        return [first], Stack(zero.astype(int), normal, zero, np.zeros((1, 2)), np.zeros(2), 0.0, True)
    positions = np.stack([s.position for s in slices])
    stack = stack_positions(positions, first.along_row, first.along_column)
    ordered = [slices[k] for k in stack.order]
    if stack.distances_mm[-1] < 0.01:
        raise ScanError(
            "E_POSITIONS",
            folder,
            f"all {len(slices)} slices lie at the same place",
            "A volume needs a scan that moves.",
        )
    raw = positions[stack.order] @ stack.normal
    refuse_mixtures(ordered, list(raw), folder)
    if np.abs(stack.tilt_degrees).max() > _STEEPEST_DEGREES:
        raise ScanError(
            "E_POSITIONS",
            folder,
            f"the stack leans by {np.abs(stack.tilt_degrees).max():.0f} degrees",
            "Check ImagePositionPatient and ImageOrientationPatient.",
        )
    missing = [] if stack.uniform else find_missing(raw, [s.thickness for s in ordered], [s.number for s in ordered])
    if missing:
        k, gap, usual = missing[0]
        raise ScanError(
            "E_MISSING_SLICE",
            folder,
            f"{len(missing)} gaps, the first of {gap:.1f} mm instead of {usual:.1f} mm between "
            f"{ordered[k].header.name} and {ordered[k + 1].header.name}",
            "Give the complete series.",
        )
    return ordered, stack


def _step_mm(slices: Sequence[Slice], stack: Stack) -> float:
    """Distance of the volume's slices: the finest of the scan, stretched a little so that both ends are met."""
    if len(slices) == 1:
        return slices[0].thickness or 5.0
    extent = float(stack.distances_mm[-1])
    if stack.uniform:
        return extent / (len(slices) - 1)
    finest = max(stack.step_mm, min(_FINEST_MM, float(np.median(np.diff(stack.distances_mm)))))
    return extent / int(np.ceil(extent / finest - 1e-3))


def _doubts(slices: Sequence[Slice], stack: Stack) -> list[ScanWarning]:
    """What was corrected, and what positions and tags disagree about."""
    warnings = []
    tags = [s.tilt_tag for s in slices if s.tilt_tag is not None]
    lean = float(stack.tilt_degrees[np.abs(stack.tilt_degrees).argmax()])
    if stack.offsets_mm.any():
        numbers = {"tilt_degrees": lean}
        text = f"The slices lean by {lean:.1f} degrees (gantry tilt); they were shifted onto an orthogonal grid."
        if tags:
            numbers["tag_degrees"] = tags[0]
            if abs(abs(tags[0]) - abs(lean)) > 1.0:
                text += f" The header says {tags[0]:g} degrees; the positions were believed."
        warnings.append(ScanWarning("W_TILT", text, numbers=numbers))
    if stack.off_line_mm > 0.1:
        warnings.append(
            ScanWarning(
                "W_POSITIONS",
                f"Slices lie up to {stack.off_line_mm:.1f} mm off a straight line; each was put where its header says.",
                numbers={"off_line_mm": stack.off_line_mm},
            )
        )
    if not stack.uniform:
        gaps = np.diff(stack.distances_mm)
        warnings.append(
            ScanWarning(
                "W_SPACING",
                f"Slices lie {gaps.min():.2f} to {gaps.max():.2f} mm apart; they were resampled on an even grid.",
                numbers={"finest_mm": float(gaps.min()), "widest_mm": float(gaps.max())},
            )
        )
    kernels = sorted({s.kernel for s in slices if s.kernel and _SHARP.search(s.kernel)})
    if kernels:
        warnings.append(
            ScanWarning("W_KERNEL", f"Reconstructed with a sharp kernel ({', '.join(kernels)}): noise is high.")
        )
    if any(s.contrast for s in slices):
        warnings.append(ScanWarning("W_CONTRAST", "A contrast agent was given: vessels may be taken for blood."))
    return warnings


def _order_warnings(slices: Sequence[Slice], stack: Stack) -> list[ScanWarning]:
    """What the image numbers say about order and completeness."""
    if len(slices) == 1:
        return []
    numbers = [s.number for s in slices]
    known = [n for n in numbers if n is not None]
    steps = np.diff(known)
    if len(known) < len(numbers) or not ((steps > 0).all() or (steps < 0).all()):
        return [ScanWarning("W_INSTANCE", "Image numbers do not follow the positions; the positions were believed.")]
    warnings = []
    every = int(abs(steps[0]))
    thickness = max((one.thickness or np.inf) for one in slices)
    if every > 1 and (np.abs(steps) == every).all():
        warnings.append(
            ScanWarning(
                "W_EVERY_NTH",
                f"Only every {every}th image is here (numbers {known[0]}, {known[1]}, ...): volumes are less exact.",
                numbers={"every": every},
            )
        )
    elif stack.uniform and thickness < 0.6 * stack.step_mm:
        warnings.append(
            ScanWarning(
                "W_EVERY_NTH",
                f"Slices are {thickness:g} mm thick and lie {stack.step_mm:.1f} mm apart: some may be missing.",
                numbers={"thickness_mm": thickness, "distance_mm": stack.step_mm},
            )
        )
    if min(known) > 1:
        warnings.append(
            ScanWarning(
                "W_ENDS",
                f"Image numbers start at {min(known)}: slices at an end may be missing, and volumes are lower bounds.",
                numbers={"first_number": min(known)},
            )
        )
    return warnings


def _continuity_warnings(hu: np.ndarray, slices: Sequence[Slice]) -> list[ScanWarning]:
    files = tuple(slices[k].header.name for k in out_of_place(hu))
    if not files:
        return []
    text = f"Slices that resemble neither neighbor: {len(files)}. Positions or pixels may have been exchanged."
    return [ScanWarning("W_ORDER", text, files[:5], {"slices": len(files)})]
