"""The layer's services, wired to a stack from outside: what the functions use, the tools use too."""

from __future__ import annotations

from devkit.cli.stack import Stack
from loyalty_relay.services import Services
from loyalty_relay.settings import Settings


def services_of(stack: Stack) -> Services:
    """The services of a stack, as its functions have them."""
    return Services(Settings(environment=stack.environment()), client=stack.client)
