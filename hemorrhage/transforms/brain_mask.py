"""The intracranial space of a head CT: what lies inside the skull, blood included, and nothing else.

Threshold, open, largest component, close and fill, every size in mm. Bone is a barrier and the brain is the largest
soft region that survives an opening and that bone surrounds; the opening cuts the narrow ways out of the skull
(orbital fissures, foramina, thin plates lost to partial volume). Nothing is decided by brain HU, so that blood at the
inner table, old infarcts and images exported through a window keep their place.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from scipy import ndimage

from hemorrhage.errors import ScanError, ScanWarning, add_warnings
from hemorrhage.geometry import voxel_sizes_mm

__all__ = ["BrainMaskd", "brain_mask"]

# Above any blood (90 HU) with noise, below the partial volume of a thin plate of bone in a thick slice.
BONE_HU = 150.0
# Where the inner table begins at full resolution: halfway from brain to bone in a voxel that both share, as far as one
# can know the HU of bone. Lower values shave off the bleeds that lie on the bone.
TABLE_HU = 400.0
# Between fat (-100 to -50) and cerebrospinal fluid (0 to 15) with noise.
SOFT_HU = -50.0
# A bone's or air's true HU must not outweigh its neighbors in a block mean.
CLIP_HU = (-100.0, 300.0)

COARSE_MM = 2.0
OPENING_MM = 7.0  # wider than the superior orbital fissure and the optic canal, narrower than a temporal pole
MARGIN_MM = 4.0  # what the opening rounded off in the corners of the fossae
CLOSING_MM = 6.0
FORAMEN_CM2 = 11.0  # foramen magnum: 35 mm x 30 mm at most, 8 cm2; the posterior fossa just above it has 20 and more
VERTEX_CM2 = 4.0  # a last slice with more brain than this did not reach the top
HEAD_ML = (800, 2000)
NO_HEAD_ML = (250, 2400)  # a newborn's, and what no skull holds
MIN_BONE_SHARE = 0.5  # a craniectomy leaves 0.75, a chest's wall makes 0.3
DEFECT_CM2 = 6.0


@dataclass(frozen=True)
class _Coarse:
    """A scan on the working grid: axes in RAS+ order, blocks of about COARSE_MM."""

    hu: np.ndarray
    bone_share: np.ndarray
    sizes: np.ndarray
    factors: tuple[int, ...]


def brain_mask(hu: np.ndarray, affine: np.ndarray, name: str = "scan") -> tuple[np.ndarray, list[ScanWarning]]:
    """Find the intracranial space.

    Args:
        hu: (I, J, K) Hounsfield units, any axis order; one slice is enough.
        affine: (4, 4) voxel index to RAS+ mm.
        name: file or series, as an error shall name it.

    Returns:
        bool array of the shape of ``hu``, and what its reader must know (``W_COVERAGE``, ``W_SKULL_DEFECT``,
        ``W_FOV``, ``W_HEAD_SIZE``).

    Raises:
        ScanError: ``E_NOT_HEAD`` where no skull surrounds a brain.
    """
    order = nib.io_orientation(affine)
    to_ras = nib.apply_orientation(np.asarray(hu), order)
    sizes = voxel_sizes_mm(affine @ nib.orientations.inv_ornt_aff(order, np.shape(hu)))
    coarse = _coarsen(to_ras, sizes)
    skull = _skull(coarse)
    box, open_ends = _box_around(skull, coarse.sizes)
    around = replace(coarse, hu=coarse.hu[box], bone_share=coarse.bone_share[box])
    inside = np.zeros(skull.shape, dtype=bool)
    inside[box] = _inside(around, skull[box], name)
    warnings = _doubts(inside[box], skull[box], coarse.sizes, open_ends, name)
    fine = _refine(to_ras, inside, skull, coarse.factors, sizes)
    back = nib.orientations.ornt_transform(np.array([[0, 1], [1, 1], [2, 1]]), order)
    return np.ascontiguousarray(nib.apply_orientation(fine, back)), warnings


def _coarsen(hu: np.ndarray, sizes: np.ndarray) -> _Coarse:
    factors = tuple(max(1, round(COARSE_MM / size)) for size in sizes)
    hu = np.clip(hu, *CLIP_HU, dtype=np.float32)
    pad = [(0, -n % f) for n, f in zip(hu.shape, factors, strict=True)]
    if any(after for _, after in pad):
        hu = np.pad(hu, pad, mode="edge")
    shape = [length for n, f in zip(hu.shape, factors, strict=True) for length in (n // f, f)]
    blocks = hu.reshape(shape)
    return _Coarse(
        hu=blocks.mean((1, 3, 5)),
        bone_share=(blocks > BONE_HU).mean((1, 3, 5), dtype=np.float32),
        sizes=sizes * factors,
        factors=factors,
    )


def _skull(coarse: _Coarse) -> np.ndarray:
    """Bone that bounds the brain, without calcifications, saturated blood and metal that lie free within it."""
    bone = (coarse.hu > BONE_HU) | (coarse.bone_share >= 0.25)
    labels, count = ndimage.label(bone, np.ones((3, 3, 3)))
    if count < 2:
        return bone
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest = labels == sizes.argmax()
    away = ndimage.distance_transform_edt(~largest, sampling=coarse.sizes) > 5.0
    enclosed = _enclosed(largest) == 4
    # A part touching the ring from close by is a piece of skull base; one that floats inside is not skull.
    floats = np.ones(count + 1, dtype=bool)
    floats[np.unique(labels[bone & ~(away & enclosed)])] = False
    return bone & ~floats[labels]


def _box_around(skull: np.ndarray, sizes: np.ndarray) -> tuple[tuple[slice, ...], list[tuple[int, int]]]:
    """The part of the grid that holds bone with 10 mm around it in plane, and its sides (axis, end) at the image's."""
    box, sides = [], []
    for axis in (0, 1):
        used = np.flatnonzero(skull.any(tuple(a for a in range(3) if a != axis)))
        margin = int(np.ceil(10.0 / sizes[axis]))
        low = max(0, used[0] - margin) if used.size else 0
        high = min(skull.shape[axis], used[-1] + 1 + margin) if used.size else skull.shape[axis]
        box.append(slice(low, high))
        sides += [(axis, end) for end, cut in ((0, low == 0), (-1, high == skull.shape[axis])) if cut]
    return (*box, slice(None)), sides


def _enclosed(bone: np.ndarray) -> np.ndarray:
    """In how many of the four in-plane directions (left, right, front, back) there is bone, uint8."""
    count = np.zeros(bone.shape, dtype=np.uint8)
    for axis in (0, 1):
        count += np.maximum.accumulate(bone, axis)
        count += np.flip(np.maximum.accumulate(np.flip(bone, axis), axis), axis)
    return count


def _inside(coarse: _Coarse, skull: np.ndarray, name: str) -> np.ndarray:
    """The brain on the working grid: the soft region that bone surrounds, opened, cut at the foramen magnum, filled."""
    soft = ~skull & (coarse.hu > SOFT_HU)
    depth = ndimage.distance_transform_edt(soft, sampling=coarse.sizes)
    enclosed = _enclosed(skull) >= 3
    labels, count = ndimage.label(depth > OPENING_MM)
    surrounded = np.bincount(labels[enclosed], minlength=count + 1)
    surrounded[0] = 0
    if not surrounded.any():
        raise _not_head(name, "no soft tissue is surrounded by bone")
    seeds = labels == surrounded.argmax()
    if seeds.shape[2] * coarse.sizes[2] < 30.0:
        # Temporal lobes, cerebellum and frontal lobe are islands in a few slices of the skull base.
        share = surrounded / np.maximum(np.bincount(labels.ravel()), 1)
        seeds = ((share > 0.9) & (surrounded > 0.05 * surrounded.max()))[labels]
    opened = ndimage.distance_transform_edt(~seeds, sampling=coarse.sizes) < OPENING_MM
    opened = _above_foramen(opened, coarse.sizes)
    grown = _grow(opened, ~skull & (coarse.hu > SOFT_HU), coarse.sizes, MARGIN_MM)
    closed = _close(grown, coarse.sizes, CLOSING_MM) & ~skull
    return _fill_slices(_within_outline(closed, skull, coarse.sizes), skull)


def _not_head(name: str, cause: str) -> ScanError:
    return ScanError("E_NOT_HEAD", name, cause, "Give a non-contrast head CT that holds the skull, or a brain mask.")


def _above_foramen(inside: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Cut the spinal canal: slices below the largest from where the area first falls under the foramen's."""
    area_cm2 = inside.sum((0, 1)) * sizes[0] * sizes[1] / 100.0
    widest = int(area_cm2.argmax())
    narrow = np.flatnonzero(area_cm2[:widest] < FORAMEN_CM2)
    if narrow.size:
        inside = inside.copy()
        inside[:, :, : narrow[-1] + 1] = False
    return inside


def _grow(inside: np.ndarray, allowed: np.ndarray, sizes: np.ndarray, mm: float) -> np.ndarray:
    """Dilate by ``mm`` in plane within ``allowed``, never across what is not allowed."""
    cross = ndimage.generate_binary_structure(3, 1)
    cross[:, :, [0, 2]] = False
    steps = max(1, round(mm / float(sizes[:2].mean())))
    return ndimage.binary_dilation(inside, cross, iterations=steps, mask=allowed | inside)


def _close(inside: np.ndarray, sizes: np.ndarray, mm: float) -> np.ndarray:
    margin = [(int(np.ceil(mm / s)) + 1,) * 2 for s in sizes]
    margin[2] = (0, 0)  # slices beyond the scan are unknown, not empty
    padded = np.pad(inside, margin)
    dilated = ndimage.distance_transform_edt(~padded, sampling=sizes) <= mm
    closed = ndimage.distance_transform_edt(dilated, sampling=sizes) > mm
    return inside | closed[tuple(slice(a, n - b) for (a, b), n in zip(margin, closed.shape, strict=True))]


def _bone_contact(inside: np.ndarray, skull: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In-plane border of ``inside``, and the part of it that lies within 5 mm of bone."""
    cross = ndimage.generate_binary_structure(3, 1)
    cross[:, :, [0, 2]] = False
    border = inside & ~ndimage.binary_erosion(inside, cross)
    near = ndimage.distance_transform_edt(~skull, sampling=sizes) <= 5.0
    return border, border & near


def _within_outline(inside: np.ndarray, skull: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Cut what bulges through a gap of the skull, where it has one.

    Around the middle of each slice the outermost radius at which the brain meets bone is known for most directions;
    those without bone, and 10 degrees beside them where the edge of the gap misleads, get the radius between their
    neighbors.
    """
    border, contact = _bone_contact(inside, skull, sizes)
    if _open_cm2(inside, border, contact, sizes) < DEFECT_CM2:
        return inside
    kept = inside.copy()
    directions = 72
    lowest = max(0, _widest(inside) - round(20.0 / sizes[2]))
    for k in range(lowest, inside.shape[2]):
        if not inside[:, :, k].any():
            continue
        voxels, edge = np.argwhere(inside[:, :, k]), np.argwhere(border[:, :, k])
        middle = voxels.mean(0)
        arms, edge_arms = (voxels - middle) * sizes[:2], (edge - middle) * sizes[:2]
        outward = edge_arms / np.maximum(np.hypot(*edge_arms.T), 1e-6)[:, None]
        meets = np.zeros(len(edge), dtype=bool)
        for mm in (2.0, 4.0, 6.0):
            at = np.rint(edge + outward * mm / sizes[:2]).astype(int)
            at = np.clip(at, 0, np.array(skull.shape[:2]) - 1)
            meets |= skull[at[:, 0], at[:, 1], k]
        if meets.sum() < 10:
            continue
        # A head is an ellipse to begin with: in its own axes the radius hardly changes from one direction to the next.
        to_round = np.linalg.inv(np.linalg.cholesky(np.cov(arms.T) + 1e-3 * np.eye(2))).T
        arms, edge_arms = arms @ to_round, edge_arms @ to_round
        radius, edge_radius = np.hypot(*arms.T), np.hypot(*edge_arms.T)
        sector, edge_sector = (_sector(a, directions) for a in (arms, edge_arms))
        outline = np.zeros(directions)
        np.maximum.at(outline, edge_sector[meets], edge_radius[meets])
        gap = ndimage.maximum_filter1d(outline == 0.0, 5, mode="wrap")
        known = np.flatnonzero(~gap)
        if not len(known):
            continue
        outline[gap] = np.interp(np.flatnonzero(gap), known, outline[known], period=directions)
        outside = gap[sector] & (radius > 1.02 * outline[sector])
        kept[voxels[outside, 0], voxels[outside, 1], k] = False
    return kept


def _widest(inside: np.ndarray) -> int:
    return int(inside.sum((0, 1)).argmax())


def _open_cm2(inside: np.ndarray, border: np.ndarray, contact: np.ndarray, sizes: np.ndarray) -> float:
    """Area of the border that no bone bounds, from the widest slice upward: the skull base is full of holes."""
    above = slice(_widest(inside), None)
    return float((border & ~contact)[:, :, above].sum() * sizes[:2].mean() * sizes[2]) / 100.0


def _sector(arms: np.ndarray, count: int) -> np.ndarray:
    turn = np.arctan2(arms[:, 1], arms[:, 0]) / (2.0 * np.pi) + 0.5
    return np.minimum((turn * count).astype(int), count - 1)


def _fill_slices(inside: np.ndarray, skull: np.ndarray) -> np.ndarray:
    filled = inside.copy()
    for k in range(inside.shape[2]):
        filled[:, :, k] = ndimage.binary_fill_holes(inside[:, :, k])
    return filled & ~skull


def _doubts(
    inside: np.ndarray, skull: np.ndarray, sizes: np.ndarray, sides: list[tuple[int, int]], name: str
) -> list[ScanWarning]:
    """Refuse what is no head; say what is missing of one."""
    border, contact = _bone_contact(inside, skull, sizes)
    volume_ml = float(inside.sum() * np.prod(sizes)) / 1000.0
    if volume_ml > NO_HEAD_ML[1]:
        raise _not_head(name, f"bone surrounds {volume_ml:.0f} mL of soft tissue, a head at most {NO_HEAD_ML[1]}")
    bone_share = float(contact.sum() / max(border.sum(), 1))
    if bone_share < MIN_BONE_SHARE:
        raise _not_head(name, f"bone bounds {bone_share:.0%} of the largest soft region, a skull at least 50%")
    area_cm2 = inside.sum((0, 1)) * sizes[0] * sizes[1] / 100.0
    base_cut, vertex_cut = area_cm2[0] > FORAMEN_CM2, area_cm2[-1] > VERTEX_CM2
    covered_mm = float(np.count_nonzero(area_cm2) * sizes[2])
    warnings = []
    if base_cut or vertex_cut:
        missing = " and ".join(end for end, cut in (("base", base_cut), ("vertex", vertex_cut)) if cut)
        verb = "are" if base_cut and vertex_cut else "is"
        text = f"The {missing} of the brain {verb} not covered ({covered_mm:.0f} mm are): volumes are lower bounds."
        numbers = {"covered_mm": covered_mm, "base_cut": float(base_cut), "vertex_cut": float(vertex_cut)}
        warnings.append(ScanWarning("W_COVERAGE", text, numbers=numbers))
    elif volume_ml < NO_HEAD_ML[0]:
        raise _not_head(name, f"the skull holds {volume_ml:.0f} mL of soft tissue, a head {HEAD_ML[0]} to {HEAD_ML[1]}")
    elif not HEAD_ML[0] <= volume_ml <= HEAD_ML[1]:
        text = f"The skull holds {volume_ml:.0f} mL, outside {HEAD_ML[0]} to {HEAD_ML[1]} mL: a child, or a wrong mask."
        warnings.append(ScanWarning("W_HEAD_SIZE", text, numbers={"brain_ml": volume_ml}))
    open_cm2 = _open_cm2(inside, border, contact, sizes)
    if open_cm2 > DEFECT_CM2:
        text = f"The skull is open over about {open_cm2:.0f} cm2: the brain mask is bounded by a smooth line there."
        warnings.append(ScanWarning("W_SKULL_DEFECT", text, numbers={"open_cm2": open_cm2}))
    head = (ndimage.distance_transform_edt(~inside, sampling=sizes) <= 15.0) & (skull | inside) if sides else inside
    cut = sum(int(head.take(end, axis).sum()) for axis, end in sides)
    if cut:
        cut_cm2 = float(cut * sizes[:2].mean() * sizes[2]) / 100.0
        text = f"The head is cut by the edge of the field of view over {cut_cm2:.1f} cm2."
        warnings.append(ScanWarning("W_FOV", text, numbers={"cut_cm2": cut_cm2}))
    return warnings


def _refine(
    hu: np.ndarray, inside: np.ndarray, skull: np.ndarray, factors: tuple[int, ...], sizes: np.ndarray
) -> np.ndarray:
    """Carry the coarse mask to the scan's grid, its border drawn anew where bone begins."""
    cross = ndimage.generate_binary_structure(3, 1)
    cross[:, :, [0, 2]] = False
    out = np.zeros(hu.shape, dtype=bool)
    # Only toward bone does the coarse border give way: elsewhere it was drawn, over a foramen or a gap of the skull.
    wide = inside | (ndimage.binary_dilation(inside, cross) & ndimage.binary_dilation(skull, cross, iterations=2))
    corners = np.argwhere(wide)
    if not len(corners):
        return out
    low, high = corners.min(0), corners.max(0) + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    fine_box = tuple(slice(a * f, b * f) for a, b, f in zip(low, high, factors, strict=True))

    def up(mask: np.ndarray) -> np.ndarray:
        for axis, f in enumerate(factors):
            mask = mask.repeat(f, axis) if f > 1 else mask
        return mask[tuple(slice(0, n) for n in part.shape)]

    part = np.clip(hu[fine_box], CLIP_HU[0], 1000.0, dtype=np.float32)
    sigma = [0.5 / s if s < 1.0 else 0.0 for s in sizes]
    smooth = ndimage.gaussian_filter(part, sigma, truncate=2.0)
    core = ndimage.binary_erosion(inside[box], cross)
    fine = (up(wide[box]) & (smooth < TABLE_HU) & (smooth > SOFT_HU)) | up(core)
    fine &= ~(up(ndimage.binary_dilation(skull[box], cross)) & (smooth >= TABLE_HU))
    fine = ndimage.binary_opening(fine, cross, iterations=max(1, round(1.0 / sizes[0])))
    labels, count = ndimage.label(fine)
    kept = np.zeros(count + 1, dtype=bool)
    kept[np.unique(labels[up(core)])] = True  # air cells and bone mix to the HU of brain, but only in small islands
    kept[0] = False
    fine = kept[labels]
    for k in range(fine.shape[2]):
        fine[:, :, k] = ndimage.binary_fill_holes(fine[:, :, k])
    out[fine_box] = fine
    return out


class BrainMaskd(MapTransform):
    """Add the brain mask of an image under a key of its own.

    Not a spatial change: nothing is traced, and inverting a pipeline passes it by.

    Args:
        keys: the image, a (1, I, J, K) ``MetaTensor`` in HU.
        brain_key: key of the mask, uint8, a ``MetaTensor`` on the image's grid. Where the data holds this key
            already, that mask is the user's own and is kept, after a check of its grid.
        allow_missing_keys: do nothing where the image is missing.
    """

    def __init__(self, keys: KeysCollection = "image", brain_key: str = "brain", allow_missing_keys: bool = False):
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"BrainMaskd masks one image, got keys {self.keys}")
        self.brain_key = brain_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the brain mask, and the image's meta data with its warnings."""
        d = dict(data)
        for key in self.key_iterator(d):
            image: MetaTensor = d[key]
            name = str(image.meta.get("filename_or_obj", "scan"))
            if self.brain_key in d:
                own = d[self.brain_key]
                if own.shape[1:] != image.shape[1:]:
                    raise ScanError(
                        "E_MASK_GRID",
                        name,
                        f"brain mask of shape {tuple(own.shape[1:])} for an image of shape {tuple(image.shape[1:])}",
                        "Give a mask on the image's own grid.",
                    )
                d[self.brain_key] = (own > 0).to(torch.uint8)
                continue
            mask, warnings = brain_mask(image[0].numpy(), image.affine.numpy(), name)
            d[self.brain_key] = MetaTensor(torch.from_numpy(mask[None].astype(np.uint8)), meta=dict(image.meta))
            add_warnings(image.meta, warnings)
        return d
