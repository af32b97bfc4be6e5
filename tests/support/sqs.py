"""What SQS refuses, of which moto lets most pass (SQS developer guide: Message quotas; API reference: SendMessage)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

MAX_BYTES = 1024 * 1024
"""Of one message with its attributes, and of all messages of one batch."""
MAX_VISIBILITY = 43_200
MAX_ATTRIBUTES = 10

REFUSED = re.compile(r"[^\x09\x0a\x0d\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that neither a body nor an attribute's text may contain."""
GROUP = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")


def enforce(operation: str, arguments: Mapping[str, Any]) -> None:
    """Raise ClientError, as SQS does, for a call that breaks its rules."""
    if operation == "send_message":
        _messages([arguments], operation)
    elif operation == "send_message_batch":
        _batch(arguments["Entries"], operation)
        _messages(arguments["Entries"], operation)
    elif operation == "change_message_visibility_batch":
        _batch(arguments["Entries"], operation)
        for entry in arguments["Entries"]:
            if not 0 <= entry["VisibilityTimeout"] <= MAX_VISIBILITY:
                raise _error("InvalidParameterValue", operation)


def _batch(entries: Sequence[Mapping[str, Any]], operation: str) -> None:
    if not entries:
        raise _error("EmptyBatchRequest", operation)
    if len(entries) > 10:
        raise _error("TooManyEntriesInBatchRequest", operation)
    if len({entry["Id"] for entry in entries}) < len(entries):
        raise _error("BatchEntryIdsNotDistinct", operation)


def _messages(messages: Sequence[Mapping[str, Any]], operation: str) -> None:
    if sum(map(_size, messages)) > MAX_BYTES:
        raise _error("BatchRequestTooLong" if len(messages) > 1 else "InvalidParameterValue", operation)
    for message in messages:
        attributes = message.get("MessageAttributes", {})
        texts = [message["MessageBody"], *(a["StringValue"] for a in attributes.values())]
        if not all(texts) or any(REFUSED.search(text) for text in texts):
            raise _error("InvalidMessageContents", operation)
        if len(attributes) > MAX_ATTRIBUTES or not GROUP.fullmatch(message.get("MessageGroupId", "-")):
            raise _error("InvalidParameterValue", operation)


def _size(message: Mapping[str, Any]) -> int:
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in _counted(message))


def _counted(message: Mapping[str, Any]) -> Iterator[str]:
    yield message["MessageBody"]
    for name, attribute in message.get("MessageAttributes", {}).items():
        yield from (name, attribute["DataType"], attribute["StringValue"])


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "refused"}}, operation)
