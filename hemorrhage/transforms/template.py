"""Rigid change of a scan into the template's space, and back by MONAI's own tracing."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from copy import deepcopy
from os import PathLike, fspath
from typing import Any, cast

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, SpatialResample
from monai.utils import TraceKeys, ensure_tuple_rep

from hemorrhage.errors import add_warnings
from hemorrhage.geometry import voxel_sizes_mm
from hemorrhage.registration import Alignment, Template, align_to_template

__all__ = ["ALIGNMENT_META_KEY", "RigidToTemplated", "recorded_alignment"]

ALIGNMENT_META_KEY = "template_alignment"


def recorded_alignment(meta: Mapping[str, Any]) -> Alignment | None:
    """The alignment that :class:`RigidToTemplated` recorded in an image's meta data, None where there is none.

    The warnings stay with the meta data (:func:`hemorrhage.errors.warnings_of`) and are not repeated here.
    """
    text = meta.get(ALIGNMENT_META_KEY)
    if text is None:
        return None
    record = json.loads(text)
    return Alignment(np.array(record["rigid"], dtype=np.float64), float(record["overlap"]))


class RigidToTemplated(MapTransform, InvertibleTransform):
    """Align a scan to the template and resample it, and all that lies on its grid, to the template's grid.

    One alignment is computed from the image and its brain mask and serves every key. It turns the affine, MONAI's
    ``SpatialResample`` does the rest, and one operation is traced, so that ``Invertd`` carries a prediction back to
    the scan's own grid: same shape, same affine, 0 where the template does not reach. Masks keep their integer type.
    The image's meta data records the alignment (:func:`recorded_alignment`) and its warnings.

    Args:
        keys: what to resample, (C, I, J, K) ``MetaTensor`` on one grid each.
        template: NIfTI file of a brain in HU, 0 outside it.
        image_key: the image that is aligned, in HU.
        brain_key: its brain mask, > 0 inside.
        mode: interpolation of each key, "bilinear" for images and "nearest" for masks.
        spacing_mm: voxel size of the result over the template's field of view; None keeps the template's own. A
            coarser grid serves networks that must be small.
        allow_missing_keys: skip keys that are missing.

    Raises:
        KeyError: the image or its brain mask is missing.
        ValueError: image and brain mask differ in shape, or the mask is empty.
    """

    def __init__(
        self,
        keys: KeysCollection,
        template: str | PathLike[str],
        image_key: str = "image",
        brain_key: str = "brain",
        mode: str | Sequence[str] = "bilinear",
        spacing_mm: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        image = nib.nifti1.Nifti1Image.from_filename(fspath(template))
        self.template = Template(np.asarray(image.dataobj, dtype=np.float32), image.affine)
        self.shape, self.affine = _grid(self.template, spacing_mm)
        self.image_key = image_key
        self.brain_key = brain_key
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        # float32: double precision costs twice the time and changes no voxel by more than 1e-3 of a voxel.
        self._resample = SpatialResample(padding_mode="zeros", align_corners=False, dtype=np.float32)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with every key on the template's grid."""
        d = dict(data)
        for needed in (self.image_key, self.brain_key):
            if needed not in d:
                raise KeyError(f"RigidToTemplated aligns by {self.image_key!r} and {self.brain_key!r}; no {needed!r}")
        alignment = self._align(d[self.image_key], d[self.brain_key])
        rigid = torch.from_numpy(alignment.rigid)
        for key, mode in self.key_iterator(d, self.mode):
            d[key] = self._forward(d[key], rigid, mode)
        if isinstance(d[self.image_key], MetaTensor):
            meta = d[self.image_key].meta
            record = {"rigid": alignment.rigid.tolist(), "overlap": alignment.overlap}
            meta[ALIGNMENT_META_KEY] = json.dumps(record)
            add_warnings(meta, alignment.warnings)
        return d

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Carry what lies in template space back to the grid it came from."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self._backward(d[key])
        return d

    def _align(self, image: MetaTensor, brain: MetaTensor) -> Alignment:
        if image.shape[1:] != brain.shape[1:]:
            raise ValueError(f"image of shape {tuple(image.shape[1:])}, brain mask of {tuple(brain.shape[1:])}")
        affine = image.affine.numpy()
        return align_to_template(image[0].cpu().numpy(), brain[0].cpu().numpy(), affine, self.template)

    def _forward(self, image: MetaTensor, rigid: torch.Tensor, mode: str) -> MetaTensor:
        own_affine = image.affine.to(torch.float64)
        tensor, affine = image.as_tensor(), own_affine
        if mode == "bilinear":
            tensor, affine = _pooled(tensor, own_affine, float(voxel_sizes_mm(self.affine).min()))
        moved = MetaTensor(tensor, meta=deepcopy(image.meta), applied_operations=image.applied_operations)
        moved.affine = rigid @ affine
        with self._resample.trace_transform(False):
            out = self._resample(moved, torch.from_numpy(self.affine), self.shape, mode=mode)
        out = _as_type_of(out, image)
        out.affine = torch.from_numpy(self.affine)  # free of the rounding of a product of matrices
        extra = {"own_affine": own_affine, "rigid": rigid, "mode": mode}
        return self.push_transform(out, orig_size=tuple(image.shape[1:]), extra_info=extra)

    def _backward(self, image: MetaTensor) -> MetaTensor:
        traced = self.pop_transform(image)
        extra = traced[TraceKeys.EXTRA_INFO]
        own_affine = torch.as_tensor(extra["own_affine"], dtype=torch.float64).cpu()
        moved_affine = torch.as_tensor(extra["rigid"], dtype=torch.float64).cpu() @ own_affine
        size = [int(n) for n in traced[TraceKeys.ORIG_SIZE]]
        with self._resample.trace_transform(False):
            out = self._resample(image, moved_affine, size, mode=extra["mode"])
        out = _as_type_of(out, image)
        out.affine = own_affine
        return out


def _grid(template: Template, spacing_mm: float | None) -> tuple[tuple[int, ...], np.ndarray]:
    """Shape and affine that cover the template's field of view with voxels of ``spacing_mm``."""
    if spacing_mm is None:
        return template.hu.shape, template.affine
    ratio = spacing_mm / voxel_sizes_mm(template.affine)
    shape = tuple(int(n) for n in np.round(np.array(template.hu.shape) / ratio))
    step = np.eye(4)
    step[:3, :3] = np.diag(ratio)
    # Both grids share their center, not the center of their first voxel.
    step[:3, 3] = (np.array(template.hu.shape) - 1) / 2 - ratio * (np.array(shape) - 1) / 2
    return shape, template.affine @ step


def _pooled(image: torch.Tensor, affine: torch.Tensor, spacing_mm: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Means of blocks of voxels of about half of ``spacing_mm``, and the affine of the coarser grid.

    Linear interpolation alone takes two pixels of 0.45 mm where a voxel of 6 mm holds thirteen: noise stays as it is,
    and thin structures come and go with their place on the grid. The interpolation that follows averages over the
    other half.
    """
    factors = [max(1, round(spacing_mm / size / 2)) for size in voxel_sizes_mm(affine.numpy())]
    if max(factors) == 1:
        return image, affine
    pooled = torch.nn.functional.avg_pool3d(image[None].float(), factors, ceil_mode=True, count_include_pad=False)[0]
    step = torch.eye(4, dtype=affine.dtype)
    for axis, factor in enumerate(factors):
        step[axis, axis], step[axis, 3] = factor, (factor - 1) / 2
    return pooled, affine @ step


def _as_type_of(resampled: torch.Tensor, image: MetaTensor) -> MetaTensor:
    """MONAI resamples into float32; a mask stays a mask."""
    out = resampled if image.is_floating_point() else resampled.round().to(image.dtype)
    return cast(MetaTensor, out)
