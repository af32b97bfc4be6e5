"""Schedules of reconciliations: one of EventBridge Scheduler for each connection that wants one."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from devkit.stacks.errors import CommandError
from devkit.stacks.stack import Stack
from loyalty_relay.model.commands import AdvanceRun, Envelope, Event

UNITS = {"h": "hour", "d": "day"}
OFF = "off"


def set_schedule(stack: Stack, connection: str, every: str) -> str:
    """Have a reconciliation of a connection begun every so often, or never again; return the rate, empty for never.

    ``every``: such as 12h or 1d, or off. The same again changes nothing but the moment from which it counts. Raises
    CommandError for another text, and for a stack without a group of schedules.
    """
    rate = _rate(every)
    name = {"Name": connection, "GroupName": stack.need("ReconciliationGroup")}
    scheduler = stack.client("scheduler")
    if not rate:
        with suppress(scheduler.exceptions.ResourceNotFoundException):
            scheduler.delete_schedule(**name)
        return ""
    body = name | {
        "Description": f"Reconciliations of {connection}",
        "ScheduleExpression": f"rate({rate})",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": _target(stack, connection),
    }
    try:
        scheduler.create_schedule(**body)
    except scheduler.exceptions.ConflictException:
        scheduler.update_schedule(**body)
    return rate


def _target(stack: Stack, connection: str) -> dict[str, Any]:
    queue = stack.queue("import-run")
    attributes = stack.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    message = Envelope(
        delivery_id="schedule",
        connection=connection,
        event=Event(source="relay", topic="reconciliation", id="schedule", entity_id=connection),
        command=AdvanceRun(run="", begins=True, webhook_url=f"{stack.api_url}/webhooks/{connection}"),
    )
    return {
        "Arn": attributes["QueueArn"],
        "RoleArn": stack.need("ReconciliationRoleArn"),
        "Input": message.to_json(),
    }


def _rate(every: str) -> str:
    """Return ``1 day`` for 1d; empty for off."""
    if every == OFF:
        return ""
    match = re.fullmatch(r"([1-9]\d{0,2})([hd])", every)
    if match is None:
        raise CommandError(
            f"{every} is no interval", where="--every", do="write hours or days, as in 12h or 1d, or off"
        )
    number, unit = int(match[1]), UNITS[match[2]]
    return f"{number} {unit}{'s' if number > 1 else ''}"
