"""Networks of the papers, and MONAI's U-Net over slices."""

from hemorrhage.networks.patchfcn import PatchFCN
from hemorrhage.networks.slice_unet import slice_unet
from hemorrhage.networks.vnet import VNet

__all__ = ["PatchFCN", "VNet", "slice_unet"]
