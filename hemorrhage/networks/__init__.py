"""Networks of the papers."""

from hemorrhage.networks.patchfcn import PatchFCN
from hemorrhage.networks.vnet import VNet

__all__ = ["PatchFCN", "VNet"]
