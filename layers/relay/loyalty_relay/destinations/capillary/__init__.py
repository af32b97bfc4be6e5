"""Capillary's customer APIs, V2 and V1.1, behind the protocol of ``loyalty_relay.destinations.base``."""

from loyalty_relay.destinations.capillary.auth import TokenCache
from loyalty_relay.destinations.capillary.client import CapillaryCrm

__all__ = ["CapillaryCrm", "TokenCache"]
