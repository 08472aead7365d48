"""Networks of the papers."""

from hemorrhage.networks.vnet import VNet

__all__ = ["VNet"]
