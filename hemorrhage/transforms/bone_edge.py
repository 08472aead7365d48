"""Where blood can be: within the brain mask, but not in the rim that bone has whitened.

A brain mask ends halfway into the bone (``TABLE_HU`` of :mod:`hemorrhage.transforms.brain_mask`), so that bleeds on the
inner table keep their outer border. What is whiter than any blood in this rim is partial volume of bone. Networks mark
it at times, most of all where thick slices graze the vault; no reader outlines it, and the labels of the phantoms leave
it out (``WHITE_HU`` of :mod:`hemorrhage.phantom.slices`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.transforms.utils import generate_spatial_bounding_box
from scipy import ndimage

__all__ = ["BloodSpaced", "bone_edge"]

# Clotted blood reaches 90 HU, and a bright rim of beam hardening adds to it.
WHITE_HU = 120.0


def bone_edge(hu: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Voxels of the brain mask that are white and in one piece with white ones outside of it.

    Calcifications, metal and a clot that an exported window saturated lie free within the brain: they are no edge.

    Args:
        hu: (I, J, K) HU.
        brain: (I, J, K) of the brain mask, or whatever is not 0.

    Returns:
        (I, J, K) bool.
    """
    brain = brain > 0
    found = np.zeros(brain.shape, dtype=bool)
    if not brain.any():
        return found
    start, end = generate_spatial_bounding_box(brain[None], margin=1)
    box = tuple(slice(a, b) for a, b in zip(start, end, strict=True))
    inside = brain[box]
    pieces, count = ndimage.label(hu[box] > WHITE_HU)
    reaches_out = np.zeros(count + 1, dtype=bool)
    reaches_out[np.unique(pieces[~inside])] = True
    reaches_out[0] = False
    found[box] = reaches_out[pieces] & inside
    return found


class BloodSpaced(MapTransform):
    """Add the part of the brain mask in which blood can be, under a key of its own.

    Not a spatial change: nothing is traced, and inverting a pipeline passes it by.

    Args:
        keys: the image, a (1, I, J, K) ``MetaTensor`` in HU.
        brain_key: key of the brain mask on the image's grid.
        space_key: key of the result, uint8, a ``MetaTensor`` on the same grid.
        allow_missing_keys: do nothing where the image is missing.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        brain_key: str = "brain",
        space_key: str = "blood_space",
        allow_missing_keys: bool = False,
    ):
        super().__init__(keys, allow_missing_keys)
        self.brain_key, self.space_key = brain_key, space_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the mask."""
        d = dict(data)
        for key in self.key_iterator(d):
            image, brain = d[key], np.asarray(d[self.brain_key][0]) > 0
            space = brain & ~bone_edge(np.asarray(image[0]), brain)
            d[self.space_key] = MetaTensor(torch.from_numpy(space[None].astype(np.uint8)), meta=dict(image.meta))
        return d
