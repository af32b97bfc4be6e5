"""Every way in which Capillary refuses a request, whatever its HTTP status is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.destinations.capillary.errors import MergedAway, named_id, read_v2
from loyalty_relay.destinations.capillary.redaction import redact
from loyalty_relay.model.commands import Credits, Enrollment
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    CredentialsRefused,
    CustomerErased,
    CustomerExists,
    CustomerNotFound,
    InvalidCommand,
    PermanentError,
    RateLimited,
    RelayError,
    TransientError,
    UpstreamTimeout,
    UpstreamUnavailable,
    VendorRejected,
)
from tests.destinations.capillary.upstream import ANA, Canned, answer, deadline, register, reply, update
from tests.support.limiters import NullLimiter

STATUSES = (200, 400, 404, 500)


def errors(code: object, message: str = "Refused") -> dict[str, Any]:
    return {"errors": [{"status": False, "code": code, "message": message}]}


def refused(*answers: httpx.Response) -> RelayError:
    with pytest.raises(RelayError) as caught:
        Canned(*answers).crm().register(register(ANA), {"first_name": "Ana"}, deadline())
    return caught.value


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (8015, CustomerNotFound),
        (8009, CustomerNotFound),
        (8065, CustomerNotFound),
        (1011, CustomerNotFound),
        (1012, CustomerNotFound),
        (8006, CustomerExists),
        (8028, CustomerExists),
        (8026, CustomerErased),
        (8067, MergedAway),
        (8069, MergedAway),
        (521, UpstreamUnavailable),
        (461, UpstreamUnavailable),
        (503, UpstreamUnavailable),
        (4001, UpstreamUnavailable),
        (500, UpstreamUnavailable),
        (429, RateLimited),
        (401, CredentialsRefused),
        (498, CredentialsRefused),
        (403, CredentialsRefused),
        (4000, CredentialsRefused),
        (3217, VendorRejected),
        (8003, VendorRejected),
        (8045, VendorRejected),
        (8053, VendorRejected),
        (8066, VendorRejected),
        (8074, VendorRejected),
        (8014, InvalidCommand),
        (8017, InvalidCommand),
        (8018, InvalidCommand),
        (8086, InvalidCommand),
        (8005, InvalidCommand),
        (1006, InvalidCommand),
        (777777, VendorRejected),
        ("8015", CustomerNotFound),
        (8015.0, CustomerNotFound),
    ],
)
def test_a_code_is_one_typed_error_under_any_status(code: Any, kind: type[RelayError], status: int) -> None:
    error = refused(answer(errors(code), status))
    assert type(error) is kind
    assert error.code == str(code).removesuffix(".0")
    assert error.request_id == "0123456789abc"


def test_an_existing_customers_id_is_read_from_the_text() -> None:
    text = "Add failed, Customer already exists with id 600000123 for same source"
    error = refused(answer(errors(8006, text), 400))
    assert isinstance(error, CustomerExists)
    assert error.loyalty_id == "600000123"
    assert "600000123" not in str(error)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Customer already exists with id 600000123 for same source", "600000123"),
        ("Merge is already done with customer 600000124", "600000124"),
        ("Merging with {600000125}", "600000125"),
        ("Customer already exists for same source.", None),
        ("Customer already exists with id 0", None),
        ("Multiple actions, wait 30 seconds", None),
        (None, None),
    ],
)
def test_only_a_member_id_is_taken_for_one(text: str | None, found: str | None) -> None:
    assert named_id(text) == found


@pytest.mark.parametrize(
    ("code", "field"),
    [
        (8014, "identifiers"),
        (8017, "registered_on"),
        (8018, "loyalty_type"),
        (8086, "status_label"),
        (1006, "phone"),
        (3217, "destination.source"),
        (8003, "destination.source"),
    ],
)
def test_a_refusal_that_is_about_a_field_names_it(code: int, field: str) -> None:
    error = refused(answer(errors(code, "Not this way"), 400))
    assert isinstance(error, PermanentError)
    assert [(p.field, p.message) for p in error.problems] == [(field, "Not this way")]


def test_a_403_for_a_missing_mandatory_field_is_the_commands_fault() -> None:
    error = refused(answer(errors(403, "Mandatory field is missing"), 403))
    assert isinstance(error, VendorRejected)


def test_of_several_errors_the_one_that_decides_is_raised() -> None:
    both = {"errors": [*errors(8014)["errors"], *errors(521)["errors"]]}
    assert isinstance(refused(answer(both, 400)), UpstreamUnavailable)
    both = {"errors": [*errors(521)["errors"], *errors(4000)["errors"]]}
    assert isinstance(refused(answer(both, 400)), CredentialsRefused)


@pytest.mark.parametrize(
    "body",
    [
        {"error": [{"code": 8014, "message": "Invalid", "status": False}]},
        {"errors": {"code": 8014, "message": "Invalid"}},
        {"success": False, "code": 8014, "message": "Invalid"},
        {"errorCode": 8014, "errorMessage": "Invalid"},
        {"data": None, "errors": [{"code": 8014, "message": "Invalid"}]},
        {"warnings": [], "createdId": 5, "errors": [{"message": "Invalid", "code": 8014, "status": False}]},
    ],
)
def test_errors_are_found_in_each_form_of_the_envelope(body: dict[str, Any]) -> None:
    error = refused(answer(body))
    assert (type(error), error.code) == (InvalidCommand, "8014")


@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_success_in_the_body_is_a_success_under_any_status(status: int) -> None:
    receipt = Canned(answer({"createdId": 7, "warnings": []}, status)).crm().register(register(ANA), {}, deadline())
    assert receipt.loyalty_id == "7"


@pytest.mark.parametrize("empty", [[], None, {}])
def test_an_empty_errors_member_is_no_error(empty: Any) -> None:
    receipt = Canned(answer({"createdId": 7, "errors": empty})).crm().register(register(ANA), {}, deadline())
    assert receipt.loyalty_id == "7"


@pytest.mark.parametrize("status", [401, 498])
def test_a_refused_till_is_not_tried_again(status: int) -> None:
    upstream = Canned(answer(errors(401), status))
    with pytest.raises(CredentialsRefused):
        upstream.crm().register(register(ANA), {}, deadline())
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"response": {"status": {"success": "true", "code": "401", "message": "Unauthorized"}, "customers": None}},
        {"response": {"status": {"code": 403, "message": "Client doesn't have access", "success": False}}},
        {"message": "Forbidden"},
        b"<html><body>Forbidden</body></html>",
        b"",
    ],
)
def test_a_403_is_about_credentials_in_every_form(body: Any) -> None:
    assert isinstance(refused(answer(body, 403)), CredentialsRefused)


def test_the_access_denied_text_that_is_no_json_is_understood() -> None:
    text = b"errorCode=4000, errorMessage=Not authorized. Access is denied!"
    error = refused(answer(text, 403, kind="text/plain"))
    assert (type(error), error.code) == (CredentialsRefused, "4000")


# Broken answers


@pytest.mark.parametrize("status", [200, 201, 302])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<!DOCTYPE html><html><title>Sign in</title></html>", "text/html"),
        (b'{"createdId": 60000', "application/json"),
        (b"<response><status/></response>", "application/xml"),
        (b"\x00\xff\xfe", "application/octet-stream"),
    ],
)
def test_an_unreadable_success_is_tried_again_later(status: int, body: bytes, kind: str) -> None:
    error = refused(answer(body, status, kind=kind))
    assert isinstance(error, UpstreamUnavailable)
    assert error.reached is True


@pytest.mark.parametrize(("status", "body"), [(200, b""), (200, b"{}"), (200, b"null"), (202, b""), (204, b"")])
def test_a_registration_with_an_empty_response_is_read_back(status: int, body: bytes) -> None:
    upstream = Canned(answer(body, status), answer({"entity": 7}))
    assert upstream.crm().register(register(ANA), {}, deadline()).loyalty_id == "7"
    absent = {"errors": [{"status": False, "code": 8015, "message": "Customer not found"}]}
    with pytest.raises(UpstreamUnavailable) as caught:
        Canned(answer(body, status), answer(absent)).crm().register(register(ANA), {}, deadline())
    assert caught.value.reached is True


def test_a_place_that_the_command_named_is_blamed_as_the_commands() -> None:
    wrong = answer({"errors": [{"status": False, "code": 3217, "message": "Invalid source account identifier"}]})
    for options, blamed in (({}, "destination.account_id"), ({"account_id": "a-1"}, "options.account_id")):
        with pytest.raises(VendorRejected) as caught:
            Canned(wrong).crm().register(replace(register(ANA), options=options), {}, deadline())
        assert [problem.field for problem in caught.value.problems] == [blamed]


def test_an_unreadable_answer_to_a_lookup_had_no_effect() -> None:
    with pytest.raises(UpstreamUnavailable) as caught:
        Canned(answer(b"")).crm().find(register(ANA).customer, deadline())
    assert caught.value.reached is False


@pytest.mark.parametrize(
    ("status", "kind"), [(502, UpstreamUnavailable), (429, RateLimited), (408, UpstreamUnavailable)]
)
@pytest.mark.parametrize(
    "body", [b"<html>Bad Gateway</html>", b"", b'{"unheard": "of"}', b"[]", b'{"error": "try later"}']
)
def test_passing_statuses_pass_whatever_the_body_is(status: int, kind: type[RelayError], body: bytes) -> None:
    assert type(refused(answer(body, status, kind=""))) is kind


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"true",
        b"12",
        b'"text"',
        b'{"createdId": null}',
        b'{"response": []}',
        b'{"response": {"status": "bad"}}',
        b'{"errors": [[]], "x": 1}',
        b'{"warnings": 4}',
    ],
)
@pytest.mark.parametrize("status", [200, 404, 422])
def test_a_shape_never_seen_before_is_a_permanent_error_and_not_a_crash(status: int, body: bytes) -> None:
    error = refused(answer(body, status))
    assert isinstance(error, VendorRejected)
    assert error.code == str(status)


def test_an_html_page_with_a_lasting_status_is_a_permanent_error_with_its_words() -> None:
    error = refused(answer(b"<html><style>x{}</style><h1>No such page</h1></html>", 404, kind="text/html"))
    assert isinstance(error, VendorRejected)
    assert "404" in str(error)
    assert "No such page" in str(error)
    assert "<" not in str(error)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "errors",
                        "error",
                        "response",
                        "status",
                        "code",
                        "message",
                        "createdId",
                        "warnings",
                        "success",
                        "customers",
                        "errorCode",
                    ]
                )
                | st.text(max_size=4),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(STATUSES),
)
def test_no_json_at_all_can_crash_the_reading(body: Any, status: int) -> None:
    with suppress(RelayError):
        assert read_v2(reply(body, status), "createdId")["createdId"] is not None


# What is reply about it


def test_a_vendors_text_is_repeated_without_what_was_sent_and_without_personal_data() -> None:
    text = "Invalid value 'Ana' for ana@example.com / other@example.org, mobile +44 7700 900123 (id 600000001)"
    error = refused(answer(errors(8074, text), 400))
    for secret in ("Ana", "ana@", "other@", "7700", "600000001"):
        assert secret not in str(error)
    assert "Invalid value" in str(error)


def test_an_echoed_item_of_an_unknown_shape_is_not_repeated() -> None:
    error = refused(answer({"item": {"firstname": "Ana", "email": "ana@example.com", "message": "odd"}}, 400))
    assert "Ana" not in str(error)
    assert "ana@" not in str(error)
    assert "firstname" in str(error)
    assert "odd" in str(error)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("code 8015: not found", "code 8015: not found"),
        ("call 07700 900123 now", "call [number] now"),
        ("<a@b.example>", "<[email]>"),
        ("a" * 500, "a" * 200),
        ("two\n lines", "two lines"),
    ],
)
def test_redaction_keeps_what_explains(text: str, kept: str) -> None:
    assert redact(text) == kept


# Limits and connections


class Watching(NullLimiter):
    def __init__(self) -> None:
        self.acquired: list[str] = []
        self.penalties: list[tuple[str, float | None]] = []

    def acquire(self, api: str, deadline: Deadline) -> None:
        self.acquired.append(api)

    def penalise(self, api: str, retry_after: float | None) -> None:
        self.penalties.append((api, retry_after))


def test_a_limit_that_is_only_in_the_body_is_reported_to_the_limiter_once() -> None:
    limiter = Watching()
    with pytest.raises(RateLimited) as caught:
        Canned(answer(errors(429), 200, retry_after="9")).crm(limiter).register(register(ANA), {}, deadline())
    assert limiter.penalties == [("v2-create", 9.0)]
    assert (caught.value.retry_after, caught.value.reached) == (9.0, False)


def test_a_limit_by_status_is_reported_once_as_well() -> None:
    limiter = Watching()
    with pytest.raises(RateLimited):
        Canned(answer(errors(429), 429, retry_after="9")).crm(limiter).register(register(ANA), {}, deadline())
    assert limiter.penalties == [("v2-create", 9.0)]


def test_requests_count_against_the_limits_that_connections_name() -> None:
    limiter = Watching()
    v1 = {"response": {"customers": {"customer": {"user_id": 1, "item_status": {"success": True, "code": 1000}}}}}
    crm = Canned(answer({"createdId": 1}), answer({"createdId": 1}), answer(v1)).crm(limiter)
    crm.register(register(ANA), {}, deadline())
    crm.update("1", update(loyalty_id="1"), {"first_name": "A"}, deadline(), changed=frozenset())
    crm.update(None, update(ANA), {"first_name": "A"}, deadline(), changed=frozenset())
    assert limiter.acquired == ["v2-create", "v2-update", "v1-update"]


def test_a_registration_is_never_sent_twice_over_a_broken_connection() -> None:
    upstream = Canned(httpx.ReadError("gone"))
    with pytest.raises(UpstreamUnavailable) as caught:
        upstream.crm().register(register(ANA), {}, deadline())
    assert caught.value.reached is True
    assert len(upstream.requests) == 1


def test_an_update_of_state_is_sent_again_over_a_fresh_connection() -> None:
    upstream = Canned(httpx.ReadError("gone"), answer({"createdId": 5}))
    upstream.crm().update("5", update(loyalty_id="5"), {"first_name": "A"}, deadline(), changed=frozenset())
    assert upstream.seen() == [("PUT", "/v2/customers/5")] * 2


def test_an_update_that_credits_is_not() -> None:
    upstream = Canned(httpx.ReadError("gone"))
    command = update(loyalty_id="5", credits=Credits(enrollments=(Enrollment(program_id=1, loyalty_points=5),)))
    with pytest.raises(UpstreamUnavailable):
        upstream.crm().update("5", command, {}, deadline(), changed=frozenset())
    assert len(upstream.requests) == 1


def test_a_time_out_of_a_write_may_have_had_its_effect() -> None:
    with pytest.raises(UpstreamTimeout) as caught:
        Canned(httpx.ReadTimeout("late")).crm().register(register(ANA), {}, deadline())
    assert caught.value.reached is True


def test_a_busy_customer_was_left_alone() -> None:
    error = refused(answer(errors(521, "Multiple actions"), 400))
    assert isinstance(error, TransientError)
    assert error.reached is False
