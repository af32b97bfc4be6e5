"""An e-mail or phone that the source has not verified leads to no existing member, whatever the command."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loyalty_relay.model.commands import (
    CustomerCommand,
    CustomerRef,
    Envelope,
    Identifier,
    PatchCrmFields,
    RegisterCustomer,
    UpdateCustomer,
)
from loyalty_relay.model.errors import CircuitOpen, CustomerUnknown, NoSlot, RelayError, UpstreamUnavailable
from loyalty_relay.model.outcomes import Result
from loyalty_relay.pipeline.customers import LATECOMER_SECONDS
from tests.pipeline.conftest import Relay, version
from tests.support.crm import Member

KINDS = [RegisterCustomer, UpdateCustomer, PatchCrmFields]
DOUBTS: list[dict[str, Any]] = [{"unverified": ("email", "mobile")}, {"unproven": ("email", "mobile")}]
MAIL, PHONE = "ana@example.com", "+447700900199"


@pytest.fixture
def victim(relay: Relay) -> Member:
    """Somebody's membership, which no event has named yet."""
    relay.crm.members["1000"] = Member("1000", {"email": MAIL, "mobile": PHONE}, {"first_name": "Ana"})
    return relay.crm.members["1000"]


def event(
    kind: type[CustomerCommand], fields: dict[str, Any], at: str = "1", source_id: str = "7", **doubt: Any
) -> CustomerCommand:
    """What a shop's event about an account becomes."""
    named = {"email": fields.get("email"), "mobile": fields.get("phone")}
    identifiers = tuple(Identifier(name, value) for name, value in named.items() if value)
    customer = CustomerRef(source_id=source_id, identifiers=identifiers, **doubt)
    return kind(customer=customer, fields=fields, version=version(at))


@pytest.mark.attack(
    "senders",
    "an account at the shop with a member's e-mail or phone, to change that member",
    "an identifier that the platform has not verified registers somebody new, or nobody: members are looked up before "
    "a registration, and a refused registration leads to no update",
    "G4",
)
@pytest.mark.parametrize("doubt", DOUBTS, ids=["marked", "silent"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("contact", [{"email": MAIL}, {"phone": PHONE}, {"email": "eve@example.com", "phone": PHONE}])
def test_an_unverified_contact_finds_no_member(
    relay: Relay, victim: Member, kind: type[CustomerCommand], contact: dict[str, str], doubt: dict[str, Any]
) -> None:
    before = replace(victim, fields=dict(victim.fields), identifiers=dict(victim.identifiers))
    outcome = relay.run(event(kind, {"first_name": "Eve", **contact}, **doubt))
    assert (outcome.result, outcome.reason) == (Result.IGNORED, "identifier_unverified")
    assert outcome.loyalty_id is None
    assert relay.crm.members == {"1000": before}
    assert {call[0] for call in relay.crm.calls} == {"find"}


@pytest.mark.attack("senders", "an account at the shop with a member's e-mail or phone, to change that member")
@pytest.mark.parametrize("kind", KINDS)
def test_a_member_who_appears_between_look_and_registration_is_not_updated(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, kind: type[CustomerCommand]
) -> None:
    register = relay.crm.register

    def late(*args: Any, **more: Any) -> Any:
        relay.crm.members["1000"] = Member("1000", {"email": MAIL}, {"first_name": "Ana"})
        return register(*args, **more)

    monkeypatch.setattr(relay.crm, "register", late)
    outcome = relay.run(event(kind, {"first_name": "Eve", "email": MAIL}, unproven=("email",)))
    assert (outcome.result, outcome.reason) == (Result.IGNORED, "identifier_unverified")
    assert relay.crm.members["1000"].fields == {"first_name": "Ana"}


@pytest.mark.parametrize("doubt", DOUBTS, ids=["marked", "silent"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_unverified_contact_registers_somebody_new(
    relay: Relay, kind: type[CustomerCommand], doubt: dict[str, Any]
) -> None:
    outcome = relay.run(event(kind, {"first_name": "Eve", "email": MAIL}, **doubt))
    assert (outcome.result, outcome.created) == (Result.APPLIED, True)
    assert relay.run(event(kind, {"first_name": "Eva", "email": MAIL}, "2", **doubt)).result is Result.APPLIED
    (member,) = relay.crm.members.values()
    assert member.fields["first_name"] == "Eva"
    assert member.identifiers == {"email": MAIL}


@pytest.mark.attack("senders", "an account at the shop with a member's e-mail or phone, to change that member")
@pytest.mark.parametrize("kind", [UpdateCustomer, PatchCrmFields])
def test_a_contact_that_is_marked_as_unverified_changes_no_member(relay: Relay, kind: type[CustomerCommand]) -> None:
    relay.run(event(kind, {"first_name": "Eve", "email": "eve@example.com"}))
    outcome = relay.run(event(kind, {"first_name": "Eva", "email": MAIL}, "2", unverified=("email",)))
    assert (outcome.result, [notice.code for notice in outcome.notices]) == (Result.APPLIED, ["not_verified"])
    (member,) = relay.crm.members.values()
    assert member.fields == {"first_name": "Eva", "email": "eve@example.com"}
    verified = relay.run(event(kind, {"first_name": "Eva", "email": MAIL}, "3"))
    assert verified.fields == ("email",)


@pytest.mark.parametrize("kind", KINDS)
def test_a_verified_contact_finds_the_member_beside_an_unproven_one(
    relay: Relay, victim: Member, kind: type[CustomerCommand]
) -> None:
    outcome = relay.run(
        event(kind, {"first_name": "Ann", "email": MAIL, "phone": "+447700900111"}, unproven=("mobile",))
    )
    assert outcome.loyalty_id == victim.id
    assert victim.fields["first_name"] == "Ann"


@pytest.mark.parametrize("kind", [UpdateCustomer, PatchCrmFields])
def test_a_consent_with_an_unproven_address_waits_for_its_customer(
    relay: Relay, victim: Member, kind: type[CustomerCommand]
) -> None:
    """The consent may come before the event that shows whose address it is."""
    identifiers = (Identifier("email", MAIL),)
    customer = CustomerRef(source_id="7", identifiers=identifiers, unproven=("email",))
    consent = kind(customer=customer, fields={"subscriptions.email.bulk": True}, version=version("1"))
    early: Envelope = relay.envelope(consent)
    with pytest.raises(CustomerUnknown):
        relay.run(early)
    relay.stack.clock.now += LATECOMER_SECONDS
    assert relay.run(early).reason == "identifier_unverified"
    assert victim.fields == {"first_name": "Ana"}


def test_a_lost_answer_to_the_own_registration_leads_to_the_own_member(relay: Relay) -> None:
    from loyalty_relay.model.errors import ConnectionFailed

    envelope = relay.envelope(event(RegisterCustomer, {"first_name": "Eve", "email": MAIL}, unproven=("email",)))
    relay.crm.after.append(ConnectionFailed(reached=True))
    with pytest.raises(ConnectionFailed):
        relay.run(envelope)
    assert relay.run(envelope).loyalty_id == "1000"
    assert len(relay.crm.members) == 1


@pytest.mark.parametrize("doubt", DOUBTS, ids=["marked", "silent"])
@pytest.mark.parametrize("error", [NoSlot, CircuitOpen, UpstreamUnavailable])
def test_a_customer_whose_patch_had_to_wait_after_the_registration_is_found_by_the_next_attempt(
    relay: Relay, doubt: dict[str, Any], error: type[RelayError]
) -> None:
    command = event(PatchCrmFields, {"email": MAIL, "first_name": "Ana"}, **doubt)
    relay.crm.before = [None, error("later")]
    with pytest.raises(error) as raised:
        relay.run(command)
    assert raised.value.reached
    outcome = relay.run(command)
    assert outcome.result is Result.APPLIED
    assert outcome.loyalty_id in relay.crm.members
    assert len(relay.crm.members) == 1
