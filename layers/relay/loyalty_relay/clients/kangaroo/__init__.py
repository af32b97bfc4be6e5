"""Kangaroo Rewards: the business API and the integrations API."""

from loyalty_relay.clients.kangaroo.cache import DefinitionCache
from loyalty_relay.clients.kangaroo.client import KangarooCrm

__all__ = ["DefinitionCache", "KangarooCrm"]
