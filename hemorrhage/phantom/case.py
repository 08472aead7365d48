"""One whole phantom: a drawn head with its bleeds, scanned on a grid, with the truth about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from hemorrhage.errors import ScanError
from hemorrhage.geometry import voxel_volume_ml
from hemorrhage.phantom.bleeds import add_bleeds
from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.extra_axial import add_collection
from hemorrhage.phantom.head import Head, draw_head
from hemorrhage.phantom.recipe import Recipe
from hemorrhage.phantom.render import draw_planes
from hemorrhage.phantom.scanner import Scanner, draw_scanner, scan_slices
from hemorrhage.phantom.space import NoRoomError
from hemorrhage.phantom.statistics import draw_subtypes
from hemorrhage.subtypes import BY_NAME

__all__ = ["Case", "Slices", "draw_patient", "draw_slices", "grid_affine", "make_case", "random_pose", "scan"]

# Points of planes drawn at a time: more would only cost memory.
CHUNK_POINTS = 3_000_000
SUBPLANE_MM = 1.7
TYPICAL_KERNEL_MM = 0.65
SHARE_BOUNDS = (0.25, 0.75)
MOST_ML = 300.0
TRAUMA_SHARE = {"EDH": 0.75, "SDH": 0.45}  # of heads whose first subtype it is
MIN_BRAIN = 0.97  # nobody marks blood in a voxel that bone has turned white


@dataclass(frozen=True)
class Case:
    """A phantom scan.

    Attributes:
        hu: (I, J, K) float32 HU, integral, axes near right, front, top (RAS).
        label: (I, J, K) uint8 subtype of each voxel, 0 for none, as in :mod:`hemorrhage.subtypes`.
        brain: (I, J, K) uint8 intracranial space.
        affine: (4, 4) float64 voxel index to RAS+ mm; sheared only for a tilted series to be written as DICOM.
        truth: plain values: ``seed``, ``ml`` and ``hu`` (median) by subtype, ``spacing_mm``, ``tilt_degrees``, options.
    """

    hu: torch.Tensor
    label: torch.Tensor
    brain: torch.Tensor
    affine: np.ndarray
    truth: dict[str, Any]


def grid_affine(
    shape: Sequence[int],
    spacing_mm: Sequence[float],
    tilt_degrees: float = 0.0,
    center_mm: Sequence[float] = (0.0, 0.0, 0.0),
    sheared: bool = False,
) -> np.ndarray:
    """Affine of a grid around ``center_mm``, its slices tilted about the patient's left-right axis.

    Args:
        shape: (I, J, K).
        spacing_mm: pixel, pixel and distance between slices.
        tilt_degrees: gantry tilt; positive raises the front of each slice toward the top of the head.
        center_mm: RAS position of the grid's middle.
        sheared: slices follow each other along the table, as a tilted gantry acquires them, and not along their
            normal; ``spacing_mm[2]`` is then their distance along the normal.

    Returns:
        (4, 4) float64.
    """
    angle = math.radians(tilt_degrees)
    c, s = math.cos(angle), math.sin(angle)
    axes = np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])
    if sheared:
        axes[:, 2] = (0.0, 0.0, 1.0 / c)
    affine = np.eye(4)
    affine[:3, :3] = axes * np.asarray(spacing_mm, float)
    affine[:3, 3] = np.asarray(center_mm) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return affine


def draw_patient(
    r: Draws,
    subtypes: Sequence[str] | None = None,
    volume_ml: dict[str, float] | None = None,
    density_hu: dict[str, float] | None = None,
    positive_fraction: float = 0.5,
    recipe: Recipe | None = None,
) -> tuple[Head, int]:
    """Draw a head with the bleeds asked for, or with chance's.

    Args:
        r: chance.
        subtypes: short names, an empty tuple for none, None to draw.
        volume_ml: wanted mL by subtype.
        density_hu: wanted mean HU by subtype.
        positive_fraction: chance of any bleed where ``subtypes`` is None.
        recipe: ingredients.

    Returns:
        The head, and the number of times that a bleed found no room and all of them were drawn anew.

    Raises:
        ScanError: E_NO_ROOM, 12 attempts in a row failed.
    """
    if subtypes is None:
        subtypes = draw_subtypes(r) if r.chance(positive_fraction) else ()
    recipe = recipe or Recipe()
    reason = ""
    asked = sum((volume_ml or {}).values())
    if asked > MOST_ML:
        raise ScanError("E_NO_ROOM", "phantom", f"{asked:.0f} mL asked for", f"Ask for at most {MOST_ML:.0f} mL.")
    for attempt in range(12):
        struck = TRAUMA_SHARE.get(subtypes[0], recipe.trauma) if subtypes and recipe.trauma > 0 else recipe.trauma
        head = draw_head(r, recipe, struck)
        try:
            if r.chance(recipe.collections):
                head = add_collection(head, r)
            return add_bleeds(head, subtypes, r, volume_ml, density_hu, recipe), attempt
        except NoRoomError as error:
            reason = str(error)
    raise ScanError("E_NO_ROOM", "phantom", reason, "Ask for a smaller volume.")


def make_case(
    seed: int,
    *,
    spacing_mm: Sequence[float] = (0.45, 0.45, 5.0),
    shape: Sequence[int] | None = None,
    tilt_degrees: float | None = None,
    subtypes: Sequence[str] | None = None,
    volume_ml: dict[str, float] | float | None = None,
    density_hu: dict[str, float] | None = None,
    positive_fraction: float = 0.5,
    scanner: Scanner | None = None,
    sheared: bool = False,
    pose: bool = True,
    recipe: Recipe | None = None,
    device: torch.device | str = "cpu",
) -> Case:
    """Make one phantom scan; the same seed and options give the same case on the same device.

    Args:
        seed: any non-negative integer.
        spacing_mm: voxel size; a slice is as thick as the distance to the next.
        shape: voxels; by default as many as cover the head.
        tilt_degrees: gantry tilt, 0 by default. The grid turns against the head, orthogonal unless ``sheared``.
        subtypes: as in :func:`draw_patient`.
        volume_ml: wanted mL by subtype; a number where one subtype is asked for.
        density_hu: wanted mean HU by subtype, measured over its label.
        positive_fraction: chance of blood where ``subtypes`` is None.
        scanner: drawn where None.
        sheared: see :func:`grid_affine`.
        pose: lie the head a little turned and off center, as patients do.
        recipe: ingredients.
        device: where the work is done.

    Raises:
        ScanError: E_NO_ROOM for volumes that fit no head, E_OPTION for an unknown subtype or a bad shape.
    """
    for s in subtypes or ():
        if s not in BY_NAME:
            raise ScanError("E_OPTION", "phantom", f"unknown subtype {s!r}", f"Use one of {', '.join(BY_NAME)}.")
    if isinstance(volume_ml, int | float):
        if subtypes is None or len(subtypes) != 1:
            raise ScanError("E_OPTION", "phantom", "one volume for several subtypes", "Give mL by subtype.")
        volume_ml = {subtypes[0]: float(volume_ml)}
    with torch.no_grad():
        r = Draws(seed, device)
        head, retries = draw_patient(r, subtypes, volume_ml, density_hu, positive_fraction, recipe)
        spacing = [float(s) for s in spacing_mm]
        if shape is None:
            shape = [math.ceil(e / s) for e, s in zip((232.0, 232.0, 160.0), spacing, strict=True)]
        tilt = float(tilt_degrees or 0.0)
        affine = grid_affine(shape, spacing, tilt, (0.0, -4.0, 4.0), sheared)
        rotation, offset = random_pose(r, 7.0, 5.0, 6.0) if pose else (np.eye(3), np.zeros(3))
        used = scanner or draw_scanner(r, recipe=recipe)
        return scan(
            draw_slices(head, affine, shape, rotation, offset, redraws=3),
            used,
            r,
            seed=seed,
            tilt_degrees=tilt,
            retries=retries,
        )


def random_pose(r: Draws, degrees: float, mm: float, nod_degrees: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) from head to world and offset (3,) in mm, normal about none.

    Args:
        r: chance.
        degrees: SD of the angles.
        mm: SD of the offsets.
        nod_degrees: mean of the nod, chin down.
    """
    pitch, roll, yaw = (math.radians(a) for a in (
        r.normal(nod_degrees, degrees, -25, 25), r.normal(0, 0.6 * degrees, -15, 15), r.normal(0, degrees, -30, 30)
    ))  # fmt: skip
    return _rotation(pitch, roll, yaw), np.array([r.normal(0, mm, -15, 15) for _ in range(3)])


def _rotation(pitch: float, roll: float, yaw: float) -> np.ndarray:
    cx, sx, cy, sy, cz, sz = (f(a) for a in (pitch, roll, yaw) for f in (math.cos, math.sin))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


@dataclass(frozen=True)
class Slices:
    """A head drawn on a grid, before the scanner: everything that several scans of it can share, as (K, I, J).

    Attributes:
        hu: HU of a perfect scanner, blood included.
        label: subtype of each voxel.
        brain: share of the intracranial space.
        affine: (4, 4) of the grid.
        thickness_mm: of a slice.
        record: wanted volume, density and site by subtype.
        fractured: numbers of the slices that the head's fracture reaches.
        head: the head.
    """

    hu: torch.Tensor
    label: torch.Tensor
    brain: torch.Tensor
    affine: np.ndarray
    thickness_mm: float
    record: dict[str, dict[str, Any]]
    fractured: tuple[int, ...]
    head: Head


def draw_slices(
    head: Head,
    affine: np.ndarray,
    shape: Sequence[int],
    rotation: np.ndarray,
    offset: np.ndarray,
    whole: bool = True,
    subplane_mm: float = SUBPLANE_MM,
    redraws: int = 0,
) -> Slices:
    """Draw a head on a grid.

    Args:
        head: the head.
        affine: (4, 4) of the grid.
        shape: its voxels.
        rotation: (3, 3) head to world.
        offset: (3,) world position of the head's center.
        whole: the grid holds each bleed whole, so that labels can be matched to the wanted volumes.
        subplane_mm: largest distance between the planes that a thick slice averages.
        redraws: times that bleeds may be grown or shrunk and drawn anew where their labels miss the wanted volume by
            more than half a percent.
    """
    for left in range(redraws, -1, -1):
        perfect, clean, brain, blood, varied, thickness = _drawn(head, affine, shape, rotation, offset, subplane_mm)
        label, reached = _label(head, blood, brain, voxel_volume_ml(affine) if whole else None)
        if not whole or not left or not head.bleeds:
            break
        ratios = [int((label == b.index).sum()) * voxel_volume_ml(affine) / b.volume_ml for b in head.bleeds]
        if all(abs(ratio - 1) < 0.005 for ratio in ratios):
            break
        head = _resize(head, ratios)
    hu = clean
    sigma = TYPICAL_KERNEL_MM / float(np.linalg.norm(affine[:3, 0]))
    for n, bleed in enumerate(head.bleeds):
        inside = label == bleed.index
        seen = inside.flatten(1).any(1)  # only its own slices are worth the work
        measured = inside[seen]
        around = _blurred(perfect[seen] * (1 - blood[n][seen]) + varied[n][seen], sigma)[measured]
        density = _density(bleed.density_hu, _blurred(blood[n][seen], sigma)[measured], around)
        hu = hu + density * blood[n] + varied[n]
    fractured = _fractured(head, affine, int(shape[2]), rotation, offset)
    return Slices(hu, label, brain, affine, thickness, reached, fractured, head)


def _fractured(head: Head, affine: np.ndarray, count: int, rotation: np.ndarray, offset: np.ndarray) -> tuple[int, ...]:
    n = head.numbers
    if not n["fracture"]:
        return ()
    hit = rotation @ np.array([n["hit_x"], n["hit_y"], n["hit_z"]]) + offset
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    normal /= np.linalg.norm(normal)
    away = [abs(float(normal @ (affine[:3, 3] + k * affine[:3, 2] - hit))) for k in range(count)]
    return tuple(k for k, mm in enumerate(away) if mm < n["crack_reach_mm"])


def _resize(head: Head, ratios: Sequence[float]) -> Head:
    """Raise or lower the level of each bleed whose label holds ``ratio`` of the wanted volume."""
    levels = {}
    for bleed, ratio in zip(head.bleeds, ratios, strict=True):
        reach = bleed.softness if bleed.domain == "csf" else min(3.0, (1000 * bleed.volume_ml) ** (1 / 3) / 4)
        levels[bleed.field] = head.fields[bleed.field] + float(np.clip(1.2 * (1 - ratio), -0.5, 0.5)) * reach
    return head.with_fields(**levels)


def _drawn(
    head: Head,
    affine: np.ndarray,
    shape: Sequence[int],
    rotation: np.ndarray,
    offset: np.ndarray,
    subplane_mm: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, float]:
    """HU without blood, HU times what is not blood, brain, blood, its variation (slices first), and thickness in mm."""
    count = int(shape[2])
    steps = (affine[:3, :3].T @ rotation).astype(np.float64)  # rows: the grid's steps in the head's coordinates
    corner = rotation.T @ (affine[:3, 3] - offset)
    # Partial volume is across the slice, whichever way the next one lies.
    normal = np.cross(steps[0], steps[1])
    normal /= np.linalg.norm(normal)
    thickness = abs(float(normal @ steps[2]))
    parts = max(1, math.ceil(thickness / subplane_mm - 0.2))
    within = ((np.arange(parts) + 0.5) / parts - 0.5) * thickness
    origins = corner + np.arange(count)[:, None, None] * steps[2] + within[None, :, None] * normal
    device = head.device
    first, second = (torch.tensor(steps[a], dtype=torch.float32, device=device) for a in (0, 1))
    at_once = max(1, CHUNK_POINTS // (shape[0] * shape[1] * parts))
    pieces = []
    for start in range(0, count, at_once):
        planes = torch.tensor(origins[start : start + at_once].reshape(-1, 3), dtype=torch.float32, device=device)
        drawing = draw_planes(head, planes, first, second, (int(shape[0]), int(shape[1])))

        def average(values: torch.Tensor) -> torch.Tensor:
            return values.unflatten(-3, (-1, parts)).mean(-3)

        blood = drawing.blood
        clean = drawing.hu * (1 - blood.sum(0))
        pieces.append(
            (average(drawing.hu), average(clean), average(drawing.brain), average(blood),
             average(drawing.variation))
        )  # fmt: skip
    perfect, clean, brain, blood, varied = (torch.cat(p, -3) for p in zip(*pieces, strict=True))
    return perfect, clean, brain, blood, varied, thickness


def scan(slices: Slices, scanner: Scanner, r: Draws, **truth: Any) -> Case:
    """Scan drawn slices; ``truth`` is kept in the case's truth."""
    affine, label = slices.affine, slices.label
    pixel_mm = float(np.linalg.norm(affine[:3, 0]))
    hu = scan_slices(slices.hu, slices.brain, pixel_mm, scanner, r)
    subtypes = {}
    for subtype, wanted in slices.record.items():
        inside = label == BY_NAME[subtype].index
        count = int(inside.sum())
        measured = float(hu[inside].median()) if count else None
        subtypes[subtype] = {"ml": count * voxel_volume_ml(affine), "hu": measured, **wanted}
    record = {
        **truth,
        "spacing_mm": [float(v) for v in np.linalg.norm(affine[:3, :3], axis=0)],
        "thickness_mm": slices.thickness_mm,
        "shape": [*label.shape[1:], label.shape[0]],
        "total_ml": sum(s["ml"] for s in subtypes.values()),
        "subtypes": subtypes,
        "fractured_slices": list(slices.fractured),
        "scanner": scanner.as_dict(),
        "head": dict(slices.head.numbers),
    }
    return Case(
        hu=hu.permute(1, 2, 0).contiguous(),
        label=label.permute(1, 2, 0).contiguous(),
        brain=(slices.brain > 0.5).to(torch.uint8).permute(1, 2, 0).contiguous(),
        affine=affine,
        truth=record,
    )


def _label(
    head: Head, blood: torch.Tensor, brain: torch.Tensor, voxel_ml: float | None
) -> tuple[torch.Tensor, dict[str, dict[str, Any]]]:
    """Voxels of each bleed: those with the largest share of it, as many as the wanted volume needs.

    A voxel with less than a quarter of blood is never marked and one with three quarters always is, as a reader would.
    """
    label = torch.zeros(brain.shape, dtype=torch.uint8, device=brain.device)
    reached: dict[str, dict[str, Any]] = {}
    largest = blood.amax(0) if len(blood) else brain
    for n, bleed in enumerate(head.bleeds):
        share = torch.where((blood[n] >= largest) & (brain > MIN_BRAIN), blood[n], torch.zeros_like(blood[n]))
        threshold = 0.5
        if voxel_ml is not None:
            values = share[share >= SHARE_BOUNDS[0]].sort(descending=True).values
            wanted = max(1, round(bleed.volume_ml / voxel_ml))
            threshold = float(values[min(wanted, len(values)) - 1]) if len(values) else threshold
            threshold = min(max(threshold, SHARE_BOUNDS[0]), SHARE_BOUNDS[1])
        label[share >= threshold] = bleed.index
        reached[bleed.subtype] = {"wanted_ml": bleed.volume_ml, "wanted_hu": bleed.density_hu, "site": bleed.site}
    return label, reached


def _blurred(planes: torch.Tensor, sigma: float) -> torch.Tensor:
    """(K, I, J) as a scanner's kernel of ``sigma`` pixels leaves it: brain beside bone measures brighter than it is."""
    reach = math.ceil(2.5 * sigma)
    if sigma < 0.3 or not len(planes):
        return planes
    ticks = torch.arange(-reach, reach + 1, device=planes.device)
    taps = torch.exp(-0.5 * (ticks / sigma) ** 2)
    taps = (taps / taps.sum()).reshape(1, 1, -1, 1)
    along = functional.conv2d(planes[:, None], taps, padding=(reach, 0))
    return functional.conv2d(along, taps.transpose(2, 3), padding=(0, reach))[:, 0]


def _density(wanted_hu: float, share: torch.Tensor, around: torch.Tensor) -> float:
    """HU of undiluted blood whose labeled voxels have the median ``wanted_hu``, within what blood can have.

    Args:
        wanted_hu: median to reach.
        share: (M,) blood in each labeled voxel, after the kernel.
        around: (M,) what the rest of the voxel adds to its HU.
    """
    if share.numel() == 0:
        return wanted_hu
    density = float(((wanted_hu - around) / share.clamp(min=0.2)).median())
    return min(92.0, max(wanted_hu - 12.0, density))
