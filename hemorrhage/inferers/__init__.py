"""Inferers beyond MONAI's own, named from configs."""

from hemorrhage.inferers.autocast import AutocastInferer, fast_dtype
from hemorrhage.inferers.magnified import MagnifiedInferer, windows_for
from hemorrhage.inferers.mirrored import MirroredInferer
from hemorrhage.inferers.slice_windows import SliceWindowInferer

__all__ = ["AutocastInferer", "MagnifiedInferer", "MirroredInferer", "SliceWindowInferer", "fast_dtype", "windows_for"]
