"""Phantoms as a scanner delivers them, for networks that are trained on the way that a patient's scan takes.

Lists of small items say which heads; transforms make them, so that what a pipeline makes of a head can be kept on disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

import hemorrhage.phantom
from hemorrhage.errors import ScanError
from hemorrhage.phantom import Case, SlicePhantoms, make_case
from hemorrhage.phantom.draws import Draws
from hemorrhage.phantom.recipe import Recipe
from hemorrhage.phantom.statistics import draw_wanted
from hemorrhage.transforms.brain_mask import BrainMaskd

__all__ = ["PhantomScand", "PhantomScans", "PhantomSlabd", "phantom_slabs", "start_method"]


def _phantom_version() -> str:
    """A hash of the code that makes phantoms: what was kept of an older one is not taken for this one's."""
    folder = Path(inspect.getfile(hemorrhage.phantom)).parent
    files = sorted(p for p in folder.iterdir() if p.suffix in (".py", ".npz"))
    return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()[:16]


def _item_of(case: Case) -> dict[str, Any]:
    """Image (HU), label (subtypes) and brain of a scan, each a (1, I, J, K) ``MetaTensor``.

    The brain mask is found as in a real scan, because that is what a network will see; where none is found it is the
    true one.
    """
    arrays = {"image": case.hu, "label": case.label, "brain": case.brain}
    item = {key: MetaTensor(a[None].cpu(), affine=torch.from_numpy(case.affine)) for key, a in arrays.items()}
    with contextlib.suppress(ScanError):
        item["brain"] = BrainMaskd("image")({"image": item["image"]})["brain"]
    return item


def _item(seed: int, version: str, device: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of one head. A processor is not named, so that what was kept of its heads is found again."""
    where = {} if device == "cpu" else {"device": device}
    return {"phantom": {**options, **where, "seed": seed}, "version": version}


def phantom_slabs(length: int, seed: int = 0, device: str = "cpu", **options: Any) -> list[dict[str, Any]]:
    """Items for :class:`PhantomSlabd`, one a head.

    Args:
        length: how many heads.
        seed: head ``n`` is made from ``seed + n``.
        device: where heads are made; those of another kind of device differ in their noise.
        options: of :class:`hemorrhage.phantom.SlicePhantoms`.
    """
    version = _phantom_version()
    return [_item(seed + n, version, str(device), options) for n in range(length)]


def start_method(items: Sequence[Mapping[str, Any]]) -> str | None:
    """How processes are started that prepare ``items``, as a ``DataLoader`` takes it.

    A process that is forked beside a GPU cannot use it, so that one which makes heads there has to start afresh.
    """
    options = items[0].get("phantom", {}) if len(items) else {}
    return "spawn" if options.get("device", "cpu") != "cpu" else None


class PhantomSlabd(MapTransform):
    """Scan the slab of slices that an item of :func:`phantom_slabs` asks for.

    Gives "image" (HU), "label" (subtypes) and "brain", as it is found, each a (1, I, J, K) ``MetaTensor``; a list of
    such items where the options ask for several scans of a head.

    Args:
        keys: the key of the options.
    """

    def __init__(self, keys: KeysCollection = "phantom") -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Any, Any]) -> Any:
        """Return what the options of ``data`` ask for."""
        options = data[self.first_key(dict(data))]
        scans = [_item_of(case) for case in SlicePhantoms(**options).scans_of(options["seed"])]
        return scans[0] if len(scans) == 1 else scans


class PhantomScans(Sequence):
    """Items for :class:`PhantomScand`, one a head; small, so that what is made of them can be kept by their hash.

    Args:
        length: how many heads.
        seed: head ``n`` is made from ``seed + n``.
        device: where heads are made; those of another kind of device differ in their noise.
        options: of :class:`PhantomScand`'s scans, see there.
    """

    def __init__(self, length: int, seed: int = 0, device: str = "cpu", **options: Any) -> None:
        if length < 1:
            raise ValueError(f"length {length} is less than one head")
        _Scan(seed, **options)  # a mistaken option is found here, not in the middle of an epoch
        self.length = length
        self.seed = seed
        self.device = str(device)
        self.options = options
        self.version = _phantom_version()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> Any:
        if not -self.length <= index < self.length:
            raise IndexError(index)
        return _item(self.seed + index % self.length, self.version, self.device, self.options)


class PhantomScand(MapTransform):
    """Scan the head that an item of :class:`PhantomScans` asks for, in thick slices and askew.

    A network in the template's space sees what brain mask and registration make of thick slices; heads that are born
    on its grid (:class:`hemorrhage.phantom.TemplatePhantoms`) lack the rim of partial volume that this leaves. Gives
    "image" (HU, not masked), "label" (subtypes) and "brain", as it is found, each a (1, I, J, K) ``MetaTensor``.

    Options of an item: ``seed``; ``positive_fraction`` of heads with blood; ``subtypes`` and the range ``volume_ml``
    of each in them, by default as they occur; ``pixel_mm``, a range, coarser than a scanner's because the networks are
    coarser still; ``spacing_mm``, the range of slice distances; ``recipe``, ingredients.
    """

    def __init__(self, keys: KeysCollection = "phantom") -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Any, Any]) -> dict[str, Any]:
        """Return the scan that ``data`` asks for."""
        return _item_of(_Scan(**data[self.first_key(dict(data))]).case())


class _Scan:
    """One scan's options, with their defaults."""

    def __init__(
        self,
        seed: int,
        positive_fraction: float = 0.5,
        subtypes: Sequence[str] | None = None,
        volume_ml: tuple[float, float] | None = None,
        pixel_mm: tuple[float, float] = (1.0, 1.2),
        spacing_mm: tuple[float, float] = (2.5, 7.0),
        recipe: Recipe | None = None,
        device: str = "cpu",
    ) -> None:
        if not 0 <= positive_fraction <= 1:
            raise ValueError(f"positive_fraction {positive_fraction} is no share")
        if volume_ml and not subtypes:
            raise ValueError(f"volume_ml {volume_ml} needs subtypes to apply to")
        self.seed = seed
        self.positive_fraction = positive_fraction
        self.subtypes = subtypes
        self.volume_ml = volume_ml
        self.pixel_mm = pixel_mm
        self.spacing_mm = spacing_mm
        self.recipe = recipe
        self.device = device

    def case(self) -> Case:
        # A stream of its own, so that how a head is scanned does not change the head.
        r = Draws(self.seed).spawn()
        subtypes, volumes = draw_wanted(r, self.subtypes, self.volume_ml, self.positive_fraction)
        pixel = r.uniform(*self.pixel_mm)
        return make_case(
            self.seed,
            spacing_mm=(pixel, pixel, r.uniform(*self.spacing_mm)),
            tilt_degrees=float(np.clip(r.normal(8.0, 9.0), -25.0, 25.0)),
            subtypes=subtypes,
            volume_ml=volumes,
            positive_fraction=self.positive_fraction,
            recipe=self.recipe,
            redraws=0,
            device=self.device,
        )
