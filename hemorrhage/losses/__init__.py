"""Losses beyond MONAI's own."""

from hemorrhage.losses.patchfcn import PatchFCNLoss

__all__ = ["PatchFCNLoss"]
