"""What wakes the functions: webhooks, queue messages and API calls. All of them lead to the same operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def function_for(operation: str) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """The handler of an operation's function, for both of its triggers.

    A batch of SQS records is answered with the partial batch response, an HTTP API request with an HTTP answer.
    Only what the trigger at hand needs is imported.
    """

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        from loyalty_relay.runtime.wiring import shared

        if "Records" in event:
            from loyalty_relay.triggers.queue import consume

            return consume(event, context, operation, shared())
        from loyalty_relay.triggers.api import answer

        return answer(event, context, operation, shared())

    return handler
