"""One whole phantom: a drawn head with its bleeds, scanned on a grid, with the truth about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from hemorrhage.errors import ScanError
from hemorrhage.geometry import voxel_volume_ml
from hemorrhage.phantom.bleeds import add_bleeds
from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.extra_axial import add_collection
from hemorrhage.phantom.head import Head, draw_head
from hemorrhage.phantom.recipe import Recipe
from hemorrhage.phantom.scanner import Scanner, draw_scanner, scan_slices
from hemorrhage.phantom.slices import WHITE_HU, Slices, draw_slices, grid_affine
from hemorrhage.phantom.space import NoRoomError
from hemorrhage.phantom.statistics import draw_subtypes
from hemorrhage.subtypes import BY_NAME

__all__ = ["Case", "draw_patient", "make_case", "random_pose", "scan"]

MOST_ML = 300.0
TRAUMA_SHARE = {"EDH": 0.75, "SDH": 0.45}  # of heads whose first subtype it is
# What undiluted blood can measure, and how much fainter than asked for it may be drawn beside bright bone.
DENSEST_HU = 92.0
FAINTER_HU = 15.0
# By how much, or by the noise where that is more, blood stays denser than gray matter would be in its place: readers
# outline what they see, and a network that is asked for what nobody could see learns to answer a little everywhere.
SEEN_HU = 8.0
SEEN_SHARE = 0.01  # of blood in a voxel of a slice; less changes no HU


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
    redraws: int = 3,
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
        redraws: see :func:`hemorrhage.phantom.slices.draw_slices`; fewer are faster, and volumes less exact.
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
            draw_slices(head, affine, shape, rotation, offset, redraws=redraws),
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


def scan(slices: Slices, scanner: Scanner, r: Draws, **truth: Any) -> Case:
    """Scan drawn slices; ``truth`` is kept in the case's truth."""
    affine, label = slices.affine, slices.label.clone()
    pixel_mm = float(np.linalg.norm(affine[:3, 0]))
    adjust = partial(_as_dense_as_wanted, slices, label, max(SEEN_HU, scanner.noise_hu))
    hu = scan_slices(slices.hu, slices.brain, pixel_mm, scanner, r, adjust)
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


def _as_dense_as_wanted(
    slices: Slices,
    label: torch.Tensor,
    seen_hu: float,
    hu: torch.Tensor,
    kernel: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """``hu`` (K, I, J) with each bleed so dense that the median of its labeled voxels is the wanted HU.

    What surrounds a thin bleed and how the scanner blurs and hardens there decides what a reader measures; the tables
    are of measured blood. Where this scanner has brightened brain beside bone, blood is made fainter than wanted for
    that, but not so faint that its contrast falls below ``seen_hu``. Where it has turned brain white, ``label`` is
    emptied: no reader sees blood there.
    """
    shares = [kernel(blood) for blood in slices.blood]  # of the whole stack: slices reach into their neighbors
    gray = slices.head.numbers["gray"]
    for bleed, share in zip(slices.head.bleeds, shares, strict=True):
        seen = share.flatten(1).amax(1) > SEEN_SHARE
        own, share = label[seen], share[seen]
        without = hu[seen] - (bleed.density_hu - gray) * share
        own[(own == bleed.index) & (without > WHITE_HU)] = 0
        label[seen] = own
        inside = own == bleed.index
        if not inside.any():
            continue
        missing = float(((bleed.density_hu - hu[seen][inside]) / share[inside].clamp(min=0.2)).median())
        fainter = min(FAINTER_HU, max(0.0, bleed.density_hu - gray - seen_hu))
        hu[seen] += min(DENSEST_HU - bleed.density_hu, max(-fainter, missing)) * share
    return hu
