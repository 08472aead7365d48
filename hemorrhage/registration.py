"""Rigid alignment of a brain-masked scan to the template.

Both images hold the brain alone in HU, so that sums of squared differences compare like with like. The scan's voxels
are the sample: what a cut head does not show is then never asked about. A grid of poses around the brain's center of
mass gives a start that survives 30 degrees of rotation and missing slices, and nonlinear least squares with the
template's own gradient refines it (Gauss-Newton for registration: Lucas and Kanade, IJCAI 1981; a robust loss keeps
blood and old infarcts from pulling).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from hemorrhage.errors import ScanWarning
from hemorrhage.geometry import rotation_angle_degrees, voxel_sizes_mm

__all__ = ["Alignment", "Template", "align_to_template"]

MIN_OVERLAP = 0.75
MAX_ROTATION_DEGREES = 50.0
SAMPLES = 12_000
LEVELS_MM = (6.0, 3.0, 1.5)
BLOCK_MM = 2.5
ROBUST_HU = 8.0  # differences beyond this count linearly: the contrast of gray to white is 8, of blood to brain 30
SIZE_SD = 0.07  # of the length of adult heads
MAX_STEPS = 40
STEP_SCALE = np.array([2e-4, 2e-4, 2e-4, 0.02, 0.02, 0.02, 2e-4])  # radians, mm, share: 0.02 mm at the cortex
BORDER_MM = 10.0  # background around the brain that takes part, so that its outline counts from both sides


class Template:
    """A brain template and what every alignment to it needs, computed once.

    Args:
        hu: (I, J, K) HU of a brain, 0 outside it.
        affine: (4, 4) voxel index to RAS+ mm.
    """

    def __init__(self, hu: np.ndarray, affine: np.ndarray) -> None:
        self.hu = np.asarray(hu, dtype=np.float32)
        self.affine = np.asarray(affine, dtype=np.float64)
        self.brain = self.hu > 0
        if not self.brain.any():
            raise ValueError("the template holds no brain: no voxel is above 0")
        self.center = self.affine[:3, :3] @ np.array(ndimage.center_of_mass(self.brain)) + self.affine[:3, 3]
        self._world_to_voxel = np.linalg.inv(self.affine)
        self._levels: dict[float, tuple[np.ndarray, list[np.ndarray]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without what was computed on the way: data sets know a transform by what it is pickled to."""
        return {**self.__dict__, "_levels": {}}

    def smoothed(self, sigma_mm: float) -> tuple[np.ndarray, list[np.ndarray]]:
        """The template blurred by ``sigma_mm``, and its gradient per mm along the three world axes."""
        if sigma_mm not in self._levels:
            blurred = ndimage.gaussian_filter(self.hu, sigma_mm / voxel_sizes_mm(self.affine))
            by_voxel = np.gradient(blurred)
            inverse = self._world_to_voxel[:3, :3]
            world = [sum(g * inverse[v, w] for v, g in enumerate(by_voxel)) for w in range(3)]
            self._levels[sigma_mm] = (blurred, [np.asarray(g, dtype=np.float32) for g in world])
        return self._levels[sigma_mm]

    def sample(self, volume: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Linear values of ``volume`` (on the template's grid) at (..., 3) world points, 0 outside."""
        m = self._world_to_voxel
        index = points @ m[:3, :3].T + m[:3, 3]
        return ndimage.map_coordinates(volume, np.moveaxis(index, -1, 0), order=1, output=np.float32)


@dataclass(frozen=True)
class Alignment:
    """How a scan lies in template space.

    Attributes:
        rigid: (4, 4) scan RAS+ mm to template RAS+ mm, a proper rotation and a translation.
        overlap: Dice of the two brains over the voxels that the scan has, within [0, 1].
        rotation_degrees: angle of ``rigid``.
        warnings: ``W_REGISTRATION`` where the alignment is by center of mass alone.
    """

    rigid: np.ndarray
    overlap: float
    warnings: tuple[ScanWarning, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def rotation_degrees(self) -> float:
        """Angle of the rotation, within [0, 180]."""
        return rotation_angle_degrees(self.rigid[:3, :3])


def align_to_template(hu: np.ndarray, brain: np.ndarray, affine: np.ndarray, template: Template) -> Alignment:
    """Align a scan rigidly to the template.

    Args:
        hu: (I, J, K) HU; only voxels of ``brain`` are looked at.
        brain: (I, J, K) brain mask, > 0 inside.
        affine: (4, 4) voxel index to RAS+ mm.
        template: what to align to.

    Returns:
        The alignment. Where the optimizer fails, or the brains overlap by less than ``MIN_OVERLAP`` after it, the one
        by center of mass, with a warning that gives the numbers.

    Raises:
        ValueError: the brain mask is empty.
    """
    scan = _Scan.of(hu, brain, affine)
    by_center = _pose(np.zeros(7), scan.center, template.center)
    try:
        rigid = _fit(scan, template)
        overlap = _overlap(scan, template, rigid)
        angle = rotation_angle_degrees(rigid[:3, :3])
        failed = overlap < MIN_OVERLAP or angle > MAX_ROTATION_DEGREES
        if not failed:
            return Alignment(rigid, overlap)
        numbers = {"overlap": overlap, "rotation_degrees": angle}
        cause = f"the brains overlap by {overlap:.2f} (at least {MIN_OVERLAP}) at a rotation of {angle:.0f} degrees"
    except (np.linalg.LinAlgError, ValueError) as error:
        numbers, cause = {}, f"the optimizer stopped ({error})"
    overlap = _overlap(scan, template, by_center)
    numbers["overlap_by_center"] = overlap
    text = f"Alignment to the template failed: {cause}. Aligned by center of mass instead (overlap {overlap:.2f})."
    return Alignment(by_center, overlap, (ScanWarning("W_REGISTRATION", text, numbers=numbers),))


@dataclass(frozen=True)
class _Scan:
    """The brain of a scan in blocks of about BLOCK_MM, scaled so that its median is the template's."""

    hu: np.ndarray
    brain: np.ndarray
    affine: np.ndarray
    center: np.ndarray
    extent_mm: float  # of the brain, from its lowest to its highest point

    @classmethod
    def of(cls, hu: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> _Scan:
        inside = np.asarray(brain) > 0
        if not inside.any():
            raise ValueError("the brain mask is empty")
        # What is cut away is background: only the brain and a border of BORDER_MM take part.
        affine = np.array(affine, dtype=np.float64)
        margin = np.ceil(BORDER_MM / voxel_sizes_mm(affine)).astype(int)
        box = []
        for axis in range(3):
            used = np.flatnonzero(inside.any(tuple(a for a in range(3) if a != axis)))
            low = max(0, used[0] - margin[axis])
            box.append(slice(low, min(inside.shape[axis], used[-1] + 1 + margin[axis])))
            affine[:3, 3] += affine[:3, axis] * low
        inside = inside[tuple(box)]
        values = np.where(inside, np.clip(np.asarray(hu)[tuple(box)], 0.0, 100.0), 0.0).astype(np.float32)
        factors = [max(1, round(BLOCK_MM / s)) for s in voxel_sizes_mm(affine)]
        middle = float(np.median(values[inside]))
        values *= 33.0 / middle if middle > 5.0 else 1.0
        step = np.diag([*factors, 1.0])
        step[:3, 3] = (np.array(factors) - 1) / 2.0
        share = _block_mean(inside.astype(np.float32), factors)
        coarse = affine @ step
        weight = share / share.sum()
        index = np.stack(np.meshgrid(*map(np.arange, share.shape), indexing="ij"), -1)
        world = index @ coarse[:3, :3].T + coarse[:3, 3]
        height = world[..., 2][share > 0.5] if (share > 0.5).any() else world[..., 2][share > 0]
        return cls(
            hu=_block_mean(values, factors),
            brain=share,
            affine=coarse,
            center=np.tensordot(weight, world, 3),
            extent_mm=float(np.ptp(height)),
        )

    def world(self, index: np.ndarray) -> np.ndarray:
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]


def _block_mean(volume: np.ndarray, factors: list[int]) -> np.ndarray:
    pad = [(0, -n % f) for n, f in zip(volume.shape, factors, strict=True)]
    volume = np.pad(volume, pad)
    shape = [length for n, f in zip(volume.shape, factors, strict=True) for length in (n // f, f)]
    return volume.reshape(shape).mean((1, 3, 5))


def _pose(parameters: np.ndarray, scan_center: np.ndarray, template_center: np.ndarray) -> np.ndarray:
    """Rigid matrix from a rotation vector (radians) about the scan's center and a shift (mm) of that center.

    A seventh parameter, the logarithm of the size of template over scan, is passed over.
    """
    rigid = np.eye(4)
    rigid[:3, :3] = Rotation.from_rotvec(parameters[:3]).as_matrix()
    rigid[:3, 3] = template_center + parameters[3:6] - rigid[:3, :3] @ scan_center
    return rigid


def _fit(scan: _Scan, template: Template) -> np.ndarray:
    sizes = voxel_sizes_mm(scan.affine)
    near = ndimage.distance_transform_edt(scan.brain < 0.5, sampling=sizes) <= BORDER_MM
    index = np.argwhere(near)
    chosen = np.random.default_rng(0).permutation(len(index))[:SAMPLES]
    index = index[chosen]
    points = scan.world(index)

    def values(sigma: float) -> np.ndarray:
        # A block is blurred already, by about 0.3 of its edge.
        extra = np.sqrt(np.maximum(sigma**2 - (0.3 * sizes) ** 2, 0.0)) / sizes
        return ndimage.gaussian_filter(scan.hu, extra, mode="nearest")[tuple(index.T)]

    start = _best_start(scan, template, points[:2500], values(6.0)[:2500])
    for sigma in LEVELS_MM:
        few = slice(SAMPLES // 3 if sigma > 4.0 else SAMPLES)  # a blurred image has little to tell apart
        start = _refine(start, points[few], values(sigma)[few], scan.center, template, sigma)
    return _pose(start, scan.center, template.center)


def _best_start(scan: _Scan, template: Template, points: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The pose of a coarse grid with the least squared difference.

    Nodding is the rotation that patients differ most in, and the brain's round side view resists it least. A scan that
    shows less than a whole brain may sit at any height.
    """
    blurred, _ = template.smoothed(6.0)
    missing = max(0.0, 130.0 - scan.extent_mm)
    heights = np.arange(-10.0 * round(missing / 20.0), missing / 2.0 + 1.0, 10.0)
    turns = np.radians([-20.0, 0.0, 20.0])
    nods = np.radians([-30.0, -15.0, 0.0, 15.0, 30.0])
    best, least = np.zeros(7), np.inf
    for nod, roll, yaw, height in itertools.product(nods, turns, turns, heights):
        pose = np.array([nod, roll, yaw, 0.0, 0.0, height, 0.0])
        rigid = _pose(pose, scan.center, template.center)
        moved = points @ rigid[:3, :3].T + rigid[:3, 3]
        error = float(np.square(template.sample(blurred, moved) - values).mean())
        if error < least:
            best, least = pose, error
    return best


def _refine(
    start: np.ndarray,
    points: np.ndarray,
    values: np.ndarray,
    center: np.ndarray,
    template: Template,
    sigma: float,
) -> np.ndarray:
    """Least squares over rotation, shift and size, by Levenberg and Marquardt's damped Gauss-Newton steps.

    Heads differ in size by more than the alignment may err, and a rigid fit of a small head is free to lean to any side
    of the template. The size is therefore found too, under a prior, and left out of the result.
    """
    blurred, gradient = template.smoothed(sigma)
    arms = points - center
    prior = ROBUST_HU * np.sqrt(len(points) / 200.0) / SIZE_SD  # neighbors agree: a sample counts as about 200

    def residual(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        rotated = Rotation.from_rotvec(pose[:3]).apply(arms) * np.exp(pose[6])
        where = rotated + template.center + pose[3:6]
        differences = template.sample(blurred, where).astype(np.float64) - values
        # Soft L1: quadratic up to ROBUST_HU, linear beyond.
        robust = np.sqrt(1.0 + np.square(differences / ROBUST_HU))
        cost = 2.0 * ROBUST_HU**2 * float((robust - 1.0).sum()) + float(np.square(prior * pose[6]))
        return differences, where, 1.0 / robust, cost

    pose, damping = start, 1e-2
    differences, where, weights, cost = residual(pose)
    for _ in range(MAX_STEPS):
        slope = np.stack([template.sample(g, where) for g in gradient], -1).astype(np.float64)
        rotated = where - template.center - pose[3:6]
        # A small turn dw moves a point by dw x (R a), and slope . (dw x R a) = (R a x slope) . dw.
        rows = np.concatenate([np.cross(rotated, slope), slope, (rotated * slope).sum(-1, keepdims=True)], 1)
        weighted = rows * weights[:, None]
        # einsum and not a matrix product: on shared cores the threads of a BLAS wait longer than this takes.
        normal, pull = np.einsum("ni,nj->ij", weighted, rows), np.einsum("ni,n->i", weighted, differences)
        normal[6, 6] += prior**2
        pull[6] += prior**2 * pose[6]
        step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal)), pull)
        new = pose + step
        new[:3] = (Rotation.from_rotvec(step[:3]) * Rotation.from_rotvec(pose[:3])).as_rotvec()
        tried = residual(new)
        if tried[3] < cost:
            pose, (differences, where, weights, cost) = new, tried
            damping /= 5.0
        else:
            damping *= 10.0
        if np.abs(step / STEP_SCALE).max() < 1.0:
            break
    return pose


def _overlap(scan: _Scan, template: Template, rigid: np.ndarray) -> float:
    index = np.stack(np.meshgrid(*map(np.arange, scan.brain.shape), indexing="ij"), -1)
    points = scan.world(index) @ rigid[:3, :3].T + rigid[:3, 3]
    there = template.sample(template.brain.astype(np.float32), points) >= 0.5
    here = scan.brain >= 0.5
    total = int(here.sum() + there.sum())
    return 2.0 * float((here & there).sum()) / total if total else 0.0
