"""Networks of the papers, and MONAI's U-Net over slices."""

from hemorrhage.networks.mean_of_networks import MeanOfNetworks, network_of_weights
from hemorrhage.networks.patchfcn import PatchFCN
from hemorrhage.networks.unet import slice_unet, with_subtypes
from hemorrhage.networks.vnet import VNet

__all__ = ["MeanOfNetworks", "PatchFCN", "VNet", "network_of_weights", "slice_unet", "with_subtypes"]
