"""Kangaroo Rewards: the business API and the integrations API."""

from loyalty_relay.destinations.kangaroo.cache import DefinitionCache
from loyalty_relay.destinations.kangaroo.client import KangarooCrm

__all__ = ["DefinitionCache", "KangarooCrm"]
