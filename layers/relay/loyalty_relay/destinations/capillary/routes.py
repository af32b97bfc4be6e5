"""Which API carries an update.

    field                                       V2 PUT by id    V1.1 update by id or identifier
    first_name last_name                        yes             yes (cannot empty them)
    custom_fields.* extended_fields.*           yes             yes (cannot empty them)
    loyalty_type (only to "loyalty")            yes             yes
    email phone channels.* credits              yes             no
    subscriptions.* associated_with             no              yes
    registered_on registered_till fraud_status  no              yes

V1.1 takes no source: names and custom fields of a profile in another source than INSTORE, which belong to the profile,
go by V2. What only V1.1 carries belongs to the member whatever the source, who is then addressed by id.

One request wherever one can carry everything: V2 when the member is known by loyalty id, V1.1 when by identifier or
when a field needs it. Consent (and what else only V1.1 has) that arrives together with a new contact address takes two:
V1.1 first, V2 second. In this order, because V2 may carry credits, which must not be repeated when the other request
fails, and because a withdrawn consent should not wait for a new address.

On registration V2 POST carries everything but transactional consent, registered_till and fraud_status, which follow by
V1.1 once the id is known.

Sources: Capillary docs, Add customer, Update customer details, Customer update V1.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loyalty_relay.destinations.capillary.fields import PRIORITIES, SUBSCRIPTION_CHANNELS, channel_type
from loyalty_relay.model.outcomes import Notice

BOTH = frozenset({"first_name", "last_name", "loyalty_type"})
ONLY_V1 = frozenset({"registered_on", "registered_till", "associated_with", "fraud_status"})
ONLY_V2 = frozenset({"email", "phone"})
ONLY_CREATE = frozenset({"status_label"})
CLEARABLE = frozenset({"first_name", "last_name"})


def supports(field: str) -> bool:
    """Return whether Capillary has such a field at all.

    Gender, birthday, language and address are extended fields there, which each organisation enables or not, so a
    mapping has to name them.
    """
    family, _, rest = field.partition(".")
    if family in ("custom_fields", "extended_fields"):
        return bool(rest)
    if family == "channels":
        return channel_type(rest) is not None
    if family == "subscriptions":
        channel, _, priority = rest.partition(".")
        return channel in SUBSCRIPTION_CHANNELS and priority in PRIORITIES
    return field in BOTH | ONLY_V1 | ONLY_V2 | ONLY_CREATE


def only_v1(field: str) -> bool:
    """Return whether an update of this field needs V1.1."""
    return field in ONLY_V1 or field.startswith("subscriptions.")


def only_v2(field: str) -> bool:
    """Return whether an update of this field needs V2."""
    return field in ONLY_V2 or field.startswith("channels.")


@dataclass(frozen=True, slots=True)
class Route:
    """The fields of an update by the API that carries them, and what is left out."""

    v1: Mapping[str, Any]
    v2: Mapping[str, Any]
    by_v2: bool
    """Whether a V2 request is sent, if only for its credits."""
    notices: tuple[Notice, ...] = ()


def route(fields: Mapping[str, Any], *, credits: bool, by_id: bool, prefer_v2: bool = False) -> Route:
    """Divide an update's fields. Fields that no update can carry are left out, each with a notice.

    ``prefer_v2``: V1.1 gets only what V2 cannot carry.
    """
    v1: dict[str, Any] = {}
    v2: dict[str, Any] = {}
    either: dict[str, Any] = {}
    notices: list[Notice] = []
    for name, value in fields.items():
        notice = _left_out(name, value)
        if notice is not None:
            notices.append(notice)
        elif only_v1(name):
            v1[name] = value
        elif only_v2(name) or value is None:
            # V1.1 ignores an empty text, so only V2 can empty a field.
            v2[name] = value
        else:
            either[name] = value
    if v2 or credits or (prefer_v2 and either) or (by_id and not v1):
        v2 = {**either, **v2}
    else:
        v1 = {**either, **v1}
    return Route(v1, v2, bool(v2 or credits), tuple(notices))


def _left_out(name: str, value: Any) -> Notice | None:
    if not supports(name):
        return Notice("unsupported_field", "the loyalty programme has no such field", name)
    if name in ONLY_CREATE or (name == "loyalty_type" and value == "non_loyalty"):
        return Notice("not_updatable", "can be set by a registration only", name)
    if value is None and name not in CLEARABLE and not name.startswith("custom_fields."):
        return Notice("not_cleared", "the loyalty programme keeps its value: it cannot be emptied", name)
    return None
