"""Adobe: two kinds of signatures, one of which proves too little by itself, and what the bodies mean."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from devkit.signing._sample_keys import public_pem, signature
from loyalty_relay.connections.check import check_connection
from loyalty_relay.connections.model import WebhookSecret
from loyalty_relay.model.commands import Version
from loyalty_relay.model.errors import Untranslatable
from loyalty_relay.sources import source_module
from loyalty_relay.sources.adobe import Adobe
from loyalty_relay.sources.adobe.keys import KEEP, KeyUnavailable, PublicKeys
from loyalty_relay.sources.base import (
    CustomerChanged,
    CustomerRetired,
    NothingToDo,
    Request,
    StoreChanged,
    Unreadable,
    Verdict,
)
from tests.sources.outcome_of import Canned, outcome_of
from tests.sources.samples import NOW, Sample, connection, live, load, source
from tests.support.json_values import JSON

ADOBE = source_module("adobe")
PATH = "/prod/keys/pub-key-00000000-0000-4000-8000-000000000001.pem"
OTHER_PATH = "/prod/keys/pub-key-00000000-0000-4000-8000-000000000002.pem"
PROVIDER = "6d0c6a1e-0000-4000-8000-00000000beef"
CLIENT = "fake-adobe-client-id"


def fixture(name: str) -> Sample:
    return load("adobe", name)


def read(sample: Sample) -> Any:
    (change,) = ADOBE.read(sample.signed(), source("adobe"))
    return change


def value(sample: Sample, **members: Any) -> Sample:
    """The sample with members of ``data.value`` replaced; ``...`` removes one."""
    body = sample.json()
    changed = body["data"]["value"] | members
    body["data"]["value"] = {name: v for name, v in changed.items() if v is not ...}
    return sample.with_body(body)


def customer(**members: Any) -> Sample:
    return value(fixture("customer-updated"), **members)


def untranslatable(sample: Sample) -> str:
    with pytest.raises(Untranslatable) as caught:
        read(sample)
    return caught.value.reason


# -- I/O Events: signatures -----------------------------------------------------------------------------------------

VECTOR_BODY = b'{"event_id":"eventId1","event":{"hello":"world"},"recipient_client_id":"client_id1"}'
VECTOR_SIGNATURE = (
    "Hgq9NEIAtFItHQfHYi2x94zAaHG7088PUDLdpSTdsFjLPD+IJCrKpSf4bxNeh3vHmMqj6zUVYfFEYvgI0riJNx12b3wIMHhoa/MxQGzzCcN4GnB/LVaTm9/1"
    "LZSxKpyR34FhaaYxbN3u3dSE60zk5swjzMKUFRmFiiE6k0knjcM+e0E3f1g9kFXgy/dUIOlty4SlS3hbv1UHS/BYXakH7d0lb4mrNxHIGNuIyFRmMpbZ4KyX"
    "DJo5nCQqvW0dZKAikpavf58/S8xbYyhJTImNJaUMZYQ5m8KD6H1ME48Hr3Q+Vgte9cXrTCreK1tVqCCy/ZaQGC7Z/qPOC+D849hi9g=="
)
VECTOR_KEY = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEArGwUIIdaBSUrZq4V24cL
R3I19gel9uBBmXE3lt4oVHF0lMsHnA72cJNf/IPFYDWElM/tE4bat8p78O2ZQpus
6nzi/ISfSWprWhvTuI5sKx6CVgbRIzUM6VTIcvo8o3PK49HbgacRiUABZ1uNo7Cz
Pfmu5xAY+l2Ie1Dt8yperotKAKJmuPYeFWKGe9tzbPYgFluCy8DjPp2gGsmjsorR
/CVRJq8fWl5aTLha+ZHSTuyNY+RQhC/fZ7CHf89EdSvonyu6W7/SJmSf9DGGjmX0
HJNREqdTE9QdbSBMfNn/pa9fCGwR3yEoAZCkfVG06Xx02vOI0Q1RAkf2tGhO4bsZ
cwIDAQAB
-----END PUBLIC KEY-----"""


def vector(body: bytes = VECTOR_BODY, client: str = "client_id1") -> Verdict:
    pinned = replace(source("adobe"), options={"client_id": client, "public_keys": {PATH: VECTOR_KEY}})
    headers = {"x-adobe-digital-signature-1": VECTOR_SIGNATURE, "x-adobe-public-key1-path": PATH}
    return ADOBE.verify(Request(headers=headers, body=body), pinned, [], NOW)


def test_adobes_own_vector() -> None:
    """From the tests of Adobe's official library for I/O Events."""
    assert vector() is Verdict.AUTHENTIC
    assert vector(VECTOR_BODY.replace(b"world", b"World")) is Verdict.WRONG
    assert vector(client="client_id2") is Verdict.WRONG


def both(first: str, second: str, first_path: str = PATH, second_path: str = PATH) -> Request:
    request = fixture("customer-created").signed()
    good = request.headers["x-adobe-digital-signature-1"]
    bad = base64.b64encode(b"\1" * 256).decode()
    texts = {"good": good, "bad": bad, "malformed": "x", "none": ""}
    signed = {
        "x-adobe-digital-signature-1": texts[first],
        "x-adobe-public-key1-path": first_path,
        "x-adobe-digital-signature-2": texts[second],
        "x-adobe-public-key2-path": second_path,
    }
    return replace(request, headers={**request.headers, **signed})


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ("good", "bad", Verdict.AUTHENTIC),
        ("bad", "good", Verdict.AUTHENTIC),
        ("none", "good", Verdict.AUTHENTIC),
        ("malformed", "good", Verdict.AUTHENTIC),
        ("bad", "bad", Verdict.WRONG),
        ("bad", "malformed", Verdict.WRONG),
        ("malformed", "malformed", Verdict.MALFORMED),
        ("none", "none", Verdict.NO_SIGNATURE),
    ],
)
def test_one_valid_signature_suffices(first: str, second: str, verdict: Verdict) -> None:
    assert ADOBE.verify(both(first, second), source("adobe"), [], NOW) is verdict


@pytest.mark.parametrize("names", [("recipientclientid",), ("recipient_client_id",)])
def test_what_adobe_signs_for_somebody_else_is_not_for_us(names: tuple[str, ...]) -> None:
    """Every customer of Adobe's gets events under the same keys."""
    sample = fixture("customer-created")
    for foreign in ("somebody-else", "", None, 7, [CLIENT], {"x": CLIENT}):
        changed = sample.changed(**dict.fromkeys(names, foreign))
        assert ADOBE.verify(changed.signed(), source("adobe"), [], NOW) is Verdict.WRONG, foreign
    absent = sample.changed(recipientclientid=..., recipient_client_id=...)
    assert ADOBE.verify(absent.signed(), source("adobe"), [], NOW) is Verdict.WRONG


def test_either_spelling_of_the_client_will_do() -> None:
    for gone in ("recipientclientid", "recipient_client_id"):
        request = fixture("customer-created").changed(**{gone: ...}).signed()
        assert ADOBE.verify(request, source("adobe"), [], NOW)


def test_a_batch_is_for_us_when_every_event_is() -> None:
    sample = fixture("customers-batch")
    events = sample.json()
    assert ADOBE.verify(sample.signed(), source("adobe"), [], NOW)
    foreign = events[1] | {"recipientclientid": "x"}
    mixed: tuple[list[Any], ...] = ([events[0], foreign], [events[0], None], [], [[]])
    for broken in mixed:
        assert ADOBE.verify(sample.with_body(broken).signed(), source("adobe"), [], NOW) is Verdict.WRONG


def test_without_a_client_id_no_event_is_believed() -> None:
    bare = replace(source("adobe"), options={"public_keys": {PATH: public_pem(1)}})
    assert ADOBE.verify(fixture("customer-created").signed(), bare, [], NOW) is Verdict.WRONG


def test_a_signed_body_that_is_no_json_is_for_no_connection() -> None:
    sample = replace(fixture("customer-created"), body=b"no json")
    assert ADOBE.verify(sample.signed(), source("adobe"), [], NOW) is Verdict.WRONG


@settings(max_examples=150, deadline=None)
@given(JSON, st.sampled_from(["recipientclientid", "recipient_client_id"]), st.booleans())
def test_no_recipient_whatever_raises_or_is_us(recipient: Any, name: str, many: bool) -> None:
    assume(recipient != CLIENT)
    event = fixture("customer-created").json() | {name: recipient}
    body = json.dumps([event] if many else event).encode()
    headers = {"x-adobe-digital-signature-1": "AAAA", "x-adobe-public-key1-path": PATH}
    assert ADOBE.verify(Request(headers=headers, body=body), source("adobe"), [], NOW) is Verdict.WRONG


# -- I/O Events: keys -----------------------------------------------------------------------------------------------


class Published:
    """Adobe's host: keys by URL, or what it answers instead; and what it was asked for."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.asked: list[str] = []

    def __call__(self, url: str) -> bytes | None:
        self.asked.append(url)
        found = self.keys.get(url)
        if isinstance(found, Exception):
            raise found
        return found


URL = f"https://static.adobeioevents.com{PATH}"
UNPINNED = {"client_id": CLIENT}


def fetching(answer: Any) -> tuple[Adobe, Published]:
    published = Published()
    published.keys[URL] = answer
    return Adobe(PublicKeys(published)), published


def unpinned(**more: Any) -> Any:
    return replace(source("adobe"), options=UNPINNED, **more)


def test_a_key_is_fetched_once_a_day_from_adobes_own_host() -> None:
    adobe, published = fetching(public_pem(1).encode())
    request = fixture("customer-created").signed()
    for later in (0, 1, KEEP - 1):
        assert adobe.verify(request, unpinned(), [], NOW + later) is Verdict.AUTHENTIC
    assert published.asked == [URL]
    assert adobe.verify(request, unpinned(), [], NOW + KEEP) is Verdict.AUTHENTIC
    assert published.asked == [URL, URL]


def test_a_wrong_signature_under_a_fetched_key_is_wrong() -> None:
    adobe, _ = fetching(public_pem(2).encode())
    assert adobe.verify(fixture("customer-created").signed(), unpinned(), [], NOW) is Verdict.WRONG


@pytest.mark.parametrize(
    "answer",
    [OSError("no route"), TimeoutError(), b"<html>maintenance</html>", b"\xff", b"", public_pem(1)[:200].encode()],
)
def test_a_key_that_cannot_be_had_decides_nothing(answer: Any) -> None:
    """I/O Events drops what is answered with a 4xx, so this must not be one."""
    adobe, published = fetching(answer)
    request = fixture("customer-created").signed()
    assert adobe.verify(request, unpinned(), [], NOW) is Verdict.UNDECIDED
    published.keys[URL] = public_pem(1).encode()
    assert adobe.verify(request, unpinned(), [], NOW + 1) is Verdict.AUTHENTIC


def test_one_key_that_cannot_be_had_does_not_spoil_the_other() -> None:
    adobe, published = fetching(public_pem(1).encode())
    published.keys[URL.replace("0001.pem", "0002.pem")] = OSError("no route")
    assert adobe.verify(both("bad", "good", OTHER_PATH, PATH), unpinned(), [], NOW) is Verdict.AUTHENTIC
    assert adobe.verify(both("good", "bad", PATH, OTHER_PATH), unpinned(), [], NOW) is Verdict.AUTHENTIC
    assert adobe.verify(both("bad", "bad", PATH, OTHER_PATH), unpinned(), [], NOW) is Verdict.UNDECIDED
    assert adobe.verify(both("bad", "bad", OTHER_PATH, PATH), unpinned(), [], NOW) is Verdict.UNDECIDED


def test_a_key_that_does_not_exist_proves_nothing_and_is_fetched_again_later() -> None:
    adobe, published = fetching(None)
    request = fixture("customer-created").signed()
    for later in (0, 299, 300):
        assert adobe.verify(request, unpinned(), [], NOW + later) is Verdict.WRONG
    assert published.asked == [URL, URL]


@pytest.mark.attack(
    "senders",
    "a path in a header that names a key to be fetched (Adobe)",
    "the host is fixed, the path must look like a key's to the letter, ten fetches a minute",
    "G4",
)
@pytest.mark.parametrize(
    "path",
    [
        "",
        "@evil.example.com/prod/keys/pub-key-1.pem",
        "https://evil.example.com/prod/keys/pub-key-1.pem",
        "//evil.example.com/prod/keys/pub-key-1.pem",
        ".evil.example.com/prod/keys/pub-key-1.pem",
        "/prod/keys/../keys/pub-key-1.pem",
        "/prod/keys/pub-key-1.pem?x",
        "/prod/keys/pub-key-1.pem\n/x.pem",
        "/prod/keys/pub-key-1.pem/../../x",
        "/prod/keys/pub-key-1xpem",
        "/prod/keys/pub-key-G.pem",
        "/prod/keys/pub-key-.pem",
        "/stage/keys/pub-key-1.pem",
        f"/prod/keys/pub-key-{'0' * 65}.pem",
    ],
)
def test_a_path_that_is_not_a_keys_is_never_fetched(path: str) -> None:
    adobe, published = fetching(public_pem(1).encode())
    request = fixture("customer-created").signed()
    headers = {**request.headers, "x-adobe-public-key1-path": path}
    assert adobe.verify(replace(request, headers=headers), unpinned(), [], NOW) is Verdict.MALFORMED
    assert published.asked == []


def test_nothing_is_fetched_for_what_is_not_addressed_to_us() -> None:
    adobe, published = fetching(public_pem(1).encode())
    foreign = fixture("customer-created").changed(recipientclientid="somebody-else").signed()
    assert adobe.verify(foreign, unpinned(), [], NOW) is Verdict.WRONG
    assert published.asked == []


ANOTHER = replace(source("adobe"), options={"client_id": "another-client"})


@pytest.mark.attack(
    "senders",
    "invented key paths, to make deliveries fail (Adobe)",
    "keys and the budget of fetches are per connection; only keys that exist are kept, and their renewal "
    "has a budget of its own",
    "G4",
)
def test_invented_paths_take_no_key_and_no_fetch_from_another_connection() -> None:
    adobe, published = fetching(public_pem(1).encode())
    keys = adobe._keys
    for number in range(20):
        with contextlib.suppress(KeyUnavailable):
            keys.key(f"/prod/keys/pub-key-{number}.pem", ANOTHER, NOW)
    assert adobe.verify(fixture("customer-created").signed(), unpinned(), [], NOW) is Verdict.AUTHENTIC
    assert len(published.asked) == 11


@pytest.mark.attack("senders", "invented key paths, to make deliveries fail (Adobe)")
def test_invented_paths_neither_evict_a_key_nor_prevent_its_renewal() -> None:
    adobe, published = fetching(public_pem(1).encode())
    request = fixture("customer-created").signed()
    assert adobe.verify(request, unpinned(), [], NOW)
    for number in range(200):
        with contextlib.suppress(KeyUnavailable):
            adobe._keys.key(f"/prod/keys/pub-key-{number:x}.pem", unpinned(), NOW + number * 6)
    published.asked.clear()
    assert adobe.verify(request, unpinned(), [], NOW + 1200)
    assert published.asked == []
    for number in range(10):
        adobe._keys.key(f"/prod/keys/pub-key-f{number}.pem", unpinned(), NOW + KEEP)
    published.keys[URL] = OSError("no route")
    assert adobe.verify(request, unpinned(), [], NOW + KEEP) is Verdict.UNDECIDED
    assert adobe.verify(request, unpinned(), [], NOW + KEEP + 1) is Verdict.UNDECIDED
    assert published.asked.count(URL) == 1
    published.keys[URL] = public_pem(1).encode()
    assert adobe.verify(request, unpinned(), [], NOW + KEEP + 6) is Verdict.AUTHENTIC


@pytest.mark.attack("senders", "a path in a header that names a key to be fetched (Adobe)")
def test_strangers_cannot_make_us_fetch_without_end() -> None:
    published = Published()
    keys = PublicKeys(published)
    for number in range(10):
        assert keys.key(f"/prod/keys/pub-key-{number}.pem", unpinned(), NOW) is None
    with pytest.raises(KeyUnavailable):
        keys.key("/prod/keys/pub-key-a.pem", unpinned(), NOW + 59)
    assert len(published.asked) == 10
    assert keys.key("/prod/keys/pub-key-a.pem", unpinned(), NOW + 60) is None


def test_only_so_many_paths_without_a_key_are_remembered() -> None:
    published = Published()
    keys = PublicKeys(published)
    for number in range(65):
        keys.key(f"/prod/keys/pub-key-{number}.pem", unpinned(), NOW + number * 7)
    published.asked.clear()
    keys.key("/prod/keys/pub-key-64.pem", unpinned(), NOW + 65 * 7)
    assert published.asked == []
    keys.key("/prod/keys/pub-key-0.pem", unpinned(), NOW + 66 * 7)
    assert len(published.asked) == 1


def test_the_connections_own_copy_of_a_key_is_not_fetched() -> None:
    published = Published()
    adobe = Adobe(PublicKeys(published))
    request = fixture("customer-created").signed()
    assert adobe.verify(request, source("adobe"), [], NOW)
    broken = replace(source("adobe"), options={"client_id": CLIENT, "public_keys": {PATH: "no key"}})
    assert adobe.verify(request, broken, [], NOW) is Verdict.WRONG
    assert published.asked == []


def test_a_sandbox_may_replace_adobes_host() -> None:
    published = Published()
    published.keys[f"http://127.0.0.1:9{PATH}"] = public_pem(1).encode()
    adobe = Adobe(PublicKeys(published))
    request = fixture("customer-created").signed()
    assert adobe.verify(request, unpinned(api_host="http://127.0.0.1:9"), [], NOW)


# -- Commerce webhooks: signatures ----------------------------------------------------------------------------------


def hook(body: bytes, number: int = 1, signed: bytes | None = None) -> Request:
    made = signature(public_pem(number), base64.b64encode(body) if signed is None else signed)
    headers = {"x-adobe-commerce-webhook-signature": base64.b64encode(made).decode()}
    return Request(headers=headers, body=body, topic="plugin.magento.customer.api.customer_repository.save")


def test_a_hook_signs_the_base64_of_its_body() -> None:
    body = '{"customer":{"id":42,"firstname":"Zo\\u00eb","lastname":"M\u00fcller \\/ Exemple"}}'.encode()
    assert ADOBE.verify(hook(body), source("adobe"), live("adobe"), NOW) is Verdict.AUTHENTIC
    assert ADOBE.verify(hook(body, signed=body), source("adobe"), live("adobe"), NOW) is Verdict.WRONG
    assert ADOBE.verify(hook(body, signed=b""), source("adobe"), live("adobe"), NOW) is Verdict.WRONG
    assert ADOBE.verify(hook(body, 2), source("adobe"), live("adobe"), NOW) is Verdict.WRONG
    assert ADOBE.verify(hook(body, 2), source("adobe"), [*live("adobe"), public_pem(2)], NOW) is Verdict.AUTHENTIC


def test_a_hook_is_not_believed_under_adobes_keys_nor_an_event_under_the_shops() -> None:
    only_events = replace(source("adobe"), secrets=())
    assert ADOBE.verify(hook(b"{}"), only_events, [], NOW) is Verdict.WRONG
    only_hooks = replace(source("adobe"), options={})
    assert not ADOBE.verify(fixture("customer-created").signed(), only_hooks, live("adobe"), NOW)


@pytest.mark.parametrize("text", ["x", "====", "é", "A" * 3000, "\ud800"])
def test_a_malformed_hook_signature(text: str) -> None:
    request = Request(headers={"x-adobe-commerce-webhook-signature": text}, body=b"{}")
    assert ADOBE.verify(request, source("adobe"), live("adobe"), NOW) is Verdict.MALFORMED


def test_a_secret_that_is_no_key_is_passed_over() -> None:
    assert ADOBE.verify(hook(b"{}"), source("adobe"), ["fake-secret", public_pem(1)], NOW)


def test_a_hook_gets_an_operation_and_an_event_with_nothing() -> None:
    for name in ("webhook-customer-saved", "webhook-customer-deleted"):
        reply = ADOBE.accepted(fixture(name).signed())
        assert (reply.status, json.loads(reply.body)) == (200, {"op": "success"})
        assert reply.headers["content-type"] == "application/json"
    assert ADOBE.accepted(fixture("customer-created").signed()).body == ""


@pytest.mark.attack(
    "senders",
    "a signed address, sent again as a customer or the other way (Adobe Commerce)",
    "the members that only an address has must fit the topic in the path",
    "G4",
)
def test_a_signed_address_is_no_customer_and_a_customer_no_address() -> None:
    address, customer = fixture("webhook-address-saved"), fixture("webhook-customer-saved")
    flat = address.with_body(address.json()["address"])
    for sample, topic in (
        (address, "plugin.magento.customer.api.customer_repository.save"),
        (flat, "plugin.magento.customer.api.customer_repository.save"),
        (flat, "observer.customer_save_after"),
        (customer, "plugin.magento.customer.api.address_repository.save"),
    ):
        with pytest.raises(Untranslatable) as refused:
            ADOBE.read(replace(sample.signed(), topic=topic), source("adobe"))
        assert refused.value.reason in ("topic_mismatch", "no_id")


# -- handshakes -----------------------------------------------------------------------------------------------------


def test_the_challenge_is_echoed() -> None:
    reply = ADOBE.handshake(fixture("challenge").unsigned(), source("adobe"))
    assert reply is not None
    assert json.loads(reply.body) == {"challenge": "8ec8d794-e0ab-42df-9017-e3dada8e84f7"}
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize("challenge", ["", "<script>", 'a"b', "a\nb", "x" * 129, "é"])
def test_no_text_of_somebody_elses_making_is_echoed(challenge: str) -> None:
    request = Request(method="GET", query={"challenge": challenge})
    assert ADOBE.handshake(request, source("adobe")) is None


def test_a_post_is_no_challenge_and_a_hooks_connection_has_none() -> None:
    request = Request(method="POST", query={"challenge": "abc"})
    assert ADOBE.handshake(request, source("adobe")) is None
    only_hooks = replace(source("adobe"), options={})
    assert ADOBE.handshake(replace(request, method="GET"), only_hooks) is None


def test_a_validation_url_of_adobes_is_logged_for_an_operator_and_never_followed() -> None:
    reply = ADOBE.handshake(fixture("validation-url").unsigned(), source("adobe"))
    assert reply is not None
    assert reply.note["where"].startswith("https://csm.adobe.io/csm/registrations/validate?id=")


@pytest.mark.attack(
    "senders",
    "a validation URL that a browser reads as another host's (Adobe)",
    "only the one form that every reader takes alike: no user, port, backslash or blank",
)
@pytest.mark.parametrize(
    "url",
    [
        "http://csm.adobe.io/x",
        "https://adobe.io.example.com/x",
        "https://evil.example.com/?csm.adobe.io",
        "https://csm.adobe.io@evil.example.com/",
        "https://notadobe.io/",
        "https://[::1",
        "https://csm.adobe.io/\u00e9",
        "https://csm.adobe.io/\nx",
        "https://evil.example\\@csm.adobe.io/x",
        "https://evil.example\\.adobe.io/x",
        "https://csm.adobe.io\\@evil.example/x",
        "https://evil.example#@csm.adobe.io/x",
        "https://csm.adobe.io:444/x",
        "https://user@csm.adobe.io/x",
        " https://csm.adobe.io/x",
        "https:/csm.adobe.io/x",
        "https://csm.adobe.io./x",
        None,
        7,
        ["https://csm.adobe.io/x"],
    ],
)
def test_anybody_elses_url_is_no_handshake(url: Any) -> None:
    body = json.dumps({"validationUrl": url}).encode()
    assert ADOBE.handshake(Request(body=body), source("adobe")) is None


# -- what each topic becomes ----------------------------------------------------------------------------------------

MAIL = {"email": "zoe.mueller@example.com"}
BOTH = {"email": "zoe.mueller@example.com", "mobile": "01 99 00 12 34"}
PERSON = {"email": "zoe.mueller@example.com", "first_name": "Zoë", "last_name": "Müller", "birthday": "1990-05-17"}
ADDRESS = {
    "phone": "01 99 00 12 34",
    "address": "12 Rue de l’Exemple, Bât. B, Paris, Île-de-France",
    "postal_code": "75011",
    "country": "FR",
}
CREATED = PERSON | {"gender": "female", "subscriptions.email.bulk": True} | ADDRESS
REGISTERED = PERSON | {"gender": "female", "subscriptions.email.bulk": True}
UPDATED = PERSON | {
    "last_name": "Müller-Exemple",
    "birthday": None,
    "gender": None,
    "subscriptions.email.bulk": False,
}
MOVED = {
    "phone": "01 99 00 56 78",
    "address": "3 Place du Modèle, 2e étage, Lyon, Auvergne-Rhône-Alpes",
    "postal_code": "69001",
    "country": "FR",
}
SAVED = {"email": "zoe.mueller@example.com", "first_name": "Zoë"}
HOOKED = PERSON | {"gender": "female"} | ADDRESS
BATCH = (MAIL, {"email": "jose.nunez@example.org", "first_name": "José"})
JOSE = {"email": "jose.nunez@example.org"}


def changes(kind: str, who: dict[str, str], fields: dict[str, Any]) -> tuple[list[Canned], list[Canned]]:
    return [(kind, "42", who, fields)], [("patch_crm_fields", "42", who, fields)]


def same(*outcome: Any) -> tuple[list[Canned], list[Canned]]:
    return [tuple(outcome)], [tuple(outcome)]


EXPECTED: dict[str, tuple[list[Canned], list[Canned]]] = {
    "customer-created": changes("register_customer", BOTH, CREATED),
    "customer-updated": changes("update_customer", MAIL, UPDATED),
    "customers-batch": (
        [("update_customer", "42", MAIL, BATCH[0]), ("update_customer", "9007199254740993", JOSE, BATCH[1])],
        [("patch_crm_fields", "42", MAIL, BATCH[0]), ("patch_crm_fields", "9007199254740993", JOSE, BATCH[1])],
    ),
    "customer-saved": changes("update_customer", MAIL, SAVED),
    "customer-registered": changes("register_customer", MAIL, REGISTERED),
    "customer-deleted": same("retire_customer", "42", "deleted", None),
    "customer-login": same("ignored", "topic_not_used"),
    "address-saved": changes("update_customer", {"mobile": "01 99 00 56 78"}, MOVED),
    "store-saved": (
        [("ignored", "no_stores_at_capillary")],
        [("link_store", "1", PROVIDER, "Exemple Paris", None)],
    ),
    "store-group-saved": same("ignored", "topic_not_used"),
    "store-group-deleted": same("ignored", "topic_not_used"),
    "webhook-customer-saved": changes("update_customer", BOTH, HOOKED),
    "webhook-customer-deleted": same("retire_customer", "42", "deleted", None),
    "webhook-address-saved": changes("update_customer", {"mobile": "01 99 00 12 34"}, ADDRESS),
} | {topic.fixture: same("ignored", "sales_not_enabled") for topic in ADOBE.topics if topic.becomes == "transaction"}


@pytest.mark.parametrize("name", [topic.fixture for topic in ADOBE.topics if topic.becomes != "handshake"])
def test_each_topic_becomes_these_commands(name: str) -> None:
    for vendor, expected in zip(("capillary", "kangaroo"), EXPECTED[name], strict=True):
        assert outcome_of(fixture(name), connection("adobe", vendor)) == expected, vendor


@pytest.mark.parametrize("kind", ["com.adobe.commerce.observer.catalog_product_save_commit_after", "com.example.other"])
def test_an_unknown_topic_is_ignored(kind: str) -> None:
    assert read(fixture("customer-created").changed(type=kind)).reason == "topic_not_used"
    unknown = replace(fixture("webhook-customer-saved"), topic="observer.sales_quote_add_item")
    assert read(unknown).reason == "topic_not_used"


def test_cloud_service_names_are_the_same_topics() -> None:
    sample = fixture("webhook-customer-saved")
    renamed = replace(sample, topic="plugin.customer.api.customer_repository.save")
    assert read(renamed) == read(sample)


# -- batches --------------------------------------------------------------------------------------------------------


def test_what_is_wrong_with_one_event_of_a_batch_holds_up_no_other() -> None:
    sample = fixture("customers-batch")
    good, broken = sample.json()
    broken["data"]["value"] = {"message": "error"}
    changes = ADOBE.read(sample.with_body([good, broken, 7, good | {"type": None}, good]).signed(), source("adobe"))
    assert [type(change) for change in changes] == [
        CustomerChanged,
        Unreadable,
        Unreadable,
        Unreadable,
        CustomerChanged,
    ]
    reasons = [change.problem.reason for change in changes if isinstance(change, Unreadable)]
    assert reasons == ["no_id", "not_an_object", "no_topic"]
    assert len({change.event.id for change in changes if isinstance(change, Unreadable)}) == 3


def test_each_event_of_a_batch_keeps_its_own_identity_wherever_it_is() -> None:
    sample = fixture("customers-batch")
    there = ADOBE.read(sample.signed(), source("adobe"))
    back = ADOBE.read(sample.with_body(sample.json()[::-1]).signed(), source("adobe"))
    assert there == back[::-1]
    assert there[0].event.id != there[1].event.id


# -- events, versions -----------------------------------------------------------------------------------------------


def test_a_copy_of_an_event_is_the_same_event_and_another_is_not() -> None:
    sample = fixture("customer-updated")
    change = read(sample).event
    assert change.id == sample.json()["eventid"]
    assert change.time == "2026-03-02T10:30:03.100000Z"
    assert read(sample.with_headers(x_adobe_retry_count="3", x_adobe_delivery_id="x")).event == change
    assert read(sample.changed(eventid="another", event_id=...)).event.id == "another"
    assert read(sample.changed(eventid=...)).event.id == change.id
    assert read(sample.changed(eventid=..., event_id=...)).event.id == sample.json()["id"]
    bare = read(sample.changed(eventid=..., event_id=..., id=...)).event.id
    assert len(bare) == 64


def test_a_hook_is_known_by_its_body() -> None:
    sample = fixture("webhook-customer-saved")
    first = read(sample).event.id
    assert read(sample.with_headers(x_request_id="2")).event.id == first
    body = sample.json()
    body["customer"]["firstname"] = "Zoé"
    assert read(sample.with_body(body)).event.id != first


def test_customers_are_ordered_by_their_last_change_which_is_utc() -> None:
    change = read(fixture("customer-updated"))
    assert change.version == Version(
        "adobe", "2026-03-02T10:30:00.000000Z", "2026-03-02T10:30:03.100000Z", change.event.id
    )
    change = read(customer(updated_at=...)).version
    assert change.value == "2026-03-02T10:30:03.100000Z"
    assert read(customer(updated_at="soon")).version.value == "2026-03-02T10:30:03.100000Z"
    assert read(customer(updated_at=...).changed(time=None)).version is None


def test_a_deletion_is_newer_than_every_change_before_it() -> None:
    deleted, updated = read(fixture("customer-deleted")), read(fixture("customer-updated"))
    assert isinstance(deleted, CustomerRetired)
    assert updated.version.older_than(deleted.version)
    assert read(fixture("webhook-customer-deleted")).version is None


@pytest.mark.parametrize(
    ("members", "created"),
    [
        ({"created_at": "2026-03-02 10:30:00"}, True),
        ({"created_at": ..., "updated_at": ...}, False),
        ({"created_at": None, "updated_at": None}, False),
        ({"_isNew": True}, True),
        ({"_isNew": "1"}, False),
    ],
)
def test_a_new_customer_is_as_old_as_their_last_change(members: dict[str, Any], created: bool) -> None:
    assert read(customer(**members)).created is created


# -- fields ---------------------------------------------------------------------------------------------------------


def test_absent_means_unchanged_and_null_or_empty_means_none() -> None:
    assert "first_name" not in read(customer(firstname=...)).fields
    for empty in (None, "", " "):
        assert read(customer(firstname=empty)).fields["first_name"] is None
    bare = read(customer(email=..., firstname=..., lastname=..., dob=..., gender=..., extension_attributes=...))
    assert bare.fields == {}
    assert outcome_of(
        customer(email=..., firstname=..., lastname=..., dob=..., gender=..., extension_attributes=...),
        connection("adobe"),
    ) == [("ignored", "nothing_mapped")]


@pytest.mark.parametrize("broken", [{"email": {}}, {"firstname": []}, {"dob": True}, {"addresses": "x"}])
def test_a_field_of_another_kind_is_parked(broken: dict[str, Any]) -> None:
    assert untranslatable(customer(**broken)) == "bad_field"


@pytest.mark.parametrize(
    ("raw", "gender"), [(1, "male"), (2, "female"), ("2", "female"), (3, None), (None, None), ("", None), (0, None)]
)
def test_genders_are_numbers(raw: Any, gender: str | None) -> None:
    assert read(customer(gender=raw)).fields["gender"] == gender


@pytest.mark.parametrize(("raw", "opted"), [(True, True), (False, False), (1, True), ("0", False), (0, False)])
def test_newsletter_subscribers(raw: Any, opted: bool) -> None:
    assert read(customer(extension_attributes={"is_subscribed": raw})).fields["subscriptions.email.bulk"] is opted
    flat = customer(extension_attributes=..., is_subscribed=raw)
    assert read(flat).fields["subscriptions.email.bulk"] is opted


@pytest.mark.parametrize("raw", [None, "yes", [], {}, 2])
def test_nothing_else_opts_in_or_out(raw: Any) -> None:
    assert "subscriptions.email.bulk" not in read(customer(extension_attributes={"is_subscribed": raw})).fields


def addressed(*addresses: dict[str, Any], **members: Any) -> dict[str, Any]:
    fields: dict[str, Any] = read(customer(addresses=list(addresses), **members)).fields
    return {name: v for name, v in fields.items() if name in ("phone", "address", "postal_code", "country")}


def test_the_phone_number_is_that_of_the_main_address() -> None:
    one, two, three = ({"id": n, "telephone": f"0199000{n}"} for n in (1, 2, 3))
    assert addressed(one, two | {"default_billing": True}, three) == {"phone": "01990002"}
    assert addressed(one, two, three, default_billing="3") == {"phone": "01990003"}
    assert addressed(one, two | {"default_shipping": True}, three) == {"phone": "01990002"}
    assert addressed(one | {"default_shipping": True}, two, default_billing="2") == {"phone": "01990002"}
    assert addressed(one, two, three) == {"phone": "01990001"}
    assert addressed({"id": 1, "telephone": ""}) == {"phone": None}
    assert addressed({"id": 1}) == {}
    assert addressed() == {}
    assert read(customer(addresses=None)).fields == read(customer()).fields


def test_only_the_main_address_is_the_customers() -> None:
    other = read(value(fixture("address-saved"), is_default_billing=False))
    assert (other.event.entity_id, other.reason) == ("42", "not_the_main_address")


# -- who is meant, and where ----------------------------------------------------------------------------------------


def test_large_numbers_keep_every_digit() -> None:
    assert read(customer(id=9007199254740993)).source_id == "9007199254740993"


@pytest.mark.parametrize("broken", [None, "", {}, True, ...])
def test_an_entity_without_an_id_is_parked(broken: Any) -> None:
    assert untranslatable(customer(id=broken)) == "no_id"


def test_an_error_in_place_of_the_value_is_parked() -> None:
    sample = fixture("customer-updated")
    assert untranslatable(sample.changed(data={"error": {"code": 500}})) == "no_id"
    assert untranslatable(sample.changed(data=None)) == "no_id"
    assert untranslatable(sample.changed(type="")) == "no_topic"
    assert untranslatable(sample.with_body("text")) == "not_an_object"


def test_other_store_views_are_not_connected() -> None:
    for elsewhere in (customer(store_id=2), value(fixture("customer-deleted"), store_id=2)):
        assert read(elsewhere).reason == "store_not_connected"
    assert read(value(fixture("store-saved"), store_id="2")).reason == "store_not_connected"
    assert isinstance(read(customer(store_id="1")), CustomerChanged)
    everywhere = replace(source("adobe"), stores=())
    (change,) = ADOBE.read(customer(store_id=2).signed(), everywhere)
    assert isinstance(change, CustomerChanged)
    assert change.store == "2"


def test_where_it_happened_replaces_the_customers_store_view_but_not_in_the_admin() -> None:
    def happened(where: str) -> Any:
        sample = customer(store_id=...)
        body = sample.json()
        body["data"]["_metadata"]["storeId"] = where
        return read(sample.with_body(body))

    assert happened("1").store == "1"
    assert happened("2").reason == "store_not_connected"
    assert happened("0").store is None
    assert isinstance(happened("0"), CustomerChanged)


def test_another_shop_of_the_same_client_is_not_connected() -> None:
    sample = fixture("customer-created").changed(source="urn:uuid:another")
    assert read(sample).reason == "store_not_connected"
    any_provider = replace(source("adobe"), options={"client_id": CLIENT})
    (change,) = ADOBE.read(sample.signed(), any_provider)
    assert isinstance(change, CustomerChanged)


def test_a_closed_store_view_is_not_linked() -> None:
    assert read(value(fixture("store-saved"), is_active="0")).reason == "location_closed"
    assert isinstance(read(value(fixture("store-saved"), is_active=...)), StoreChanged)


# -- Commerce webhooks: bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap", [lambda c: c, lambda c: {"data": {"customer": c}}, lambda c: {"result": c, "customer": {}}]
)
def test_the_customer_is_found_wherever_a_merchant_puts_it(wrap: Any) -> None:
    sample = fixture("webhook-customer-saved")
    entity = sample.json()["customer"]
    assert read(sample.with_body(wrap(entity))).source_id == "42"


def test_a_hook_needs_its_topic_in_the_path() -> None:
    assert untranslatable(replace(fixture("webhook-customer-saved"), topic=None)) == "no_topic"


def test_a_saved_customer_cannot_be_replayed_as_a_deletion() -> None:
    saved, deleted = fixture("webhook-customer-saved"), fixture("webhook-customer-deleted")
    assert untranslatable(replace(saved, topic=deleted.topic)) == "topic_mismatch"
    assert untranslatable(replace(deleted, topic=saved.topic)) == "topic_mismatch"


# -- connections ----------------------------------------------------------------------------------------------------


def problems(**members: Any) -> dict[str, str]:
    good = connection("adobe")
    return {p.field: p.message for p in check_connection(replace(good, source=replace(good.source, **members)))}


def test_what_is_wrong_with_a_connection_is_reported_by_name() -> None:
    assert "source.options.client_id" in problems(options={}, secrets=())
    assert problems(options={}) == {}
    assert problems(options={"client_id": "fake-id"}, secrets=()) == {}
    assert "source.options.clientid" in problems(options={"clientid": "x"})
    assert "source.options.client_id" in problems(options={"client_id": 7})
    assert "source.options.client_id" in problems(options={"client_id": " "})
    assert "source.options.public_keys" in problems(options={"public_keys": [public_pem(1)]})
    assert "source.options.public_keys.key.pem" in problems(options={"public_keys": {"key.pem": public_pem(1)}})
    assert "PEM" in problems(options={"public_keys": {PATH: "x"}})[f"source.options.public_keys.{PATH}"]
    assert "PEM" in problems(options={"public_keys": {PATH: 7}})[f"source.options.public_keys.{PATH}"]
    assert "PEM" in problems(secrets=(WebhookSecret("fake-secret"),))["source.secrets.0.value"]


def test_a_change_of_topic_by_header_changes_nothing() -> None:
    sample = fixture("customer-updated").with_headers(x_adobe_event_code="com.adobe.commerce.observer.customer_delete")
    assert isinstance(read(sample), CustomerChanged)
    assert not isinstance(read(sample), NothingToDo)
