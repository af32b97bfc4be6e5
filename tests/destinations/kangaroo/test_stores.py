"""The steps of linking a store, and what can fail in each."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from loyalty_relay.model.commands import LinkStore
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    CredentialsRefused,
    InvalidCommand,
    RateLimited,
    RelayError,
    StoreConflict,
    UpstreamUnavailable,
    VendorRejected,
)
from tests.destinations.kangaroo.support import Call, Script, answer, crm, deadline, destination

LIST = "GET /api/v1/integrations"
CREATE = "POST /api/v1/integrations"
LINKS = "GET /api/v1/integrations/20/branch-links"
LINK = "POST /api/v1/branch-links"
BRANCH = "11ea0123456789abcdef0123456789ab"
COMMAND = LinkStore(shop_id="s-1", account_id="acc-9")
EXISTING = {"id": 17, "shop_id": "s-1", "account_id": "acc-9", "branch_id": BRANCH, "integration_id": 20}
TAKEN = answer(422, {"shop_id": ["The shop_id has already been taken."]})


def test_all_pages_of_branches_are_read() -> None:
    def pages(call: Call) -> httpx.Response:
        page = int(call.params.get("page", 1))
        branch = {"id": f"b{page}", "name": "", "virtual_branch_flag": "1" if page == 2 else 0}
        return answer(200, {"data": [branch, {"name": "no id"}], "links": {"next": "http://x" if page == 1 else None}})

    branches = crm(Script({"GET /api/v1/branches": pages})).branches(deadline())

    assert [(b.id, b.name, b.virtual) for b in branches] == [("b1", None, False), ("b2", None, True)]


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ([], None),
        ([{"id": 20, "name": "Acme"}], 20),
        ([{"id": 20, "name": "Other"}], None),
        ([{"id": 22, "name": "Acme"}, {"id": 21, "name": "Acme"}], 21),
        ([{"id": 20, "name": "Acme", "active": False}, {"id": 21, "name": "Acme", "active": True}], 21),
        ([{"integration_id": "23", "name": "Acme"}], 23),
        ([{"id": 0, "name": "Acme"}, {"id": -1, "name": "Acme"}, {"id": 5.0, "name": "Acme"}], None),
    ],
)
def test_an_integration_is_found_by_its_name(listed: list[dict[str, Any]], found: int | None) -> None:
    assert crm(Script({LIST: answer(200, {"data": listed})})).find_integration("Acme", deadline()) == found


PAGE = "<html><body>Not Found</body></html>"
NO_LISTS = [
    answer(404, {"message": "no such route"}),
    answer(404, text=PAGE, kind="text/html"),
    answer(405, {"message": "The GET method is not supported for this route."}),
    answer(405, text=PAGE, kind="text/html"),
    answer(403, {"message": "This action is unauthorized."}),
    answer(403, {"message": "Invalid scope(s) provided."}),
    answer(403, text=PAGE, kind="text/html"),
    answer(301, text="", headers={"location": "https://elsewhere.example.com/"}),
    answer(200, text=PAGE, kind="text/html"),
    answer(204, text=""),
    answer(200, {"data": None}),
    answer(200, {"message": "see the portal"}),
]


@pytest.mark.parametrize("reply", NO_LISTS)
def test_where_the_vendor_has_no_list_the_outcome_is_ambiguous(reply: httpx.Response) -> None:
    vendor = Script({LIST: reply, LINKS: reply})

    with pytest.raises(AmbiguousOutcome, match="integration's id"):
        crm(vendor).find_integration("Acme", deadline())
    with pytest.raises(AmbiguousOutcome, match="does not list"):
        crm(vendor).links(20, deadline())


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(401, {"error": "Unauthorized"}), CredentialsRefused),
        (answer(429, {"message": "Too Many Attempts."}), RateLimited),
        (answer(503, text=PAGE, kind="text/html"), UpstreamUnavailable),
    ],
)
def test_a_list_that_fails_for_now_is_no_missing_list(reply: httpx.Response, error: type[RelayError]) -> None:
    vendor = Script({LIST: reply, LINKS: reply})

    with pytest.raises(error):
        crm(vendor).find_integration("Acme", deadline())
    with pytest.raises(error):
        crm(vendor).links(20, deadline())


def test_a_connection_may_state_that_there_is_no_list() -> None:
    vendor = Script()

    with pytest.raises(AmbiguousOutcome):
        crm(vendor, destination(options={"can_list_integrations": False})).find_integration("Acme", deadline())

    assert vendor.asked == []


def test_a_configured_integration_is_believed() -> None:
    vendor = Script()

    assert crm(vendor, destination(options={"integration_id": 33})).find_integration("Acme", deadline()) == 33
    assert vendor.asked == []


@pytest.mark.parametrize("reply", [answer(201, text=""), answer(201, {"name": "Acme"}), answer(200, text="<p>ok</p>")])
def test_an_integration_that_was_created_under_an_unknown_id_is_looked_up(reply: httpx.Response) -> None:
    vendor = Script({CREATE: reply, LIST: answer(200, {"data": [{"id": 20, "name": "Acme"}]})})

    assert crm(vendor).create_integration("Acme", deadline()) == 20


def test_an_integration_that_cannot_be_found_after_its_creation_is_not_created_again() -> None:
    vendor = Script({CREATE: answer(201, {}), LIST: answer(200, {"data": []})})

    with pytest.raises(AmbiguousOutcome):
        crm(vendor).create_integration("Acme", deadline())

    assert vendor.paths().count(CREATE) == 1


def test_all_pages_of_links_are_read_and_the_first_one_once() -> None:
    def pages(call: Call) -> httpx.Response:
        page = int(call.params.get("page", 1))
        link = {**EXISTING, "id": page, "enabled": page == 1}
        return answer(200, {"data": [link], "links": {"next": "http://x" if page < 3 else None}})

    vendor = Script({LINKS: pages})
    links = crm(vendor).links(20, deadline())

    assert [(link.branch_link_id, link.enabled) for link in links] == [(1, True), (2, False), (3, False)]
    assert len(vendor.asked) == 3


def test_a_shop_that_is_linked_already_is_a_conflict_that_names_the_link() -> None:
    vendor = Script({LINK: TAKEN, LINKS: answer(200, {"data": [EXISTING]})})

    with pytest.raises(StoreConflict) as error:
        crm(vendor).create_link(COMMAND, BRANCH, 20, deadline())

    assert error.value.existing["branch_link_id"] == 17
    assert error.value.existing["branch_id"] == BRANCH


@pytest.mark.parametrize("links", [answer(200, {"data": []}), answer(503, {"message": "busy"}), *NO_LISTS])
def test_the_conflict_stays_when_the_link_cannot_be_read(links: httpx.Response) -> None:
    conflict = answer(409, {"status_code": 409, "message": "Conflict", "description": "linked"})
    vendor = Script({LINK: conflict, LINKS: links})

    with pytest.raises(StoreConflict) as error:
        crm(vendor).create_link(COMMAND, BRANCH, 20, deadline())

    assert error.value.existing == {"shop_id": "s-1"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"branch_id": ["The selected branch_id is not a virtual branch."]}, ["branch_id"]),
        ({"integration_id": ["The selected integration_id is invalid."]}, ["integration_id"]),
        ({"shop_id": ["The shop_id must be a string."]}, ["shop_id"]),
        ({"store_domain": ["The store_domain field is required."]}, ["store_domain"]),
        ({"errors": {"branch_id": ["no"], "integration_id": ["no"]}}, ["branch_id", "integration_id"]),
        ({"errors": [{"status": 422, "detail": "The branch_id field is required."}]}, ["branch_id"]),
    ],
)
def test_other_refusals_keep_the_vendors_field_names(body: Any, fields: list[str]) -> None:
    with pytest.raises(InvalidCommand) as error:
        crm(Script({LINK: answer(422, body)})).create_link(COMMAND, BRANCH, 20, deadline())

    assert [p.field for p in error.value.problems] == fields
    assert error.value.code == "422"


def test_required_members_are_checked_before_any_request() -> None:
    vendor = Script()

    with pytest.raises(InvalidCommand) as error:
        crm(vendor).create_link(LinkStore(shop_id=" ", account_id=""), BRANCH, 20, deadline())

    assert [p.field for p in error.value.problems] == ["account_id", "shop_id"]
    assert vendor.asked == []


NO_IDS = [
    {},
    {"id": 0},
    {"id": -1},
    {"id": "0"},
    {"id": 5.0},
    {"id": True},
    {"id": 10**18},
    {"id": "abc"},
    {"id": None},
]


@pytest.mark.parametrize("body", NO_IDS)
def test_what_is_no_id_is_not_taken_as_one(body: dict[str, Any]) -> None:
    vendor = Script({CREATE: answer(201, body), LINK: answer(201, {**EXISTING, "id": None, **body})})

    with pytest.raises(AmbiguousOutcome) as integration:
        crm(vendor).create_integration("Acme", deadline())
    with pytest.raises(AmbiguousOutcome) as link:
        crm(vendor).create_link(COMMAND, BRANCH, 20, deadline())

    assert integration.value.reached, "it was created"
    assert link.value.reached, "it was linked"


@pytest.mark.parametrize(
    ("id", "taken"),
    [
        (20, "20"),
        ("20", "20"),
        (BRANCH, BRANCH),
        (BRANCH.upper(), BRANCH.upper()),
        ("11000000000000000000000000000000", "11000000000000000000000000000000"),
        (0, None),
        (-1, None),
        (5.0, None),
        ("0", None),
        ("-1", None),
        ("5.0", None),
        (" ", None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_ids_of_branches(id: Any, taken: str | None) -> None:
    vendor = Script({"GET /api/v1/branches": answer(200, {"data": [{"id": id, "virtual_branch_flag": True}]})})

    assert [branch.id for branch in crm(vendor).branches(deadline())] == ([taken] if taken else [])


@pytest.mark.parametrize("reply", [answer(201, text=""), answer(200, {"enabled": True})])
def test_a_link_that_was_made_under_an_unknown_id_is_looked_up(reply: httpx.Response) -> None:
    vendor = Script({LINK: reply, LINKS: answer(200, {"data": [EXISTING]})})

    assert crm(vendor).create_link(COMMAND, BRANCH, 20, deadline()).branch_link_id == 17

    vendor.answers[LINKS] = answer(200, {"data": []})
    with pytest.raises(AmbiguousOutcome):
        crm(vendor).create_link(COMMAND, BRANCH, 20, deadline())


def test_a_disabled_link_is_reported() -> None:
    vendor = Script({LINK: answer(201, {**EXISTING, "enabled": False})})

    assert not crm(vendor).create_link(COMMAND, BRANCH, 20, deadline()).enabled


def test_a_refusal_without_fields_is_the_vendors_no() -> None:
    refusal = answer(400, {"error": {"status_code": 400, "message": "Bad Request", "description": "Something odd"}})

    with pytest.raises(VendorRejected):
        crm(Script({LINK: refusal})).create_link(COMMAND, BRANCH, 20, deadline())
