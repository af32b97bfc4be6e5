"""Every error shape of the vendor becomes one vendor error with code and field names, and gives nobody's data away."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.destinations.kangaroo.errors import refuse, vendor_error
from loyalty_relay.destinations.kangaroo.redaction import excerpt, redact, texts_in
from loyalty_relay.model.errors import (
    CredentialsRefused,
    CustomerNotFound,
    InvalidCommand,
    RateLimited,
    RelayError,
    UpstreamUnavailable,
    VendorRejected,
)
from tests.destinations.kangaroo.support import answer

E1 = {"error": {"status_code": 404, "message": "Customer not found", "description": "The resource doesn't exist."}}
E1_SWAPPED = {"error": {"status_code": 400, "message": "Amount too low", "description": "Bad Request", "link": "x"}}
E2 = {"email": ["The email field is required"], "customer.id": ["The selected customer.id is invalid."]}
E3 = {"errors": {"file": ["File does not exist"]}}
E4 = {"message": "This action is unauthorized."}
E5 = {"error": "Import not found"}
E6 = {"errors": [{"status": "422", "title": "Unprocessable Content", "detail": "The triggers field is required."}]}
E6_NUMBER = {"errors": [{"status": 403, "title": "Forbidden", "detail": "No such right."}]}
E7 = {"status_code": 409, "message": "Conflict", "description": "Import has been already started"}
OAUTH = {"error": "invalid_grant", "error_description": "The refresh token is invalid.", "hint": "revoked"}


@pytest.mark.parametrize(
    ("body", "status", "shape", "code", "fields", "words"),
    [
        (E1, 404, "E1", "404", [], "Customer not found: The resource doesn't exist."),
        (E1_SWAPPED, 400, "E1", "400", [], "Amount too low: Bad Request"),
        (E2, 422, "E2", "422", ["email", "customer.id"], "the destination rejects email, customer.id"),
        (E3, 422, "E3", "422", ["file"], "the destination rejects file"),
        ({"message": "Invalid.", **E3}, 422, "E3", "422", ["file"], "the destination rejects file"),
        (E4, 403, "E4", "403", [], "This action is unauthorized."),
        (E5, 404, "E5", "404", [], "Import not found"),
        (E6, 422, "E6", "422", ["triggers"], "The triggers field is required."),
        (E6_NUMBER, 403, "E6", "403", [], "No such right."),
        (E7, 409, "E7", "409", [], "Conflict: Import has been already started"),
        (OAUTH, 400, "oauth", "invalid_grant", [], "The refresh token is invalid.: revoked"),
        ({"error": {"message": "Nope", "description": "Not now"}}, 400, "E1", "400", [], "Nope: Not now"),
    ],
)
def test_every_documented_shape_is_read(
    body: Any, status: int, shape: str, code: str, fields: list[str], words: str
) -> None:
    refusal = vendor_error(answer(status, body))

    assert refusal is not None
    assert (refusal.shape, refusal.status, refusal.code, refusal.message) == (shape, status, code, words)
    assert [problem.field for problem in refusal.problems] == fields


@pytest.mark.parametrize("body", [E1, {"errors": {"gender": ["The selected gender is invalid."]}}, E6, E7, OAUTH])
def test_a_success_that_carries_an_error_is_an_error(body: Any) -> None:
    refusal = vendor_error(answer(200, body))

    assert refusal is not None
    assert refusal.status >= 400


@pytest.mark.parametrize(
    "body",
    [
        {"data": []},
        {"data": {"id": "x"}},
        {"errors": [], "data": []},
        {"error": None, "data": {}},
        {"status_code": 202, "message": "Accepted", "description": "Queued"},
        {"id": 17},
        [],
    ],
)
def test_a_success_is_no_complaint(body: Any) -> None:
    assert vendor_error(answer(200, body)) is None


@pytest.mark.parametrize(
    ("raw", "kind", "words"),
    [
        ("<html><head><title>403 Forbidden</title></head><body>Go <b>away</b></body></html>", "text/html", "Forbidden"),
        ("", "application/json", "empty body"),
        ('{"error": {"status_c', "application/json", "cut off"),
        ("error=invalid", "application/x-www-form-urlencoded", "content type application/x-www-form-urlencoded"),
        ('{"surprise": {"first_name": "Ana", "email": "ana@example.com"}}', "application/json", "surprise"),
    ],
)
def test_a_shape_never_seen_is_permanent_and_keeps_status_and_excerpt(raw: str, kind: str, words: str) -> None:
    refused = answer(418, text=raw, kind=kind)
    refusal = vendor_error(refused)

    assert refusal is not None
    with pytest.raises(VendorRejected) as error:
        refuse(refused, refusal)
    assert error.value.code == "418"
    assert "418" in str(error.value)
    assert words in str(error.value)
    assert "Ana" not in str(error.value)
    assert "example.com" not in str(error.value)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (E4, 403, VendorRejected),
        (
            {"error": {"status_code": 403, "message": "Forbidden", "description": "Not your customer."}},
            403,
            VendorRejected,
        ),
        ({"error": "access_denied", "error_description": "denied"}, 403, CredentialsRefused),
        ({"message": "Invalid scope(s) provided."}, 403, CredentialsRefused),
        ({"message": "The access token is expired."}, 403, CredentialsRefused),
        ({"message": "Token has been revoked."}, 403, CredentialsRefused),
        (
            {"error": {"message": "Forbidden", "description": "The X-Application-Key is wrong."}},
            403,
            CredentialsRefused,
        ),
        ({"message": "Client authentication failed"}, 403, CredentialsRefused),
        ({"message": "This client belongs to another business."}, 403, VendorRejected),
        ({"message": "Reward tokens of this customer are frozen."}, 403, VendorRejected),
        ({"client": ["This client is not yours."]}, 403, InvalidCommand),
        ("<html><body>Blocked</body></html>", 403, CredentialsRefused),
        ({"error": "Unauthorized"}, 401, CredentialsRefused),
        (E2, 422, InvalidCommand),
        (E6, 422, InvalidCommand),
        (E1_SWAPPED, 400, VendorRejected),
        (E7, 409, VendorRejected),
        ({"message": "Server Error"}, 500, UpstreamUnavailable),
        ({"message": "Try later"}, 408, UpstreamUnavailable),
        ({"message": "Too Many Attempts."}, 429, RateLimited),
    ],
)
def test_the_status_decides_about_the_error(body: Any, status: int, error: type[RelayError]) -> None:
    refused = answer(status, body)
    refusal = vendor_error(refused)

    assert refusal is not None
    with pytest.raises(error):
        refuse(refused, refusal)


def test_a_rate_limit_has_its_end() -> None:
    refused = answer(429, {"message": "Too Many Attempts."}, headers={"x-ratelimit-reset": "1790000042"}, now=1.79e9)
    refusal = vendor_error(refused)

    assert refusal is not None
    with pytest.raises(RateLimited) as error:
        refuse(refused, refusal)
    assert error.value.retry_after == 42


def test_only_a_404_that_is_about_the_customer_means_that_there_is_none() -> None:
    for body, about_customer in [
        (E1, True),
        ({"error": "Customer not found"}, True),
        ({"message": "No query results for model."}, True),
        ({"message": "The route customers/1/crm-fields could not be found."}, False),
        ({"oops": 1}, False),
    ]:
        refused = answer(404, body)
        refusal = vendor_error(refused)
        assert refusal is not None
        with pytest.raises(CustomerNotFound if about_customer else VendorRejected):
            refuse(refused, refusal, customer=True)


@pytest.mark.parametrize(
    "text",
    [
        "Customer ana.gray@example.com exists",
        "Phone +1 (514) 555-0123 is taken",
        'The name "Ana Gray" is odd',
        "Token eyJhbGciOi.abc.def is bad",
        "Customer 11eb5b4433edf7bfaaffb42e99312ac8 not found",
        "Ana Gray has left",
    ],
)
def test_texts_lose_what_may_be_personal(text: str) -> None:
    refusal = redact(text, ["Ana Gray"])

    assert "…" in refusal
    for secret in ("ana.gray", "555", "Ana", "eyJ", "11eb"):
        assert secret not in refusal


def test_what_was_sent_is_not_repeated() -> None:
    sent = list(texts_in({"first_name": "Orsolya", "tags": [{"tag_name": "Gold"}], "email": "eq|o@example.com"}))

    assert redact("Orsolya and GOLD are wrong", sent) == "… and … are wrong"


def test_an_excerpt_shows_the_outline_of_json_and_none_of_its_values() -> None:
    body = {"first_name": "Ana", "list": [{"n": 1}], "ok": True, "ana@example.com": None}

    assert excerpt(answer(200, body)) == "{first_name: text, list: [{n: number}], ok: true, …: null}"


words = st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)
keys = st.sampled_from(["error", "errors", "message", "status_code", "status", "detail", "title", "email", "data"])


@given(body=st.dictionaries(keys, json_values, max_size=4) | json_values, status=st.integers(200, 599))
def test_no_body_is_a_crash(body: Any, status: int) -> None:
    refusal = vendor_error(answer(status, body))

    assert (refusal is None) <= (200 <= status < 300)
    if refusal is not None:
        with pytest.raises(RelayError):
            refuse(answer(status, body), refusal, customer=True)


@given(body=st.dictionaries(keys, st.sampled_from(["x@example.com wrote", ["x@example.com"], {"a": "x@example.com"}])))
def test_no_complaint_holds_an_address(body: Any) -> None:
    refusal = vendor_error(answer(422, body))

    assert refusal is not None
    assert "example.com" not in json.dumps([refusal.message, [p.to_dict() for p in refusal.problems]])
