"""What invokes the functions: webhooks, queue messages, API calls, the authorizer. All take the pipeline's stages.

Imports pipeline, runtime, sources, translation and below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def function_for(operation: str) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Return the handler of an operation's function, for both of its triggers.

    A batch of SQS records returns the partial batch response, an HTTP API request an HTTP response.
    Only what the present trigger needs is imported.
    """

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        from loyalty_relay.runtime.wiring import shared

        if "Records" in event:
            from loyalty_relay.triggers.queue import consume

            return consume(event, context, operation, shared())
        from loyalty_relay.triggers.api import answer

        return answer(event, context, operation, shared())

    return handler
