"""From the answer of a network with exclusive classes to a probability of hemorrhage, a mask and its subtypes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type
from scipy import ndimage

__all__ = ["AnyHemorrhaged", "NameSubtypesd", "TakePatchScoresd", "named_subtypes"]


def named_subtypes(mask: torch.Tensor, classes: torch.Tensor, one_name: Sequence[int] = ()) -> torch.Tensor:
    """Give each voxel of a mask its likeliest subtype.

    Args:
        mask: (1, *spatial), above 0 inside.
        classes: (N + 1, *spatial) probabilities, background first.
        one_name: subtypes of which only one is in what hangs together (by faces, edges or corners): where voxels got
            several of these, all get the one that is likeliest in them together.

    Returns:
        (1, *spatial) uint8, 1 to N inside the mask and 0 outside.
    """
    inside = mask[0] > 0
    named = torch.zeros_like(mask, dtype=torch.uint8)
    named[0, inside] = (classes[1:, inside].argmax(0) + 1).to(torch.uint8)
    if one_name:
        chosen = torch.tensor(one_name)
        parts = torch.isin(named[0].cpu(), chosen)
        labels, count = ndimage.label(parts.numpy(), np.ones((3,) * parts.ndim))
        places = torch.from_numpy(labels[labels > 0]).long() - 1
        sums = torch.zeros(count, len(chosen), dtype=torch.double)
        sums.index_add_(0, places, classes[chosen][:, parts].T.double().cpu())
        named[0, parts] = chosen[sums.argmax(1)][places].to(named)
    return named


class TakePatchScoresd(MapTransform):
    """Part the answer of a network with a patch branch: the pixels stay, the slices' scores get a key of their own.

    Args:
        keys: the answer, a dictionary of "pixels" and "patches" as
            :class:`hemorrhage.inferers.SliceWindowInferer` gives it; what is a tensor stays as it is.
        scores_key: gets (judged, K) probabilities of each slice, any hemorrhage first.
    """

    def __init__(self, keys: KeysCollection = "pred", scores_key: str = "patch_scores") -> None:
        super().__init__(keys)
        self.scores_key = scores_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with tensors only."""
        d = dict(data)
        for key in self.key_iterator(d):
            if isinstance(d[key], Mapping):
                d[self.scores_key], d[key] = d[key]["patches"], d[key]["pixels"]
        return d


class AnyHemorrhaged(MapTransform):
    """Probability of any hemorrhage from those of exclusive classes.

    Args:
        keys: (N + 1, *spatial) probabilities, background first; becomes (1, *spatial).
        classes_key: keeps all classes where there are several.
        logits_key: gets (2, *spatial) logarithms of "no" and "yes", as a loss wants them.
    """

    def __init__(
        self, keys: KeysCollection = "pred", classes_key: str = "class_probability", logits_key: str = "logits"
    ) -> None:
        super().__init__(keys)
        self.classes_key = classes_key
        self.logits_key = logits_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with one probability."""
        d = dict(data)
        for key in self.key_iterator(d):
            classes = d[key]
            if len(classes) > 2:
                d[self.classes_key] = classes
            yes = 1.0 - classes[:1] if len(classes) > 2 else classes[1:]
            d[key] = yes
            d[self.logits_key] = torch.cat([1.0 - yes, yes]).clamp(min=1e-7).log()
        return d


class NameSubtypesd(MapTransform):
    """Turn a mask into a map of subtypes, see :func:`named_subtypes`.

    Args:
        keys: the mask.
        classes_key: the classes' probabilities.
        one_name: see there.
    """

    def __init__(
        self,
        keys: KeysCollection = "pred",
        classes_key: str = "class_probability",
        one_name: Sequence[int] = (),
    ) -> None:
        super().__init__(keys)
        self.classes_key = classes_key
        self.one_name = tuple(one_name)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with subtypes."""
        d = dict(data)
        for key in self.key_iterator(d):
            named = named_subtypes(_plain(d[key]), _plain(d[self.classes_key]), self.one_name)
            d[key] = convert_to_dst_type(named, d[key], dtype=torch.uint8)[0]
        return d


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.as_subclass(torch.Tensor)  # every step on a ``MetaTensor`` copies what it carries
