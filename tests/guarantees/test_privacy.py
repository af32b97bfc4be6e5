"""G7: no secret, name, e-mail, phone or body in any log line, metric, journal, state or idempotency item, attribute
of a parked message, error answer, or request to AWS that an audit trail may keep.

Everything personal in the samples is replaced by marked data; then everything that the relay leaves behind is searched.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from loyalty_relay.model.errors import RelayError
from loyalty_relay.sources import source_module
from loyalty_relay.sources.platforms import platforms
from loyalty_relay.triggers.authorizer import authorize
from tests.guarantees.conftest import Written
from tests.guarantees.marking import WORD, Asked, Marker, held, leaks, secrets_of
from tests.guarantees.world import API_KEY, READ_APIS, World
from tests.sources.samples import load

EMAIL, PHONE, NAME = f"{WORD.lower()}99@example.com", "+447700900999", f"{WORD}99"
ECHO = f"Customer {NAME} <{EMAIL}> with mobile 447700900999 / {PHONE} / +44 7700 900 999 was refused"
"""What a vendor's error text may repeat of a request."""

OTHER_TILL = {"type": "basic", "username": "demo.till02", "password": "fake-till-password"}
"""A second account, so that the circuit which opens for the first is not in the way."""

VENDOR_OF = dict(zip(platforms(), ("capillary", "kangaroo") * len(platforms()), strict=False))


def swept(world: World, written: Written, asked: Asked, marker: Marker, *documents: Any) -> list[str]:
    """All leaks of a test."""
    marker.given |= {EMAIL: EMAIL, PHONE: PHONE}
    places = [("log", written.text()), *held(world), *asked.requests]
    return leaks(places, marker, [API_KEY, *secrets_of(world, *documents)])


@pytest.fixture
def asked(world: World) -> Asked:
    return Asked(world)


@pytest.mark.parametrize("platform", platforms())
def test_no_delivery_leaves_a_trace_of_the_person(platform: str, world: World, written: Written, asked: Asked) -> None:
    document = world.connect(platform, VENDOR_OF[platform])
    marker = Marker()
    answers = []
    for topic in source_module(platform).topics:
        sample = marker.sample(load(platform, topic.fixture), shop=topic.becomes == "link-store")
        answers.append(world.deliver(sample.signed()))
    world.settle()
    world.again()
    assert marker.given or platform in READ_APIS, "the samples have nobody in them"
    assert {"applied"} <= set(world.outcomes())
    found = swept(world, written, asked, marker, document)
    assert found + leaks([("answer", json.dumps(answers))], marker, []) == []


def marked_customer(**more: Any) -> Any:
    """A Shopify customer who is marked throughout."""
    return load("shopify", "customers-create").changed(
        email=EMAIL, phone=PHONE, first_name=NAME, last_name=NAME, **more
    )


CAPILLARY_FAULTS: dict[str, dict[str, Any]] = {
    "a refused field": {"status": 400, "body": {"errors": [{"code": 8014, "message": ECHO, "status": False}]}},
    "an unknown code": {"status": 400, "body": {"errors": [{"code": 77123, "message": ECHO, "status": False}]}},
    "an error without code": {"status": 400, "body": {"error": ECHO}},
    "an unknown shape": {"status": 400, "body": {EMAIL: [NAME, {"message": ECHO}], "message": ECHO}},
    "an error inside 200": {"status": 200, "body": {"errors": [{"code": 500, "message": ECHO}]}},
    "refused credentials": {
        "status": 401,
        "body": {"errors": [{"code": 401, "message": f"{ECHO} fake-till-password"}]},
    },
    "too many requests": {"status": 429, "body": {"errors": [{"code": 429, "message": ECHO}]}},
    "a server error": {"status": 500, "body": {"errors": [{"code": 500, "message": ECHO}]}},
    "a page": {"status": 400, "content_type": "text/html", "body": f"<html><title>{NAME}</title><p>{ECHO}</p></html>"},
    "a cut-off body": {"status": 400, "body": '{"errors": [{"message": "' + ECHO},
    "a text": {"status": 403, "content_type": "text/plain", "body": ECHO},
    "a warning": {
        "status": 200,
        "body": {"createdId": 600000001, "warnings": [{"code": 8051, "message": ECHO}, {"code": 1, "message": ECHO}]},
    },
    "somebody else with the same": {
        "status": 400,
        "body": {"errors": [{"code": 8006, "message": f"{ECHO} already exists with id 600000001"}]},
    },
}


@pytest.mark.attack(
    "vendors",
    "error texts that repeat customers or credentials",
    "taken out where they are read, and once more before they are kept",
    "G7",
)
@pytest.mark.parametrize("fault", CAPILLARY_FAULTS.values(), ids=CAPILLARY_FAULTS.keys())
def test_what_capillary_repeats_in_an_error_goes_nowhere(
    fault: dict[str, Any], world: World, written: Written, asked: Asked
) -> None:
    document = world.connect("shopify", "capillary")
    world.fault({"vendor": "capillary", "method": "POST", **fault}, {"vendor": "capillary", "method": "PUT", **fault})
    world.connect("shopify", "capillary", "other", destination={"credentials": OTHER_TILL})
    world.deliver(marked_customer().signed())
    world.settle()
    body = {"identifiers": [{"type": "email", "value": f"api{EMAIL}"}], "first_name": NAME}
    answered = world.call("POST", "/customers", body, to="other")
    assert len(world.upstream(writes=True)) >= 2, "the fault was not seen"
    found = swept(world, written, asked, Marker(), document)
    assert found + leaks([("answer", json.dumps(answered))], Marker(), []) == []


KANGAROO_FAULTS: dict[str, dict[str, Any]] = {
    "E1": {"status": 400, "body": {"error": {"status_code": 400, "message": ECHO, "description": ECHO}}},
    "E2": {"status": 422, "body": {"phone": [ECHO], EMAIL: [ECHO]}},
    "E3": {"status": 422, "body": {"errors": {"email": [ECHO]}}},
    "E4": {"status": 403, "body": {"message": ECHO}},
    "E5": {"status": 400, "body": {"error": ECHO}},
    "E6": {"status": 422, "body": {"errors": [{"status": "422", "title": NAME, "detail": ECHO}]}},
    "E7": {"status": 404, "body": {"status_code": 404, "message": ECHO, "description": ECHO}},
    "an unknown shape": {"status": 418, "body": [{EMAIL: NAME}]},
    "a page": {"status": 400, "content_type": "text/html", "body": f"<html><title>{NAME}</title><p>{ECHO}</p></html>"},
    "a server error": {"status": 500, "body": {"message": ECHO}},
}


@pytest.mark.attack("vendors", "error texts that repeat customers or credentials")
@pytest.mark.parametrize("methods", [("GET",), ("POST", "PATCH")], ids=["looking up", "writing"])
@pytest.mark.parametrize("fault", KANGAROO_FAULTS.values(), ids=KANGAROO_FAULTS.keys())
def test_what_kangaroo_repeats_in_an_error_goes_nowhere(
    fault: dict[str, Any], methods: tuple[str, ...], world: World, written: Written, asked: Asked
) -> None:
    document = world.connect("shopify", "kangaroo")
    world.fault(
        *({"vendor": "kangaroo", "path": "/customers*", "method": m, **fault} for m in ("POST", "PATCH", "GET"))
    )
    world.deliver(marked_customer().signed())
    world.settle()
    world.again()
    body = {"identifiers": [{"type": "email", "value": f"api{EMAIL}"}, {"type": "mobile", "value": PHONE}]}
    answered = world.call("POST", "/customers", {**body, "first_name": NAME})
    assert any(request.fault is not None for request in world.upstream()), "the fault was not seen"
    found = swept(world, written, asked, Marker(), document)
    assert found + leaks([("answer", json.dumps(answered))], Marker(), []) == []


@pytest.mark.attack("vendors", "error texts that repeat customers or credentials")
def test_a_token_endpoint_that_repeats_credentials_is_not_quoted(world: World, written: Written, asked: Asked) -> None:
    document = world.connect("shopify", "kangaroo")
    echoed = "fake-password fake-password-client-secret fake-application-key demo@example.com"
    fault = {"error": "invalid_grant", "error_description": echoed, "hint": echoed, "message": echoed}
    world.fault({"vendor": "kangaroo", "path": "/oauth/token", "status": 400, "body": fault})
    answered = world.call("GET", "/tags")
    assert answered[0] == 502
    world.deliver(marked_customer().signed())
    world.settle()
    assert world.outcomes() == ["retrying"]
    found = swept(world, written, asked, Marker(), document)
    assert found + leaks([("answer", json.dumps(answered))], Marker(), secrets_of(world, document)) == []


WRONG_BODIES: dict[str, Any] = {
    "wrong types": {"identifiers": ECHO, "first_name": {EMAIL: NAME}, "birthday": ECHO, "channels": [ECHO]},
    "wrong values": {
        "identifiers": [{"type": "mobile", "value": f"{NAME} {EMAIL}"}, {"type": "email", "value": f"{NAME} {PHONE}"}],
        "birthday": PHONE,
        "as_of": EMAIL,
        "enrollments": [{"program_id": ECHO}],
    },
    "unknown enum": {
        "identifiers": [{"type": "email", "value": EMAIL}],
        "loyalty_type": NAME,
        "options": {"source": NAME, "user_context": {"type": ECHO, "id": f"{NAME}\r\nX-Evil: 1"}},
        "subscriptions": [{"channel": PHONE, "subscribed": NAME}],
        "gender": NAME,
    },
    "a list": [ECHO],
    "a text": ECHO,
}


@pytest.mark.parametrize("body", WRONG_BODIES.values(), ids=WRONG_BODIES.keys())
def test_a_wrong_body_is_described_without_its_values(body: Any, world: World, written: Written, asked: Asked) -> None:
    documents = [world.connect("shopify", vendor, vendor) for vendor in ("capillary", "kangaroo")]
    answered = [
        answer
        for to in ("capillary", "kangaroo")
        for answer in (
            world.call("POST", "/customers", body, headers={"idempotency-key": EMAIL}, to=to),
            world.call("PUT", "/customers", body, to=to),
            world.call("PUT", "/customers/{customer_id}", body, customer_id=PHONE, to=to),
            world.call(
                "PATCH", "/customers/{customer_id}/crm-fields", {"fields": {"email": ECHO}}, customer_id="7", to=to
            ),
            world.call("POST", "/store-links", {"shop_id": {"name": NAME}, "account_id": [EMAIL]}, to=to),
            world.call("POST", "/customers", raw=f'{{"first_name": "{NAME}', to=to),
        )
    ]
    assert {status for status, _ in answered} <= {400, 404, 409, 422}
    found = swept(world, written, asked, Marker(), *documents)
    assert found + leaks([("answer", json.dumps(answered))], Marker(), []) == []


def test_an_idempotency_key_that_names_a_customer_is_kept_as_a_keyed_hash(
    world: World, written: Written, asked: Asked
) -> None:
    document = world.connect("shopify", "capillary")
    body = {"identifiers": [{"type": "email", "value": EMAIL}], "first_name": NAME}
    first = world.call("POST", "/customers", body, headers={"idempotency-key": EMAIL})
    again = world.call("POST", "/customers", body, headers={"idempotency-key": EMAIL})
    assert (first[0], again[0], again[1]["replayed"]) == (201, 201, True)
    assert swept(world, written, asked, Marker(), document) == []


# -- bugs -----------------------------------------------------------------------------------------------------------


class Bug(Exception):
    """Stands for any exception that nobody foresaw; its text holds what was being worked on."""


def buggy(*args: Any, **more: Any) -> Any:
    raise Bug(f"{ECHO} fake-shopify-client-secret {args!r} {more!r}")


@pytest.mark.attack("senders", "requests that crash a verifier")
@pytest.mark.parametrize("where", ["verify", "handshake", "store", "read", "accepted"])
def test_a_bug_in_a_platforms_module_is_logged_by_its_place_only(
    where: str, world: World, written: Written, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = world.connect("shopify")
    monkeypatch.setattr(type(source_module("shopify")), where, buggy)
    answer = world.deliver(marked_customer().signed())
    assert answer["statusCode"] in (200, 503), "a sender that comes back, or a body that is kept"
    assert "Bug" in written.text()
    assert (
        swept(world, written, asked, Marker(), document) + leaks([("answer", json.dumps(answer))], Marker(), []) == []
    )


@pytest.mark.parametrize("where", ["register", "update", "find", "check"])
def test_a_bug_in_a_client_is_retried_and_logged_by_its_place_only(
    where: str, world: World, written: Written, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loyalty_relay.destinations.capillary.client import CapillaryCrm

    document = world.connect("shopify")
    monkeypatch.setattr(CapillaryCrm, where, buggy)
    world.deliver(replace(marked_customer(), headers=load("shopify", "customers-update").headers).signed())
    world.deliver(marked_customer().signed())
    world.settle()
    answered = world.call("POST", "/customers", {"identifiers": [{"type": "email", "value": EMAIL}]})
    if where in ("register", "check"):
        assert answered[0] == 500
        assert "retrying" in world.outcomes()
    found = swept(world, written, asked, Marker(), document)
    assert found + leaks([("answer", json.dumps(answered))], Marker(), []) == []


def test_a_bug_in_the_authorizer_reaches_the_runtimes_log_without_its_text(
    world: World, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = world.functions["ingest"].connections
    monkeypatch.setattr(connections, "get", buggy)
    event = {"headers": {"x-api-key": API_KEY}, "pathParameters": {"connection": "shop"}}
    with pytest.raises(RelayError) as raised:
        authorize(event, connections)
    assert raised.value.__suppress_context__
    text = written.text() + str(raised.value)
    assert leaks([("log", text)], Marker(), [API_KEY, "fake-shopify-client-secret"]) == []


@pytest.mark.attack("configuration", "a broken secret whose text ends in a log", "never quoted", "G7")
@pytest.mark.parametrize(
    "text",
    [
        f'{{"source": {{"secrets": [{{"value": "{NAME}"',
        json.dumps({"source": {"platform": NAME, "secrets": NAME}, "destination": {"vendor": ECHO, "host": EMAIL}}),
    ],
    ids=["not JSON", "not valid"],
)
def test_a_broken_connection_is_reported_without_its_secrets(
    text: str, world: World, written: Written, asked: Asked
) -> None:
    world.stack.clients["secretsmanager"].create_secret(Name="test/connections/shop", SecretString=text)
    answer = world.deliver(marked_customer().signed())
    assert answer["statusCode"] == 503
    called = world.call("POST", "/customers", {"identifiers": [{"type": "email", "value": EMAIL}]})
    found = swept(world, written, asked, Marker())
    assert found + leaks([("answer", json.dumps([answer, called]))], Marker(), []) == []


def test_a_log_line_cannot_be_given_what_is_not_on_the_list() -> None:
    from loyalty_relay.telemetry import logs

    with pytest.raises(ValueError, match="allow-list"):
        logs.info("record", email=EMAIL)
