"""Idempotency: a command that was carried out is not carried out again, however often it arrives.

Powertools Idempotency keeps the keys: its persistence layer has the conditional writes, the expiry and the hash of the
key. Two of its properties shape this module: a layer keeps its first configuration for ever, so there is one per
operation; and its keys contain the function's name unless a prefix is given.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec
from typing import Any, Protocol

from loyalty_relay.model.errors import IdempotencyKeyReused, KeyInProgress, StoreUnavailable
from loyalty_relay.model.outcomes import Outcome
from loyalty_relay.storage import keys

KEPT_SECONDS = 30 * 24 * 3600


class RemainingTime(Protocol):
    """The part of Lambda's context that reports when the invocation ends."""

    def get_remaining_time_in_millis(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Outside Lambda: a key stays in progress this long when the process dies."""

    millis: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        return self.millis


@dataclass(slots=True)
class Key:
    """A key that this execution holds, or that an earlier one completed."""

    original: Outcome | None = None
    """The outcome of the execution that completed the key, if there was one: nothing is left to do."""
    outcome: Outcome | None = None
    """Set by the block: completes the key."""


class Idempotency:
    """Idempotency keys in a DynamoDB table, kept 30 days. Safe for threads."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._context: RemainingTime = _Fixed()
        self._layers: dict[str, Any] = {}
        self._making = threading.Lock()

    def bind(self, context: RemainingTime) -> None:
        """Set the invocation that is running: a key whose process dies is free when the invocation's time ends."""
        self._context = context

    def prepare(self, operation: str) -> None:
        """Load what the first ``hold`` of an operation needs."""
        self._layer(operation)

    @contextmanager
    def hold(self, key: str, operation: str, *, payload_digest: str | None = None) -> Iterator[Key]:
        """Hold a command's key while the block runs; complete it with the block's ``outcome``, else free it.

        A key that was completed before yields its ``original``. ``payload_digest``: of the request, for callers who
        choose their own keys; None compares nothing.

        Raises KeyInProgress while another execution holds the key, IdempotencyKeyReused when the key was completed with
        another payload, StoreUnavailable when the table does not answer.

        When only the last write fails, the block has ended well all the same: its work is committed, and the key
        becomes free with the end of the invocation, after which the ledger recognises what was sent.
        """
        layer, data = self._layer(operation), {"key": key}
        completed = self._begin(layer, data)
        if completed is not None:
            _compare(completed, payload_digest)
            yield Key(original=Outcome.from_record(completed["outcome"]))
            return
        held = Key()
        try:
            yield held
        except Exception as error:
            self._free(layer, data, error)
            raise
        if held.outcome is None:
            self._free(layer, data, RuntimeError("no outcome"))
            return
        result = {"outcome": held.outcome.to_record(), "payload": payload_digest}
        with suppress(Exception):
            layer.save_success(data=data, result=result)

    def _begin(self, layer: Any, data: dict[str, str]) -> dict[str, Any] | None:
        """Take the key, or return what completed it."""
        from aws_lambda_powertools.utilities.idempotency.exceptions import IdempotencyItemAlreadyExistsError

        try:
            layer.save_inprogress(data=data, remaining_time_in_millis=self._context.get_remaining_time_in_millis())
        except IdempotencyItemAlreadyExistsError as exists:
            record = exists.old_data_record
        except Exception as error:
            raise StoreUnavailable("the idempotency table does not answer") from error
        else:
            return None
        if record is None or record.status != "COMPLETED":
            raise KeyInProgress
        return record.response_json_as_dict()

    @staticmethod
    def _free(layer: Any, data: dict[str, str], error: Exception) -> None:
        # The block's own error matters more than that its key could not be freed.
        with suppress(Exception):
            layer.delete_record(data=data, exception=error)

    def _layer(self, operation: str) -> Any:
        if operation not in self._layers:
            # The records of a batch run side by side, and what replaces boto3 belongs to the whole process.
            with self._making:
                if operation not in self._layers:
                    self._layers[operation] = self._made(operation)
        return self._layers[operation]

    def _made(self, operation: str) -> Any:
        with _boto3_unloaded():
            from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig

        layer = DynamoDBPersistenceLayer(table_name=self._table, boto3_client=self._dynamodb)
        config = IdempotencyConfig(
            event_key_jmespath="key",
            raise_on_no_idempotency_key=True,
            expires_after_seconds=KEPT_SECONDS,
            # A runtime in FIPS mode refuses the default, MD5.
            hash_function="sha256",
        )
        layer.configure(config=config, key_prefix=keys.idempotency_prefix(operation))
        return layer


@contextmanager
def _boto3_unloaded() -> Iterator[None]:
    """Give an import in the block boto3's package without running it, unless it was loaded before.

    Powertools' persistence layer imports boto3 for a client, which it is given here. Of all that comes with boto3
    (s3transfer, multiprocessing) it uses the version and the module that reads items.
    """
    if "boto3" in sys.modules or (spec := find_spec("boto3")) is None:
        yield
        return
    package = sys.modules["boto3"] = module_from_spec(spec)
    package.__version__ = version("boto3")  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del sys.modules["boto3"]


def _compare(completed: dict[str, Any], payload_digest: str | None) -> None:
    kept = completed.get("payload")
    if payload_digest is not None and kept is not None and kept != payload_digest:
        raise IdempotencyKeyReused
