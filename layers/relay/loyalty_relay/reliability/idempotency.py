"""Idempotency: a command that was carried out is not carried out again, whoever brings it.

Powertools Idempotency keeps the keys. Three of its properties shape this module: a persistence layer remembers the
function it was configured for last, so one is never shared between threads or nested; it remembers its first
configuration for ever; and its keys contain the function's name unless a prefix is given.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from loyalty_relay.model.errors import FieldProblem, InvalidCommand, KeyInProgress, StoreUnavailable
from loyalty_relay.model.outcomes import Outcome, Result

KEPT_SECONDS = 30 * 24 * 3600
KEY_REUSED = "idempotency_key_reused"


class RemainingTime(Protocol):
    """The part of Lambda's context that tells when the invocation ends."""

    def get_remaining_time_in_millis(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Outside Lambda: a key stays in progress this long when the process dies."""

    millis: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        return self.millis


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of running a command under its key."""

    outcome: Outcome
    """Of this execution; ``duplicate`` when the key was complete already."""
    replayed: bool
    original: Outcome
    """Of the execution that completed the key: what a caller of the API is answered on a replay."""


class Idempotency:
    """Idempotency keys in a DynamoDB table, kept 30 days. Safe for threads."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._context: RemainingTime = _Fixed()
        self._local = threading.local()

    def bind(self, context: RemainingTime) -> None:
        """Tell which invocation is running: a key whose process dies is free again when the invocation's time ends."""
        self._context = context

    def run(
        self,
        envelope_key: str,
        operation: str,
        work: Callable[[], Outcome],
        *,
        payload_digest: str | None = None,
    ) -> Ran:
        """Carry out ``work`` once per key and operation.

        Whatever ``work`` raises passes through and frees the key. ``payload_digest``: of the request's body, for
        callers who choose their own keys; None compares nothing.

        Raises KeyInProgress while another execution has the key, InvalidCommand with code ``idempotency_key_reused``
        when the key was completed with another payload, StoreUnavailable when the table does not answer.

        When only the last write fails, the outcome is returned: the work is done and committed, and the key becomes
        free with the end of the invocation, after which the guard recognises what was sent.
        """
        from aws_lambda_powertools.utilities.idempotency import idempotent_function
        from aws_lambda_powertools.utilities.idempotency.exceptions import (
            IdempotencyAlreadyInProgressError,
            IdempotencyInconsistentStateError,
            IdempotencyPersistenceLayerError,
        )

        done: list[Outcome] = []
        raised: list[BaseException] = []

        def execute(*, command: dict[str, str]) -> dict[str, Any]:
            try:
                outcome = work()
            except BaseException as error:
                raised.append(error)
                raise
            done.append(outcome)
            return {"outcome": outcome.to_record(), "payload": payload_digest}

        layer, config = self._layer(operation)
        config.register_lambda_context(self._context)
        guarded = idempotent_function(
            execute,
            data_keyword_argument="command",
            persistence_store=layer,
            config=config,
            key_prefix=f"relay:{operation}",
        )
        try:
            record = guarded(command={"key": envelope_key})
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError):
            raise KeyInProgress from None
        except IdempotencyPersistenceLayerError as error:
            if raised:
                # The work's own failure says more than that its key could not be freed.
                raise raised[0] from None
            if not done:
                raise StoreUnavailable("the idempotency table does not answer") from error
        if done:
            return Ran(done[0], False, done[0])
        kept = record.get("payload")
        if payload_digest is not None and kept is not None and kept != payload_digest:
            raise InvalidCommand(
                "the idempotency key was used before with another body",
                code=KEY_REUSED,
                problems=[FieldProblem("idempotency_key", "was used before with another body")],
            )
        original = Outcome.from_record(record["outcome"])
        return Ran(replace(original, result=Result.DUPLICATE, reason=original.result.value), True, original)

    def _layer(self, operation: str) -> tuple[Any, Any]:
        from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig

        layers: dict[str, tuple[Any, Any]] | None = getattr(self._local, "layers", None)
        if layers is None:
            layers = self._local.layers = {}
        if operation not in layers:
            layers[operation] = (
                DynamoDBPersistenceLayer(table_name=self._table, boto3_client=self._dynamodb),
                IdempotencyConfig(
                    event_key_jmespath="key",
                    raise_on_no_idempotency_key=True,
                    expires_after_seconds=KEPT_SECONDS,
                    # A runtime in FIPS mode refuses the default, MD5.
                    hash_function="sha256",
                ),
            )
        return layers[operation]
