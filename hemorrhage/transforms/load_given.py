"""Masks that a scan may come with."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import LoadImaged, MapTransform

__all__ = ["LoadGivend"]


class LoadGivend(MapTransform):
    """Load NIfTI masks under the keys that are there; a key that is missing stays missing.

    ``LoadImaged(allow_missing_keys=True)`` does the same, but MONAI Label puts a loader of its own in the place of each
    ``LoadImaged``, and that one (0.8.5, ``LoadImageTensord``) fails where a key is missing.

    Args:
        keys: paths; become (1, I, J, K) ``MetaTensor``.
    """

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self._load = LoadImaged(
            keys, reader="NibabelReader", image_only=True, ensure_channel_first=True, allow_missing_keys=True
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with what it names."""
        return dict(self._load(data))
