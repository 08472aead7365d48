"""Networks of the papers, and MONAI's U-Net over slices."""

from hemorrhage.networks.mean_of_networks import MeanOfNetworks, network_of_weights
from hemorrhage.networks.named import NamedHemorrhage, named_slice_unet, with_names
from hemorrhage.networks.patchfcn import PatchFCN
from hemorrhage.networks.unet import slice_unet
from hemorrhage.networks.vnet import VNet

__all__ = [
    "MeanOfNetworks",
    "NamedHemorrhage",
    "PatchFCN",
    "VNet",
    "named_slice_unet",
    "network_of_weights",
    "slice_unet",
    "with_names",
]
