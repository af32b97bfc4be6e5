"""What is parked: read the dead-letter queues without losing anything, and send work through the normal path again.

A queue can only be read by receiving. Every message that is received is hidden for ``HIDE`` seconds and given back when
the reading is over; if this process dies meanwhile, SQS gives it back by itself.
"""

from __future__ import annotations

import base64
import json
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

from devkit.stacks.errors import CommandError
from devkit.stacks.stack import PARKING, Stack
from loyalty_relay.model.commands import Envelope

HIDE = 300
"""Seconds for which a message is hidden while it is looked at; longer than any reading takes."""

EMPTY_RECEIVES = 2
"""Receives in a row without a message, after which a queue counts as read: SQS queries only some servers at a time."""

_TURNS = threading.Lock()
"""Readings of one process take turns: what one has received is hidden from the other."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Message:
    """One parked message, received and still hidden."""

    queue: str
    id: str
    receipt: str
    body: str
    attributes: Mapping[str, str]
    sent_at: float | None
    """When it was parked, epoch seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """One parked command, or one parked delivery of ingest, with all of its copies.

    ``envelope`` is None for what ingest parked raw and for what no function could read.
    """

    id: str
    """What ``--one`` takes: the delivery id with the position after it, or the message id where there is none."""
    operation: str
    reason: str
    connection: str = ""
    delivery_id: str = ""
    code: str = ""
    receives: int | None = None
    detail: str = ""
    topic: str = ""
    source: str = ""
    event_id: str = ""
    parked_at: float | None = None
    envelope: Envelope | None = None
    messages: tuple[Message, ...] = field(default=(), repr=False)

    def as_json(self, *, body: bool = False) -> dict[str, Any]:
        """Return the parked work as JSON; with ``body`` also what it carries, which is personal data."""
        shown: dict[str, Any] = {
            "id": self.id,
            "operation": self.operation,
            "reason": self.reason,
            "code": self.code,
            "detail": self.detail,
            "connection": self.connection,
            "source": self.source,
            "topic": self.topic,
            "event_id": self.event_id,
            "delivery_id": self.delivery_id,
            "receives": self.receives,
            "parked_at": self.parked_at,
            "copies": len(self.messages),
        }
        if body:
            first = self.messages[0]
            shown["body"] = self.body()
            shown["message"] = {"body": first.body, "attributes": dict(first.attributes)}
        return shown

    def body(self) -> str:
        """Return what a person reads of it: a raw delivery as it was sent, else the command's message."""
        message = self.messages[0].body
        if self.operation != "ingest":
            return message
        try:
            return zlib.decompress(base64.b64decode(_raw(message)["body"])).decode("utf-8", "replace")
        except (KeyError, TypeError, ValueError, zlib.error):
            return message


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of the queues, oldest first."""

    parked: list[Parked]
    more: bool
    """Whether the bound ended the reading, so that there may be more."""


class ParkedQueues:
    """The dead-letter queues of one stack. ``queues``: operation -> URL of its dead-letter queue."""

    def __init__(self, sqs: Any, queues: Mapping[str, str]) -> None:
        self._sqs = sqs
        self._queues = dict(queues)

    @classmethod
    def of(cls, stack: Stack) -> Self:
        """Return the dead-letter queues of a stack."""
        return cls(stack.client("sqs"), {operation: stack.parked_queue(operation) for operation in PARKING})

    def depth(self) -> int:
        """Return about how many messages there are, hidden ones included; SQS counts approximately."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        total = 0
        for url in self._queues.values():
            counts = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            total += sum(int(counts.get(name, 0)) for name in names)
        return total

    def look(self, seen: Progress = lambda count: None, *, at_most: int | None = None) -> Reading:
        """Return what is parked, after it was given back. ``at_most``: messages to read of each queue, to the next ten.

        Raises what SQS raises.
        """
        with _TURNS:
            taken, more = self._read(seen, at_most)
            self._give_back(message for _, message in taken)
        return Reading(grouped(taken), more)

    @contextmanager
    def opened(
        self, seen: Progress = lambda count: None, *, wanted: Callable[[Parked], bool] = lambda parked: True
    ) -> Iterator[list[Parked]]:
        """Yield what is parked and wanted, oldest first; what was not deleted meanwhile is given back at the end.

        The rest is given back as soon as everything was read.
        """
        with _TURNS:
            taken, _ = self._read(seen, None)
            kept = [p for p in grouped(taken) if wanted(p)]
            needed = {message.receipt for p in kept for message in p.messages}
            self._give_back(message for _, message in taken if message.receipt not in needed)
        try:
            yield kept
        finally:
            self._give_back(message for _, message in taken if message.receipt in needed)

    def _read(self, seen: Progress, at_most: int | None) -> tuple[list[tuple[str, Message]], bool]:
        """Return what is received, with its operation, and whether the bound ended a queue."""
        taken: list[tuple[str, Message]] = []
        more = False
        try:
            for operation in self._queues:
                read = 0
                for batch in self._receive(operation):
                    taken += [(operation, message) for message in batch]
                    seen(len(batch))
                    read += len(batch)
                    if at_most is not None and read >= at_most:
                        more = True
                        break
        except BaseException:
            self._give_back(message for _, message in taken)
            raise
        return taken, more

    def _receive(self, operation: str) -> Iterator[list[Message]]:
        url, empty = self._queues[operation], 0
        known: set[str] = set()
        while empty < EMPTY_RECEIVES:
            answer = self._sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=HIDE,
                WaitTimeSeconds=0,
                MessageAttributeNames=["All"],
                AttributeNames=["All"],
            )
            fresh = [m for m in answer.get("Messages", []) if m["MessageId"] not in known]
            empty = 0 if fresh else empty + 1
            known.update(found["MessageId"] for found in fresh)
            if fresh:
                yield [_message(url, found) for found in fresh]

    def _give_back(self, messages: Iterable[Message]) -> None:
        by_queue: dict[str, list[Message]] = {}
        for message in messages:
            by_queue.setdefault(message.queue, []).append(message)
        for url, given in by_queue.items():
            for start in range(0, len(given), 10):
                entries = [
                    {"Id": str(index), "ReceiptHandle": message.receipt, "VisibilityTimeout": 0}
                    for index, message in enumerate(given[start : start + 10])
                ]
                # A deleted message is refused here, which is right: there is nothing to give back.
                self._sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)

    def redrive(self, parked: Parked, target: str) -> Envelope:
        """Send parked work to its operation's queue ``target``, then delete every copy.

        In this order, so that a crash in between leaves a copy; sending it again then makes the same key, which is
        a duplicate. Raises CommandError where there is no command to send.
        """
        if parked.envelope is None:
            raise CommandError(
                f"{parked.id} holds no command",
                do="let the source send the delivery again, or keep it with relay parked export",
            )
        envelope = parked.envelope.redriven()
        self._sqs.send_message(QueueUrl=target, MessageBody=envelope.to_json(), MessageGroupId=envelope.connection)
        self.delete(parked)
        return envelope

    def delete(self, parked: Parked) -> None:
        """Delete every copy of parked work."""
        for message in parked.messages:
            self._sqs.delete_message(QueueUrl=message.queue, ReceiptHandle=message.receipt)


def _message(queue: str, found: Mapping[str, Any]) -> Message:
    sent = found.get("Attributes", {}).get("SentTimestamp")
    return Message(
        queue=queue,
        id=found["MessageId"],
        receipt=found["ReceiptHandle"],
        body=found["Body"],
        attributes={n: a.get("StringValue", "") for n, a in found.get("MessageAttributes", {}).items()},
        sent_at=int(sent) / 1000 if sent else None,
    )


def grouped(messages: Iterable[tuple[str, Message]]) -> list[Parked]:
    """Return messages as parked work: copies of a command are one, shown by the one of the latest attempt."""
    groups: dict[str, list[Parked]] = {}
    for operation, message in messages:
        parked = read(operation, message)
        groups.setdefault(_base_key(parked), []).append(parked)
    merged = []
    for copies in groups.values():
        last = max(copies, key=lambda p: (p.envelope.redrives if p.envelope else 0, p.parked_at or 0.0))
        merged.append(replace(last, messages=tuple(m for copy in copies for m in copy.messages)))
    return sorted(merged, key=lambda parked: parked.parked_at or 0.0)


def _base_key(parked: Parked) -> str:
    if parked.envelope is None:
        return f"{parked.operation} {parked.id}"
    return replace(parked.envelope, redrives=0).key


def read(operation: str, message: Message) -> Parked:
    """Return a parked message's work. Messages that SQS itself moved carry no reason: their function crashed."""
    attributes = message.attributes
    try:
        envelope = None if operation == "ingest" else Envelope.from_json(message.body)
    except ValueError:
        envelope = None
    delivery_id = envelope.delivery_id if envelope else attributes.get("delivery_id", "")
    event = envelope.event if envelope else None
    raw = {} if envelope else _raw(message.body)
    position = envelope.position if envelope else 0
    # Earlier versions parked it as ``attempts``.
    receives = attributes.get("receives") or attributes.get("attempts", "")
    return Parked(
        id=f"{delivery_id}.{position}" if envelope else delivery_id or message.id,
        operation=operation,
        reason=attributes.get("reason") or ("crashed" if envelope else "unreadable"),
        connection=envelope.connection if envelope else attributes.get("connection", ""),
        delivery_id=delivery_id,
        code=attributes.get("code", ""),
        receives=int(receives) if receives.isdigit() else None,
        detail=attributes.get("detail") or str(raw.get("detail") or ""),
        topic=event.topic if event else _raw_topic(raw),
        source=event.source if event else str(raw.get("source") or ""),
        event_id=event.id if event else "",
        parked_at=message.sent_at,
        envelope=envelope,
        messages=(message,),
    )


def _raw_topic(raw: Mapping[str, Any]) -> str:
    """Return the topic of a raw delivery, where its path or a header names it."""
    headers = raw.get("headers")
    named = [v for k, v in headers.items() if k.endswith("-topic")] if isinstance(headers, dict) else []
    return str(raw.get("topic") or next(iter(named), ""))


def _raw(body: str) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedFilters:
    """Which parked work is meant; None for any. ``one``: its id, or a delivery id for all of the delivery."""

    connection: str | None = None
    reason: str | None = None
    one: str | None = None

    def match(self, parked: Parked) -> bool:
        """Whether everything that is given holds for it."""
        return (
            self.connection in (None, parked.connection)
            and self.reason in (None, parked.reason)
            and (self.one is None or self.one in (parked.id, parked.delivery_id))
        )
