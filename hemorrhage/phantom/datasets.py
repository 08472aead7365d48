"""Data sets of phantoms made on the fly, so that training needs no files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from hemorrhage.phantom.case import Case, draw_patient, random_pose, scan
from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.head import Head, grid_points
from hemorrhage.phantom.recipe import Recipe
from hemorrhage.phantom.scanner import Scanner, draw_scanner
from hemorrhage.phantom.slices import draw_slices, grid_affine
from hemorrhage.phantom.statistics import draw_subtypes, draw_wanted
from hemorrhage.subtypes import BY_NAME

__all__ = ["SlicePhantoms", "TemplatePhantoms"]


class TemplatePhantoms(Dataset):
    """Seeded 3D phantoms in the space of the 1.5 mm template, each made when it is asked for.

    Heads lie as rigid registration leaves them: centered on the template up to a small misfit. Item ``n`` is the same
    at each epoch; give a larger ``length`` for more variety.

    Args:
        length: number of cases.
        size: voxels an axis, a number or three; fewer than 128 at 1.5 mm cut the field of view.
        spacing_mm: voxel size, the same along each axis.
        seed: case ``n`` is made from ``seed + n``.
        positive_fraction: share of cases with blood.
        misfit_degrees: SD of the rotation about each axis.
        misfit_mm: SD of the translation along each axis.
        subtypes: short names to put into each case with blood; by default drawn as they occur.
        volume_ml: least and largest volume of each of ``subtypes``, uniform; by default drawn as they occur.
        scanner: drawn for each case where None.
        paired: cases 2n and 2n + 1 are one head with and without its blood; ``positive_fraction`` must be 0.5.
        recipe: ingredients.
        transform: applied to each item.
        device: where cases are made.

    Items are dictionaries of channel-first MetaTensors: ``image`` float32 HU, not masked; ``label`` uint8, 1 for blood;
    ``subtype`` uint8 as in :mod:`hemorrhage.subtypes`; ``brain`` uint8; and ``truth``, a plain dictionary.
    """

    def __init__(
        self,
        length: int,
        size: int | Sequence[int] = 128,
        spacing_mm: float = 1.5,
        seed: int = 0,
        positive_fraction: float = 0.5,
        misfit_degrees: float = 3.0,
        misfit_mm: float = 2.5,
        subtypes: Sequence[str] | None = None,
        volume_ml: tuple[float, float] | None = None,
        scanner: Scanner | None = None,
        paired: bool = False,
        recipe: Recipe | None = None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if length < 1 or spacing_mm <= 0 or not 0 <= positive_fraction <= 1:
            raise ValueError(
                f"length {length}, spacing_mm {spacing_mm} or positive_fraction {positive_fraction} is out of range"
            )
        self.length = length
        self.shape = tuple(size) if isinstance(size, Sequence) else (size,) * 3
        self.spacing_mm = float(spacing_mm)
        self.seed = seed
        self.positive_fraction = positive_fraction
        self.misfit = (misfit_degrees, misfit_mm)
        if volume_ml and not subtypes:
            raise ValueError(f"volume_ml {volume_ml} needs subtypes to apply to")
        self.subtypes = subtypes
        self.volume_ml = volume_ml
        self.scanner = scanner
        if paired and positive_fraction != 0.5:
            raise ValueError(f"paired heads have blood in half of the cases, not in {positive_fraction}")
        self.paired = paired
        self.recipe = recipe
        self.transform = transform
        self.device = device
        # The template has the middle of the brain at the world's origin, as heads have it at theirs.
        self.affine = grid_affine(self.shape, (self.spacing_mm,) * 3)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        if not -self.length <= index < self.length:
            raise IndexError(index)
        index %= self.length
        seed = self.seed + (index // 2 if self.paired else index)
        with torch.no_grad():
            r = Draws(seed, self.device)
            share = 1.0 if self.paired else self.positive_fraction
            wanted, volumes = draw_wanted(r, self.subtypes, self.volume_ml, share)
            head, retries = draw_patient(r, wanted, volumes, positive_fraction=share, recipe=self.recipe)
            if self.paired and index % 2:
                head = head.bare or head
            rotation, offset = random_pose(r, self.misfit[0], self.misfit[1])
            scanner = self.scanner or draw_scanner(r, recipe=self.recipe)
            slices = draw_slices(head, self.affine, self.shape, rotation, offset)
            case = scan(slices, scanner, r, seed=seed, retries=retries)
        item = _item(case.hu[None], case.label[None], case.brain[None], case.affine)
        item["truth"] = case.truth
        return item if self.transform is None else self.transform(item)


class SlicePhantoms(IterableDataset):
    """An endless stream of 2.5D samples at native resolution: a slice between its neighbors.

    A head is drawn once and scanned as a slab of consecutive slices, from which samples are cut, so that one head
    serves many samples; with several workers each draws its own heads.

    Args:
        size: pixels a side.
        slices_per_head: slices that one slab gives.
        scans_per_head: times that a slab is scanned, each with another scanner; both times slices is samples a head.
        seed: start of the stream.
        positive_fraction: share of heads with blood. Slabs of such heads are placed over it.
        paired_fraction: share of those heads that are scanned once more as they were before the bleed.
        single_fraction: share of heads with blood that have one subtype; the others as subtypes occur in life, where
            epidural blood is rare.
        single_weights: how likely each subtype is in those, by short name; None: each as likely.
        pixel_mm: range of pixel sizes.
        spacing_mm: range of slice distances, equal to their thickness.
        exported: share of series saturated outside a display window.
        subplane_mm: largest distance between the planes that a slice averages.
        recipe: ingredients.
        epoch_length: samples an epoch, all workers together; endless where None.
        transform: applied to each sample.
        device: where heads are made.

    Samples are dictionaries: ``image`` (3, size, size) float32 HU, the slice below, the slice and the slice above;
    ``label`` (1, size, size) uint8 blood of the middle slice; ``subtype`` and ``brain`` likewise; MetaTensors.
    """

    def __init__(
        self,
        size: int = 256,
        slices_per_head: int = 24,
        scans_per_head: int = 2,
        seed: int = 0,
        positive_fraction: float = 0.5,
        paired_fraction: float = 0.0,
        single_fraction: float = 0.5,
        single_weights: Mapping[str, float] | None = None,
        pixel_mm: tuple[float, float] = (0.8, 0.98),
        spacing_mm: tuple[float, float] = (2.5, 6.5),
        exported: float = 0.3,
        subplane_mm: float = 2.6,
        recipe: Recipe | None = None,
        epoch_length: int | None = None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.size = size
        self.slices_per_head = slices_per_head
        self.scans_per_head = scans_per_head
        self.seed = seed
        self.positive_fraction = positive_fraction
        self.paired_fraction = paired_fraction
        self.single_fraction = single_fraction
        if single_weights is not None and (set(single_weights) - set(BY_NAME) or sum(single_weights.values()) <= 0):
            raise ValueError(f"single_weights {single_weights} must be numbers by short name of {', '.join(BY_NAME)}")
        self.single_weights = single_weights
        self.pixel_mm = pixel_mm
        self.spacing_mm = spacing_mm
        self.exported = exported
        self.subplane_mm = subplane_mm
        self.recipe = recipe
        self.epoch_length = epoch_length
        self.transform = transform
        self.device = device

    def __iter__(self):
        worker = get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        left = math.inf if self.epoch_length is None else len(range(number, self.epoch_length, workers))
        head = number
        while left > 0:
            for sample in self.samples_of(self.seed + head):
                yield sample if self.transform is None else self.transform(sample)
                left -= 1
                if left <= 0:
                    return
            head += workers

    def wanted_subtypes(self, r: Draws) -> tuple[str, ...]:
        """Subtypes of the next head: none, one, or as they occur together."""
        if not r.chance(self.positive_fraction):
            return ()
        if not r.chance(self.single_fraction):
            return draw_subtypes(r)
        weights = self.single_weights
        return (r.choice(list(BY_NAME)) if weights is None else r.choice(list(weights), list(weights.values())),)

    def scans_of(self, seed: int) -> list[Case]:
        """The slabs of one head, each ``slices_per_head`` and two outer slices thick; they differ by their scanners.

        A paired head gives as many slabs again of the head before its bleed.
        """
        with torch.no_grad():
            r = Draws(seed, self.device)
            head, retries = draw_patient(r, self.wanted_subtypes(r), recipe=self.recipe)
            rotation, offset = random_pose(r, 7.0, 6.0)
            pixel, step = r.uniform(*self.pixel_mm), r.uniform(*self.spacing_mm)
            count = self.slices_per_head + 2
            tilt = r.normal(8, 9, -25, 25)
            reach = max(0.0, 75.0 - step * count / 2)
            center = (0.0, -4.0, 4.0 + r.uniform(-reach, reach))
            if head.bleeds and count * step < 120:
                center = (0.0, -4.0, float(np.clip((rotation @ _blood_center(head))[2], -reach, 4 + reach)))
            shape = (self.size, self.size, count)
            affine = grid_affine(shape, (pixel, pixel, step), tilt, center)
            heads = [head]
            if head.bare is not None and r.chance(self.paired_fraction):
                heads.append(head.bare)
            cases = []
            for drawn in heads:
                slices = draw_slices(drawn, affine, shape, rotation, offset, whole=False, subplane_mm=self.subplane_mm)
                for _ in range(self.scans_per_head):
                    scanner = draw_scanner(r, self.exported, self.recipe)
                    cases.append(scan(slices, scanner, r, seed=seed, retries=retries))
            return cases

    def samples_of(self, seed: int) -> list[dict[str, Any]]:
        """The samples of one head, in random order."""
        cases = self.scans_of(seed)
        samples = []
        order = [(c, k) for c in range(len(cases)) for k in range(1, self.slices_per_head + 1)]
        for n in np.random.default_rng(seed).permutation(len(order)):
            case, k = cases[order[n][0]], order[n][1]
            image = case.hu[:, :, k - 1 : k + 2].permute(2, 0, 1).contiguous()
            # Channels are neighbors; the third axis of the affine says how far apart and where they lie.
            place = case.affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, k], [0, 0, 0, 1.0]])
            samples.append(_item(image, case.label[None, :, :, k], case.brain[None, :, :, k], place))
        return samples


def _blood_center(head: Head) -> np.ndarray:
    """Middle of all bleeds in mm of the head."""
    points = grid_points(str(head.device))
    inside = torch.stack([head.fields[b.field] > 0 for b in head.bleeds]).any(0) & (head.fields["depth"] > 0)
    if not inside.any():
        return np.zeros(3)
    return points[:, inside].mean(1).cpu().numpy()


def _item(image: torch.Tensor, label: torch.Tensor, brain: torch.Tensor, affine: np.ndarray) -> dict[str, Any]:
    where = torch.from_numpy(affine)
    return {
        "image": MetaTensor(image, affine=where),
        "label": MetaTensor((label > 0).to(torch.uint8), affine=where),
        "subtype": MetaTensor(label, affine=where),
        "brain": MetaTensor(brain, affine=where),
    }
