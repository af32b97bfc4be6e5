"""Capillary in the sandbox: customer APIs V2 and V1.1, OAuth, with their state."""

from devkit.sandbox.capillary.vendor import CapillaryVendor

VENDOR = CapillaryVendor

__all__ = ["VENDOR", "CapillaryVendor"]
