"""Capillary's customer APIs, V2 and V1.1, behind the protocol of ``loyalty_relay.crm``."""

from loyalty_relay.clients.capillary.auth import Tokens
from loyalty_relay.clients.capillary.client import CapillaryCrm

__all__ = ["CapillaryCrm", "Tokens"]
