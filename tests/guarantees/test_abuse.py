"""What hostile senders, callers, vendors and slips of configuration can do: nothing. See docs/threat-model.md."""

from __future__ import annotations

import ast
import copy
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from loyalty_relay.connections.check import check_connection
from loyalty_relay.connections.parse import parse_connection
from loyalty_relay.http.client import Client
from loyalty_relay.http.sockets import close_shared_pool
from loyalty_relay.model.errors import ConnectionInvalid
from loyalty_relay.sources import source_module
from loyalty_relay.sources.platforms import platforms
from loyalty_relay.triggers.api import MAX_BODY
from loyalty_relay.triggers.authorizer import authorize
from tests.guarantees.conftest import Written
from tests.guarantees.marking import Asked
from tests.guarantees.world import API_KEY, World
from tests.sources.samples import document, load, proofs
from tests.support.limiters import NullLimiter
from tests.support.stack import OPERATIONS

LAYER = Path(__file__).resolve().parents[2] / "layers" / "relay" / "loyalty_relay"

TRICKS = (
    "../digest",
    "..%2Fdigest",
    "shop/../shop",
    "shop%2F..%2Fshop",
    "SHOP",
    "shop\x00",
    "shop\n",
    " shop",
    "shop ",
    "ѕhop",
    "shop.",
    "-shop",
    "s" * 64,
    "*",
    "",
)
"""Ids of connections that are not ids: paths, other cases, control characters, look-alikes, wildcards."""


def effects(world: World) -> list[str]:
    """Whatever has come of anything."""
    found = [f"{table}: {item}" for table in ("journal", "state", "idempotency") for item in world.stack.items(table)]
    found += [f"upstream: {request.path}" for request in world.upstream()]
    for queue in (*OPERATIONS, "ingest"):
        found += [f"parked {queue}"] * len(world.parked(queue))
    found += [f"queued {queue}" for queue in OPERATIONS if world.stack.messages(queue)]
    return found


# -- refusals look alike --------------------------------------------------------------------------------------------


@pytest.mark.attack(
    "senders",
    "a delivery without proof, with a wrong or garbled one, or for a connection without secrets",
    "one verdict before anything is read; a missing secret or header is a refusal",
    "G4",
)
@pytest.mark.attack(
    "senders",
    "finding out which connections exist",
    "unknown, wrong, malformed: the same status, headers and body, and no effect",
    "G4",
)
@pytest.mark.parametrize("platform", platforms())
def test_every_refusal_of_a_delivery_looks_the_same_and_does_nothing(platform: str, world: World) -> None:
    data = world.connect(platform)
    world.stack.put_connection("bare", {**data, "source": {**data["source"], "secrets": []}})
    fixture = next(t.fixture for t in source_module(platform).topics if t.becomes not in ("handshake", "ignored"))
    sample = load(platform, fixture)
    good = sample.signed()
    without = {name: value for name, value in good.headers.items() if name not in proofs(sample)}
    garbled = {name: "Bearer x" if name == "authorization" else "x" for name in proofs(sample)}
    attempts: list[tuple[str, Any, str]] = [
        ("no proof", dict(without), "shop"),
        ("empty proof", {**without, **dict.fromkeys(proofs(sample), "")}, "shop"),
        ("garbled proof", {**without, **garbled}, "shop"),
        ("unknown connection", dict(good.headers), "nobody"),
        *(("no connection's id", dict(good.headers), trick) for trick in TRICKS),
    ]
    if source_module(platform).needs_secrets:
        attempts.append(("no secret configured", dict(good.headers), "bare"))
    answers = {}
    for name, headers, to in attempts:
        request = type(good)(method="POST", headers=headers, query=good.query, body=good.body, topic=good.topic)
        answers[f"{name} {to!r}"] = world.deliver(request, to)
    assert {json.dumps(answer, sort_keys=True) for answer in answers.values()} == {
        json.dumps(
            {
                "statusCode": 401,
                "headers": {"content-type": "application/json"},
                "body": '{"title":"Unauthorized","status":401}',
            },
            sort_keys=True,
        )
    }, answers
    assert effects(world) == []


@pytest.mark.attack(
    "senders",
    "paths, wildcards or look-alikes as a connection's id",
    "an id is a pattern of letters, digits and hyphens before it becomes part of a secret's name",
    "G4",
)
@pytest.mark.parametrize("trick", [*TRICKS, "nobody"])
def test_an_id_that_is_none_is_never_made_into_a_secrets_name(trick: str, world: World) -> None:
    data = world.connect()
    asked = Asked(world)
    connections = world.functions["ingest"].connections
    allowed = authorize(
        {
            "headers": {"x-api-key": API_KEY},
            "pathParameters": {"connection": trick},
            "rawPath": f"/connections/{trick}/x",
        },
        connections,
    )
    world.deliver(load("shopify", "customers-create").signed(), trick)
    assert allowed == {"isAuthorized": False}
    names = {json.loads(text)["SecretId"] for _, text in asked.requests}
    assert names <= {"test/connections/nobody"}
    assert data


@pytest.mark.attack(
    "callers", "finding out which connections exist", "an unknown connection and a wrong key are the same answer", "G4"
)
def test_an_unknown_connection_and_a_wrong_key_look_the_same_to_a_caller(world: World) -> None:
    world.connect()
    connections = world.functions["register"].connections

    def answer(connection: str, key: str | None) -> dict[str, Any]:
        headers = {"x-api-key": key} if key is not None else {}
        return authorize({"headers": headers, "pathParameters": {"connection": connection}}, connections)

    refused = [
        answer("shop", "fake-wrong-key"),
        answer("nobody", API_KEY),
        answer("shop", ""),
        answer("shop", None),
        answer("shop", "k" * 10_000),
        answer("shop", "\ud800ключ"),
    ]
    assert refused == [{"isAuthorized": False}] * 6
    assert answer("shop", API_KEY)["isAuthorized"] is True


@pytest.mark.attack(
    "senders",
    "guessing a signature by the time a comparison takes",
    "`hmac.compare_digest` over every live secret, whichever matches",
    "G4",
)
def test_no_comparison_of_a_proof_ends_at_the_first_difference() -> None:
    """The time of ``==`` on secrets shows how much was right; everything goes through ``hmac.compare_digest``."""
    secret = re.compile(r"secret|signature|expected|\bmac\b|digest|token|proof|sha256|given", re.IGNORECASE)
    harmless = {
        "name == 'signature_encoding'",
        "name == 'signature_covers'",
        "source.options.get('signature_covers') == 'payload'",
        "'access_token' in request.query",
        "reported['algorithm'].upper() != 'HMAC-SHA256'",
        "len(given) in lengths",
        "len(signature) != key.size",
        "name != TOKEN",
        "reported != expected",
        "reported.keys() != {'signature', 'algorithm'}",
    }
    found = []
    files = [*sorted((LAYER / "sources").rglob("*.py")), LAYER / "triggers" / "authorizer.py"]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Compare) or not isinstance(
                node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn
            ):
                continue
            text = ast.unparse(node)
            if secret.search(text) and text not in harmless:
                found.append(f"{path.name}:{node.lineno} {text}")
    assert found == []


@pytest.mark.attack("senders", "guessing a signature by the time a comparison takes")
@pytest.mark.parametrize("platform", platforms())
def test_every_verifier_compares_in_constant_time(platform: str) -> None:
    """Its module uses one of the comparisons of ``signatures``, or RSA."""
    module = LAYER / "sources" / platform
    text = (module / "__init__.py" if module.is_dir() else module.with_suffix(".py")).read_text()
    assert re.search(r"\b(matching|same|standard_webhooks_verdict)\(|rsa import", text), platform


# -- paths towards the vendor ---------------------------------------------------------------------------------------

PATH_TRICKS = (
    "../../v3/oauth/token/generate",
    "7/../8",
    "7?source=INSTORE",
    "7#x",
    "7%2F8",
    "7;a=b",
    "\r\nX-Evil: 1",
    "7 8",
    "ü\u202e",
    "\x00",
    "%",
    "//evil.example",
    "@evil.example",
)


class Listening:
    """In place of the vendor's socket: notes what would have been asked."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[httpx.Request] = []
        for services in world.functions.values():
            monkeypatch.setattr(services, "destination_client", lambda _, s=services: self._client(s))
            monkeypatch.setattr(services, "platform_client", lambda *_, s=services: self._client(s))

    def _client(self, services: Any) -> Client:
        return Client(NullLimiter(), services.clock, upstream=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return httpx.Response(200, json={"access_token": "fake", "token_type": "Bearer", "data": []})


@pytest.mark.attack(
    "callers",
    "a customer's id that is a path, a query or a fragment",
    "one escaped segment; `.` and `..` are refused",
    "G10",
)
@pytest.mark.parametrize("trick", PATH_TRICKS)
def test_an_id_in_a_path_stays_one_segment_at_the_vendor(
    trick: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.connect("shopify", "capillary", "capillary")
    world.connect("shopify", "kangaroo", "kangaroo")
    vendor = Listening(world, monkeypatch)
    world.call("PUT", "/customers/{customer_id}", {"first_name": "A"}, to="capillary", customer_id=trick)
    patch = {"fields": {"first_name": "A"}}
    world.call("GET", "/customers/{customer_id}/crm-fields", to="kangaroo", customer_id=trick)
    world.call("PATCH", "/customers/{customer_id}/crm-fields", patch, to="kangaroo", customer_id=trick)
    paths = [r.url.raw_path.decode() for r in vendor.asked if not r.url.raw_path.endswith(b"/oauth/token")]
    assert len(paths) >= 3
    shape = r"/capillary/v2/customers/[^/?#;\s]+\?source=ECOMMERCE|/kangaroo/customers/[^/?#;\s]+/crm-fields"
    assert [path for path in paths if not re.fullmatch(shape, path)] == []
    assert {request.url.netloc for request in vendor.asked} == {world.vendors.url.removeprefix("http://").encode()}
    assert all(name.lower() != "x-evil" for request in vendor.asked for name in request.headers)


@pytest.mark.attack("callers", "a customer's id that is a path, a query or a fragment")
@pytest.mark.parametrize("trick", ["", ".", ".."])
def test_an_id_that_a_url_would_resolve_away_is_refused_unsent(
    trick: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.connect("shopify", "capillary")
    vendor = Listening(world, monkeypatch)
    status, _ = world.call("PUT", "/customers/{customer_id}", {"first_name": "A"}, customer_id=trick)
    assert status == 422
    assert vendor.asked == []


@pytest.mark.attack(
    "callers", "a shop's id that reaches into another connection", "links are kept under the connection's id", "G4"
)
@pytest.mark.parametrize("trick", [*PATH_TRICKS, "..", "shop-2#1"])
def test_a_shops_id_finds_only_its_own_connections_link(trick: str, world: World) -> None:
    world.connect("standard", "kangaroo")
    world.connect("standard", "kangaroo", "shop-2")
    made, _ = world.call("POST", "/store-links", {"shop_id": trick, "account_id": "acct"})
    assert made in (201, 422)
    here, link = world.call("GET", "/store-links/{shop_id}", shop_id=trick.strip())
    there, _ = world.call("GET", "/store-links/{shop_id}", to="shop-2", shop_id=trick.strip())
    assert there == 404
    assert here == (200 if made == 201 else 404)
    assert made != 201 or link["shop_id"] == trick.strip()


@pytest.mark.attack("vendors", "an id in an event that is a path at the platform", "one escaped segment", "G10")
def test_an_id_in_an_event_stays_one_segment_at_the_platform(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.connect("clover", "kangaroo")
    platform = Listening(world, monkeypatch)
    sample = load("clover", "customer-create")
    hostile = json.loads(json.dumps(sample.json()).replace("C:", "C:../../../v3/merchants/"))
    assert world.deliver(sample.with_body(hostile).signed())["statusCode"] == 200
    world.settle()
    paths = [request.url.raw_path.decode().partition("?")[0] for request in platform.asked]
    assert paths
    assert [p for p in paths if not re.fullmatch(r"/clover/v3/merchants/DEMOMERCHANT1/customers/[^/?#]+", p)] == []


# -- headers --------------------------------------------------------------------------------------------------------


@pytest.mark.attack(
    "callers",
    "headers of the vendor's request, by line breaks in options",
    "printable ASCII only, checked for commands and again where requests are made",
    "G10",
)
@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "\x00", "Zoë", "\u2028"])
@pytest.mark.parametrize("name", ["type", "id", "source", "source_id"])
def test_a_user_context_cannot_start_a_header_of_its_own(name: str, value: str, world: World) -> None:
    world.connect()
    body = {"identifiers": [{"type": "email", "value": "a@example.com"}], "options": {"user_context": {name: value}}}
    status, answer = world.call("POST", "/customers", body)
    assert (status, answer["errors"][0]["field"]) == (422, f"options.user_context.{name}")
    assert world.upstream() == []


@pytest.mark.attack("configuration", "a line break in an attribution code", "refused before anything is sent", "G10")
def test_an_attribution_code_cannot_start_a_header_of_its_own(world: World) -> None:
    oauth = {"type": "oauth", "key": "fake-client-key", "secret": "fake-client-secret"}
    world.connect(destination={"credentials": {**oauth, "attribution_code": "till\r\nX-Evil: 1"}})
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    assert [request for request in world.upstream() if "x-evil" in request.headers] == []
    assert world.upstream(writes=True) == []


@pytest.mark.attack("senders", "forged log lines", "lines are JSON, keys come from a list, texts are cut", "G7")
def test_a_log_line_stays_one_line_whatever_a_header_holds(world: World, written: Written) -> None:
    world.connect()
    sample = load("shopify", "customers-create")
    forged = 'x/y\n{"level":"ERROR","message":"forged"}' + "z" * 5000
    world.deliver(sample.with_headers(X_Shopify_Topic=forged).signed())
    lines = [line for line in written.text().splitlines() if line.startswith("{")]
    assert lines
    assert all(json.loads(line).get("message") != "forged" for line in lines)
    assert max(map(len, lines)) < 3000


# -- bodies ---------------------------------------------------------------------------------------------------------


def customer(members: str) -> str:
    return '{"identifiers": [{"type": "email", "value": "a@example.com"}], ' + members + "}"


WRONG_JSON = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep inside": customer('"custom_fields": ' + '{"a":' * 20_000 + "1" + "}" * 20_000),
    "a number of 5000 digits": customer('"custom_fields": {"a": ' + "9" * 5000 + "}"),
    "not a number": customer('"custom_fields": {"a": NaN}'),
    "infinite": customer('"enrollments": [{"program_id": 1, "loyalty_points": 1e999}]'),
    "minus infinity": customer('"custom_fields": {"a": -Infinity}'),
    "half a letter": customer('"first_name": "\\ud83d"'),
    "no character": customer('"first_name": "\\uffff"'),
    "twice the same": '{"identifiers": [], "identifiers": 7}',
    "many members": customer(",".join(f'"m{n}": 1' for n in range(10_000))),
    "many identifiers": '{"identifiers": [' + ",".join(['{"type": "email", "value": "a@example.com"}'] * 3000) + "]}",
    "not utf-8": "\udcff",
}


@pytest.mark.attack(
    "callers",
    "huge, deep, endless or malformed bodies; NaN and infinities",
    "256 KB; 400 or 422 before anything is asked of a vendor",
    "G10",
)
@pytest.mark.parametrize("prefer", ["", "respond-async"], ids=["waiting", "async"])
@pytest.mark.parametrize("raw", WRONG_JSON.values(), ids=WRONG_JSON.keys())
def test_a_hostile_body_is_a_callers_mistake_and_goes_nowhere(raw: str, prefer: str, world: World) -> None:
    world.connect()
    sent = raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    status, answer = world.call("POST", "/customers", raw=sent, headers={"prefer": prefer})
    assert status in (400, 422), answer
    assert world.upstream() == []
    assert world.stack.messages("register") == []


@pytest.mark.attack("callers", "huge, deep, endless or malformed bodies; NaN and infinities")
def test_a_body_above_the_limit_is_413_before_it_is_read(world: World) -> None:
    world.connect()
    raw = customer('"first_name": "' + "a" * MAX_BODY + '"')
    assert world.call("POST", "/customers", raw=raw)[0] == 413
    assert world.upstream() == []


@pytest.mark.attack(
    "senders", "huge bodies", "2 MB, looked at before the signature; the gateway's own limits before that", "G8"
)
def test_a_delivery_above_the_limit_is_413_before_its_signature_is_looked_at(world: World) -> None:
    world.connect()
    asked = Asked(world)
    sample = load("shopify", "customers-create").changed(note="a" * 2_200_000)
    assert world.deliver(sample.signed())["statusCode"] == 413
    assert asked.requests == []


@pytest.mark.attack(
    "senders",
    "deep JSON, numbers of a hundred thousand digits, halves of letters, from somebody who can sign",
    "bounded depth and digits; parked as it came",
    "G1",
)
@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, b'{"id":' * 100_000, b'{"id": ' + b"9" * 100_000 + b"}"],
    ids=["lists", "objects", "digits"],
)
def test_a_hostile_body_of_a_sender_who_can_sign_is_parked_as_it_is(body: bytes, world: World) -> None:
    world.connect()
    sample = load("shopify", "customers-create")
    answer = world.deliver(type(sample)(**{**sample.__dict__, "body": body}).signed())
    assert answer["statusCode"] == 200
    assert len(world.parked("ingest")) == 1
    world.settle()
    assert world.upstream() == []


# -- where requests go ----------------------------------------------------------------------------------------------

EVIL_HOSTS = (
    "http://169.254.169.254",
    "https://169.254.169.254/latest/meta-data",
    "http://localhost:8080",
    "https://evil.example",
    "https://capillarytech.com.evil.example",
    "https://evilcapillarytech.com",
    "https://evil.example/capillarytech.com",
    "https://evil.example?x=.capillarytech.com",
    "https://evil.example#.capillarytech.com",
    "https://user:fake@eu.api.capillarytech.com",
    "https://eu.api.capillarytech.com@evil.example",
    "https://eu.api.capillarytech.com:8443",
    "https://eu.api.capillarytech.com/../x",
    "https://evil.example\\.capillarytech.com",
    "https://[::1]",
    "http://eu.api.capillarytech.com",
    "file:///etc/passwd",
    "gopher://eu.api.capillarytech.com",
    "//eu.api.capillarytech.com",
    "https://eu.api.capillarytech.com\n.evil.example",
    "https://eu.api.capillarytech.com.",
)


def refused_fields(data: dict[str, Any]) -> set[str]:
    """The fields for which a connection is not applied."""
    try:
        connection = parse_connection("shop", data)
    except ConnectionInvalid as refused:
        return {problem.field for problem in refused.problems}
    return {problem.field for problem in check_connection(connection)}


@pytest.mark.attack(
    "configuration",
    "a destination, a second host or a token URL that points inside the network or to a stranger",
    "a vendor's own https host, or one that the stack's SandboxHosts names; token URLs follow from the host",
    "G7",
)
@pytest.mark.parametrize("host", EVIL_HOSTS)
def test_a_destination_is_a_vendors_own_host_or_none(host: str) -> None:
    for vendor, name in (("capillary", "host"), ("kangaroo", "host"), ("kangaroo", "integrations_host")):
        data = copy.deepcopy(document("shopify", vendor))
        assert refused_fields(data) == set()
        data["destination"][name] = host
        assert refused_fields(data) == {f"destination.{name}"}


@pytest.mark.attack(
    "configuration",
    "the same for a platform's read API, also when the secret was written by another tool",
    "below the platform's own domains, asked again before each request",
    "G7",
)
@pytest.mark.parametrize("platform", platforms())
def test_a_platforms_api_is_read_from_its_own_host_or_not_at_all(platform: str) -> None:
    for host in EVIL_HOSTS:
        data = copy.deepcopy(document(platform))
        data["source"]["api_host"] = host
        assert "source.api_host" in refused_fields(data), host


@pytest.mark.attack(
    "configuration", "the same for a platform's read API, also when the secret was written by another tool"
)
def test_hydrate_checks_the_host_again_before_each_request(world: World) -> None:
    """A secret can be written by other tools than ours."""
    data = world.connect("bigcommerce", "kangaroo")
    data["source"]["api_host"] = "https://evil.example"
    world.stack.put_connection("shop", data)
    world.deliver(load("bigcommerce", "customer-created").signed())
    world.settle()
    (message,) = world.parked("hydrate")
    assert message["MessageAttributes"]["code"]["StringValue"] == "api_host"
    assert world.upstream() == []


@pytest.mark.attack("vendors", "a redirect to somewhere else", "never followed", "G7")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_vendors_redirect_is_not_followed(status: int, world: World) -> None:
    world.connect()
    target = {"location": f"{world.vendors.url}/kangaroo/redirected"}
    world.fault({"vendor": "capillary", "status": status, "headers": target, "body": {}})
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    assert world.upstream(vendor="kangaroo") == []
    assert "applied" not in world.outcomes()


@pytest.mark.attack(
    "vendors", "a next page on another host", "the next page is asked for by number at the same address", "G7"
)
def test_the_next_page_is_requested_from_the_same_host(world: World) -> None:
    world.connect("shopify", "kangaroo")
    page = {"data": [], "links": {"next": "http://169.254.169.254/latest/meta-data?page=2"}}
    world.fault(
        {"vendor": "kangaroo", "method": "GET", "path": "/tags", "body": {**page, "data": [{"id": 1}]}, "count": 3}
    )
    assert world.call("GET", "/tags")[0] == 200
    assert {request.headers["host"] for request in world.upstream()} == {world.vendors.url.removeprefix("http://")}


@pytest.mark.attack("senders", "a handshake that names a URL to be called", "it is never called", "G4")
def test_a_callback_that_a_handshake_names_is_not_called(world: World) -> None:
    world.connect("cloudevents")
    headers = {
        "webhook-request-origin": "till.example.com",
        "webhook-request-callback": f"{world.vendors.url}/capillary/callback",
    }
    sample = load("cloudevents", next(iter(t.fixture for t in source_module("cloudevents").topics)))
    request = type(sample.signed())(method="OPTIONS", headers=headers, query={}, body=b"")
    assert world.deliver(request)["statusCode"] in (200, 401)
    assert world.vendors.sandbox.recorder.requests == []


@pytest.mark.attack("vendors", "a proxy in the environment", "the environment is not read", "G7")
def test_a_proxy_in_the_environment_is_not_used(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    close_shared_pool()
    world.connect()
    world.deliver(load("shopify", "customers-create").signed())
    world.settle()
    assert world.outcomes() == ["applied"]
    close_shared_pool()
