"""Tokens, refusals and pages: what holds for every request."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from loyalty_relay.destinations.definitions import DefinitionCache
from loyalty_relay.destinations.tokens import TokenSet
from loyalty_relay.model.commands import CustomerRef, Identifier, PatchCrmFields
from loyalty_relay.model.errors import CredentialsRefused, RateLimited, UpstreamUnavailable, VendorRejected
from tests.destinations.kangaroo.support import (
    MACHINE,
    PASSWORD,
    Call,
    Clock,
    MemoryTokens,
    Script,
    answer,
    crm,
    deadline,
    destination,
)

TOKEN = "POST /oauth/token"
UNAUTHENTICATED = answer(401, {"error": {"status_code": 401, "message": "Unauthenticated."}})


def pair(number: int) -> httpx.Response:
    body = {"access_token": f"fake-access-{number}", "refresh_token": f"fake-refresh-{number}", "expires_in": 3920}
    return answer(200, {**body, "token_type": "Bearer"})


def bearers(vendor: Script) -> list[str]:
    return [call.headers["authorization"] for call in vendor.asked if "authorization" in call.headers]


def test_one_renewal_follows_a_401() -> None:
    vendor = Script({TOKEN: [pair(1), pair(2)], "GET /tags": [UNAUTHENTICATED, answer(200, {"data": []})]})

    assert crm(vendor, destination(PASSWORD)).tags(deadline()) == []

    assert bearers(vendor) == ["Bearer fake-access-1", "Bearer fake-access-2"]


def test_a_second_401_refuses_the_credentials_instead_of_renewing_for_ever() -> None:
    tokens = MemoryTokens(Clock())
    vendor = Script({TOKEN: [pair(1), pair(2), pair(3)], "GET /tags": UNAUTHENTICATED})
    tokens.kept[f"{destination(PASSWORD).key}:password:10"] = TokenSet("fake-old", "fake-old-refresh")

    with pytest.raises(CredentialsRefused) as refused:
        crm(vendor, destination(PASSWORD), tokens=tokens).tags(deadline())

    assert refused.value.code == "401"
    assert tokens.obtained == 1
    assert bearers(vendor) == ["Bearer fake-old", "Bearer fake-access-1"]


def test_a_401_inside_a_200_is_a_401() -> None:
    hidden = answer(200, {"error": {"status_code": 401, "message": "Unauthenticated."}})
    vendor = Script({TOKEN: [pair(1), pair(2)], "GET /tags": [hidden, answer(200, {"data": []})]})

    assert crm(vendor, destination(PASSWORD)).tags(deadline()) == []


def test_a_token_that_somebody_else_renewed_is_not_our_one_renewal() -> None:
    class Renewed(MemoryTokens):
        """Another execution renews twice while this one is at work."""

        def get(self, key: str, obtain: Any, deadline: Any, *, rejected: str | None = None) -> tuple[str, bool]:
            if rejected in (None, "fake-a"):
                return ("fake-a" if rejected is None else "fake-b"), False
            return super().get(key, obtain, deadline, rejected=rejected)

    vendor = Script({TOKEN: pair(3), "GET /tags": [UNAUTHENTICATED, UNAUTHENTICATED, answer(200, {"data": []})]})

    crm(vendor, destination(PASSWORD), tokens=Renewed(Clock())).tags(deadline())

    assert bearers(vendor) == ["Bearer fake-a", "Bearer fake-b", "Bearer fake-access-3"]


def test_a_plain_token_is_not_renewed() -> None:
    vendor = Script({"GET /tags": UNAUTHENTICATED})

    with pytest.raises(CredentialsRefused):
        crm(vendor).tags(deadline())

    assert len(vendor.asked) == 1


def test_a_403_about_a_resource_is_permanent_and_spends_no_token() -> None:
    vendor = Script({TOKEN: pair(1), "GET /tags": answer(403, {"message": "This action is unauthorized."})})

    with pytest.raises(VendorRejected) as refused:
        crm(vendor, destination(PASSWORD)).tags(deadline())

    assert refused.value.code == "403"
    assert vendor.paths().count(TOKEN) == 1


PAGE = answer(403, text="<html><body>Request blocked</body></html>", kind="text/html")


@pytest.mark.attack(
    "senders",
    "a customer's name that a firewall in front of the vendor blocks, to stop everybody's events",
    "a page in a 403 counts against the credentials only where they are served nothing else",
    "G8",
)
@pytest.mark.parametrize("path", ["GET /tags", "GET /api/v1/branches"])
def test_a_page_in_a_403_is_about_the_request_where_the_credentials_may_do_something_else(path: str) -> None:
    served = answer(200, {"data": []})
    vendor = Script({path: [PAGE, served], "GET /me": served})
    client = crm(vendor)

    with pytest.raises(VendorRejected):
        client.tags(deadline()) if path == "GET /tags" else client.branches(deadline())

    assert vendor.paths() == [path, "GET /me" if path == "GET /tags" else path]


@pytest.mark.parametrize("me", [PAGE, UNAUTHENTICATED, answer(503, {})])
def test_a_page_in_a_403_is_about_the_credentials_where_they_may_do_nothing(me: httpx.Response) -> None:
    with pytest.raises(CredentialsRefused):
        crm(Script({"GET /tags": PAGE, "GET /me": me})).tags(deadline())


def test_client_credentials_go_without_application_key() -> None:
    vendor = Script({TOKEN: pair(1), "GET /api/v1/branches": answer(200, {"data": []})})

    crm(vendor, destination(MACHINE)).branches(deadline())

    assert "x-application-key" not in vendor.asked[1].headers
    assert vendor.asked[0].url == "https://integrations.kangarooapis.com/oauth/token"


def test_a_429_is_a_rate_limit() -> None:
    limited = answer(429, {"message": "Too Many Attempts."}, headers={"x-ratelimit-reset": "1790000030"}, now=1.79e9)

    with pytest.raises(RateLimited) as error:
        crm(Script({"GET /tags": limited})).tags(deadline())

    assert error.value.retry_after == 30


@pytest.mark.parametrize(
    "broken",
    [
        answer(200, text="<html>busy</html>", kind="text/html"),
        answer(200, text=""),
        answer(200, text='{"data": [{"id": 1'),
    ],
)
def test_a_success_that_cannot_be_read_may_be_tried_again(broken: httpx.Response) -> None:
    with pytest.raises(UpstreamUnavailable):
        crm(Script({"GET /tags": broken})).tags(deadline())


@pytest.mark.parametrize("body", [{"data": {"id": 1}}, {"surprise": []}, "text", 7])
def test_a_success_that_is_no_list_is_permanent(body: Any) -> None:
    with pytest.raises(VendorRejected) as error:
        crm(Script({"GET /tags": answer(200, body)})).tags(deadline())

    assert error.value.code == "200"


# -- pages ------------------------------------------------------------------------------------------------------------


def linked_pages(call: Call) -> httpx.Response:
    """Three pages in the newer style: plain http links, no total, ``last`` null."""
    page = int(call.params.get("page", 1))
    following = f"http://api.kangaroorewards.com/tags?page={page + 1}" if page < 3 else None
    links = {"first": "http://api.kangaroorewards.com/tags?page=1", "last": None, "prev": None, "next": following}
    return answer(200, {"data": [{"id": page, "name": f"Tag {page}"}], "links": links, "meta": {"current_page": page}})


def cursor_pages(call: Call) -> httpx.Response:
    page = int(call.params.get("page", 1))
    body: dict[str, Any] = {"data": [{"id": page, "name": f"Tag {page}"}], "meta": {"total": 3}}
    if page < 3:
        body["cursor"] = {"count": 1, "next": page + 1, "next_uri": f"tags?page={page + 1}"}
    return answer(200, body)


@pytest.mark.parametrize("style", [linked_pages, cursor_pages])
def test_all_pages_are_read_in_both_styles(style: Any) -> None:
    vendor = Script({"GET /tags": style})

    tags = crm(vendor).tags(deadline())

    assert [tag["name"] for tag in tags] == ["Tag 1", "Tag 2", "Tag 3"]
    assert {call.url for call in vendor.asked} == {"https://api.kangaroorewards.com/tags"}
    assert all(call.params["per_page"] == "100" for call in vendor.asked)


def test_a_list_without_an_end_is_an_error() -> None:
    endless = answer(200, {"data": [{"id": 1, "name": "Again"}], "links": {"next": "http://x?page=2"}})
    vendor = Script({"GET /tags": endless})

    with pytest.raises(VendorRejected, match="does not end"):
        crm(vendor).tags(deadline())

    assert len(vendor.asked) == 100


def test_an_empty_page_is_the_last_one() -> None:
    vendor = Script({"GET /tags": answer(200, {"data": [], "links": {"next": "http://x?page=2"}})})

    assert crm(vendor).tags(deadline()) == []
    assert len(vendor.asked) == 1


# -- what is remembered -----------------------------------------------------------------------------------------------


def test_definitions_age_and_make_room() -> None:
    clock = Clock()
    cache = DefinitionCache(clock, ttl=300, max_entries=2)
    for name in ("a", "b", "c"):
        cache.put(name, "tags", name)

    assert cache.get("a", "tags") is None
    assert cache.get("c", "tags") == "c"
    clock.now += 300
    assert cache.get("c", "tags") is None


def test_two_businesses_with_plain_tokens_do_not_share_definitions() -> None:
    clock = Clock()
    cache = DefinitionCache(clock)
    ours = Script({"GET /tags": answer(200, {"data": [{"id": 1, "name": "Ours"}]})})
    theirs = Script({"GET /tags": answer(200, {"data": [{"id": 2, "name": "Theirs"}]})})
    plain = {"type": "token", "application_key": "fake-application-key"}
    for vendor, token in ((ours, "fake-one"), (theirs, "fake-two")):
        fields = answer(200, {"data": [{"name": "tags", "field_type": "multi_select"}]})
        vendor.answers["GET /customers/c/crm-fields"] = fields
        vendor.answers["PATCH /customers/c/crm-fields"] = fields
        client = crm(vendor, destination({**plain, "access_token": token, "account": token}), cache=cache, clock=clock)
        who = CustomerRef(identifiers=(Identifier("email", "a@example.com"),))
        tag = "Ours" if vendor is ours else "Theirs"
        client.patch_crm_fields("c", PatchCrmFields(customer=who), {}, (tag,), deadline())

    assert theirs.asked[-1].json == {"tags": [{"tag_name": "Theirs"}]}
