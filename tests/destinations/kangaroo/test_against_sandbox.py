"""The client against a vendor with state: both hosts, every grant, every operation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from devkit.sandbox.faults import parse_fault
from loyalty_relay.destinations.kangaroo.auth import REFRESH_TOKEN_LOST
from loyalty_relay.destinations.kangaroo.client import KangarooCrm
from loyalty_relay.destinations.tokens import TokenSet, TokenStore
from loyalty_relay.model.commands import CustomerRef, Identifier, LinkStore, PatchCrmFields, RegisterCustomer
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    CredentialsRefused,
    CustomerExists,
    CustomerNotFound,
    InvalidCommand,
    RateLimited,
    RelayError,
    StoreConflict,
    UpstreamUnavailable,
    VendorRejected,
)
from tests.destinations.kangaroo.support import CODE, MACHINE, PASSWORD, World, deadline
from tests.support.stack import Stack

ANA = CustomerRef(identifiers=(Identifier("email", "ana@example.com"), Identifier("mobile", "+15145550123")))


@pytest.fixture
def world() -> World:
    return World()


def register(crm: KangarooCrm, who: CustomerRef = ANA) -> str:
    return crm.register(RegisterCustomer(customer=who, fields={}), {"first_name": "Ana"}, deadline()).loyalty_id


def patch(crm: KangarooCrm, loyalty_id: str, fields: dict[str, Any], tags: tuple[str, ...] | None = None) -> Any:
    command = PatchCrmFields(customer=ANA, fields=fields, replace_tags=tags)
    return crm.patch_crm_fields(loyalty_id, command, fields, tags, deadline())


def values(crm: KangarooCrm, loyalty_id: str) -> dict[str, Any]:
    return {f["field"]: f["value"] for f in crm.crm_fields(loyalty_id, deadline()) if f["name"] != "country_code"}


def test_a_customer_is_registered_found_patched_and_read(world: World) -> None:
    crm = world.crm()

    loyalty_id = register(crm)
    fields = {
        "last_name": "Gray",
        "birthday": "1990-12-31",
        "gender": "nonbinary",
        "postal_code": "H2X 1Y4",
        "subscriptions.email.bulk": True,
        "custom_fields.custom_field_5": "blue",
        "phone": "+15145550124",
        "tags.VIP": True,
        "tags.wholesale": True,
    }
    receipt = patch(crm, loyalty_id, fields)

    assert receipt.notices == ()
    assert set(receipt.sent) == set(fields)
    assert crm.find(ANA, deadline()) == loyalty_id
    read = values(crm, loyalty_id)
    assert {name: read[name] for name in fields if not name.startswith("tags.")} == {
        **_plain(fields),
        "phone": "5145550124",
    }
    assert read["tags"] == ["VIP", "Wholesale"]
    assert [f["value"] for f in receipt.details["fields"] if f["name"] == "tags"] == [["VIP", "Wholesale"]]


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if not name.startswith("tags.")}


def test_tags_are_added_and_removed_next_to_those_that_somebody_else_set(world: World) -> None:
    crm = world.crm()
    loyalty_id = register(crm)
    patch(crm, loyalty_id, {}, ("Red tag", "Returner"))

    patch(crm, loyalty_id, {"tags.Staff": True, "tags.Red tag": False})

    assert values(crm, loyalty_id)["tags"] == ["Returner", "Staff"]


def test_all_pages_of_tags_are_listed(world: World) -> None:
    assert len(world.crm().tags(deadline())) == 18


def test_both_paths_of_the_patch_work(world: World) -> None:
    for path in ("crm-fields", "crm-fields-values"):
        crm = world.crm(options={"crm_fields_path": path})
        loyalty_id = crm.find(ANA, deadline()) or register(crm)
        patch(crm, loyalty_id, {"last_name": path})
        assert values(crm, loyalty_id)["last_name"] == path


def test_a_second_registration_names_the_first_customer(world: World) -> None:
    crm = world.crm()
    loyalty_id = register(crm)

    with pytest.raises(CustomerExists) as error:
        register(crm, CustomerRef(identifiers=ANA.identifiers[:1]))

    assert error.value.loyalty_id == loyalty_id
    with pytest.raises(CustomerExists):
        register(crm, CustomerRef(identifiers=ANA.identifiers[1:]))


@pytest.mark.parametrize("shape", ["E1", "E2", "E3", "E6"])
def test_a_second_registration_is_understood_in_every_shape(world: World, shape: str) -> None:
    crm = world.crm()
    loyalty_id = register(crm)
    world.set(validation_shape=shape)

    with pytest.raises(CustomerExists) as error:
        register(crm)

    assert error.value.loyalty_id == loyalty_id


def test_what_the_business_does_not_allow_is_refused_before_the_patch(world: World) -> None:
    crm = world.crm()
    loyalty_id = register(crm)

    with pytest.raises(InvalidCommand) as error:
        patch(crm, loyalty_id, {"notes": "x", "email": None, "tags.Purple": True, "gender": "robot"})

    assert [p.field for p in error.value.problems] == ["notes", "email", "gender", "tags.Purple"]
    assert not [r for r in world.requests() if r.startswith("PATCH")]


def test_a_business_without_the_module(world: World) -> None:
    crm = world.crm()
    loyalty_id = register(crm)
    world.set(crm_enabled=False)

    with pytest.raises(CredentialsRefused):
        patch(crm, loyalty_id, {"last_name": "Gray"})


def test_an_unknown_customer(world: World) -> None:
    with pytest.raises(CustomerNotFound):
        world.crm().crm_fields("11e00000000000000000000000000000", deadline())


# -- stores -----------------------------------------------------------------------------------------------------------


def test_a_store_is_linked_step_by_step(world: World) -> None:
    crm = world.crm()
    branch = next(b for b in crm.branches(deadline()) if b.virtual)
    assert crm.find_integration("Acme POS", deadline()) is None

    integration = crm.create_integration("Acme POS", deadline())
    command = LinkStore(shop_id="s-1", account_id="acc-9", store_name="Main")
    link = crm.create_link(command, branch.id, integration, deadline())

    assert crm.find_integration("Acme POS", deadline()) == integration
    assert crm.links(integration, deadline()) == [link]
    with pytest.raises(StoreConflict) as error:
        crm.create_link(command, branch.id, integration, deadline())
    assert error.value.existing["branch_link_id"] == link.branch_link_id


def test_a_store_cannot_be_linked_to_an_ordinary_branch_or_an_unknown_integration(world: World) -> None:
    crm = world.crm()
    ordinary = next(b for b in crm.branches(deadline()) if not b.virtual)

    with pytest.raises(InvalidCommand) as error:
        crm.create_link(LinkStore(shop_id="s-1", account_id="a"), ordinary.id, 999, deadline())

    assert {p.field for p in error.value.problems} == {"branch_id", "integration_id"}


def test_an_e_commerce_integration_wants_a_domain(world: World) -> None:
    crm = world.crm()
    branch = next(b for b in crm.branches(deadline()) if b.virtual)
    integration = crm.create_integration("Shopify shop", deadline())

    with pytest.raises(InvalidCommand) as error:
        crm.create_link(LinkStore(shop_id="s-1", account_id="a"), branch.id, integration, deadline())

    assert [p.field for p in error.value.problems] == ["store_domain"]


def test_a_vendor_without_a_list_of_integrations(world: World) -> None:
    world.set(list_integrations=False)

    with pytest.raises(AmbiguousOutcome):
        world.crm().find_integration("Acme POS", deadline())


def test_machines_link_stores_with_client_credentials(world: World) -> None:
    crm = world.crm(MACHINE)

    assert crm.create_integration("Acme POS", deadline()) == 20


# -- tokens -----------------------------------------------------------------------------------------------------------


def test_an_expired_token_is_renewed_and_the_request_repeated(world: World) -> None:
    crm = world.crm()
    crm.tags(deadline())
    world.set(expire_tokens=True)

    assert len(crm.tags(deadline())) == 18
    assert world.token_requests() == 2


def test_a_revoked_application_comes_back_by_the_password(world: World) -> None:
    crm = world.crm()
    crm.tags(deadline())
    world.set(revoke_tokens=True)

    assert len(crm.tags(deadline())) == 18


def test_a_wrong_application_key_is_refused_after_one_renewal(world: World) -> None:
    crm = world.crm()
    crm.tags(deadline())
    world.set(application_key="fake-other-key")

    with pytest.raises(CredentialsRefused):
        crm.tags(deadline())


def test_wrong_credentials(world: World) -> None:
    with pytest.raises(CredentialsRefused) as error:
        world.crm({**PASSWORD, "password": "fake-wrong"}).tags(deadline())

    assert error.value.code == "invalid_grant"
    assert "fake-wrong" not in str(error.value)


def authorization_code(world: World) -> str:
    desk: Any = world.sandbox.vendors["kangaroo"]
    query = {"client_id": "11", "redirect_uri": CODE["redirect_uri"], "response_type": "code", "scope": "admin"}
    url = str(desk.business.tokens.authorize(query, desk.business.settings))
    return url.partition("code=")[2]


def token_store(stack: Stack, world: World) -> TokenStore:
    return TokenStore(
        stack.clients["secretsmanager"],
        stack.clients["dynamodb"],
        table=stack.environment["RELAY_STATE_TABLE"],
        prefix="test",
        digests=stack.services().digests,
        new_token=lambda: uuid4().hex,
        clock=world.clock,
        sleep=lambda seconds: None,
        random=lambda: 0.5,
    )


def test_two_executions_share_single_use_refresh_tokens(stack: Stack, world: World) -> None:
    one = world.crm(CODE, tokens=token_store(stack, world))
    two = world.crm(CODE, tokens=token_store(stack, world))
    with pytest.raises(CredentialsRefused):
        two.tags(deadline())
    one.authorize(authorization_code(world), deadline())

    for _ in range(3):
        assert len(one.tags(deadline())) == 18
        assert len(two.tags(deadline())) == 18
        world.clock.now += 3900

    # One code, and one refresh per life of a token however many executions there are.
    assert world.token_requests() == 3


def test_a_lost_refresh_token_needs_a_person_who_repairs_it(stack: Stack, world: World) -> None:
    store = token_store(stack, world)
    crm = world.crm(CODE, tokens=store)
    crm.authorize(authorization_code(world), deadline())
    crm.tags(deadline())
    # Somebody refreshed and died before keeping the new pair.
    lost = token_store(stack, world)
    key = crm._session.auth.key
    kept = lost.read(key)
    assert kept is not None
    crm._session.auth.obtain(kept, deadline())

    with pytest.raises(CredentialsRefused) as error:
        crm.tags(deadline())
    assert error.value.reason == REFRESH_TOKEN_LOST

    crm.authorize(authorization_code(world), deadline())
    assert len(crm.tags(deadline())) == 18


# -- faults -----------------------------------------------------------------------------------------------------------


FAULTS: list[tuple[dict[str, Any], type[RelayError]]] = [
    ({"error": "E1", "status": 400}, VendorRejected),
    ({"error": "E1-swapped", "status": 400}, VendorRejected),
    ({"error": "E1-link", "status": 409}, VendorRejected),
    ({"error": "E2"}, InvalidCommand),
    ({"error": "E3"}, InvalidCommand),
    ({"error": "E4"}, VendorRejected),
    ({"error": "E5", "status": 401}, CredentialsRefused),
    ({"error": "E5", "status": 400}, VendorRejected),
    ({"error": "E6"}, VendorRejected),
    ({"error": "E6-text"}, VendorRejected),
    ({"error": "E7", "status": 409}, VendorRejected),
    ({"error": "oauth", "status": 400}, VendorRejected),
    ({"error": "oauth-object", "status": 400}, VendorRejected),
    ({"error": "E1", "status": 500}, UpstreamUnavailable),
    ({"error": "E3", "status": 200}, InvalidCommand),
    ({"error": "rate_limit", "status": 429}, RateLimited),
    ({"html": True}, UpstreamUnavailable),
    ({"html": True, "status": 200}, UpstreamUnavailable),
    ({"html": True, "status": 400}, VendorRejected),
    ({"empty": True, "status": 500}, UpstreamUnavailable),
    ({"status": 302, "html": True}, UpstreamUnavailable),
    ({"status": 418, "body": {"never": "seen"}}, VendorRejected),
]


@pytest.mark.parametrize(("fault", "error"), FAULTS, ids=lambda x: str(x) if isinstance(x, dict) else "")
def test_every_fault_is_one_of_our_errors(world: World, fault: dict[str, Any], error: type[RelayError]) -> None:
    crm = world.crm()
    loyalty_id = register(crm)
    patch(crm, loyalty_id, {"last_name": "Gray"})
    world.sandbox.faults.append(parse_fault({"method": "PATCH", **fault}))

    with pytest.raises(error):
        patch(crm, loyalty_id, {"last_name": "Green"})


def test_an_empty_success_is_one_and_its_effect_is_read_back(world: World) -> None:
    crm = world.crm()
    loyalty_id = register(crm)
    patch(crm, loyalty_id, {"last_name": "Gray"})
    world.sandbox.faults.append(parse_fault({"method": "PATCH", "empty": True}))

    receipt = patch(crm, loyalty_id, {"last_name": "Green"})

    values = {each["field"]: each["value"] for each in receipt.details["fields"]}
    assert (values["last_name"], receipt.unconfirmed) == ("Green", ())


# -- prerequisites ----------------------------------------------------------------------------------------------------


def findings(world: World, credentials: dict[str, str] = PASSWORD) -> dict[str, bool | None]:
    return {f.name: f.ok for f in world.crm(credentials).probe(deadline())}


def test_all_prerequisites_are_there(world: World) -> None:
    found = world.crm().probe(deadline())

    assert all(f.ok for f in found)
    assert [f.name for f in found] == ["credentials", "crm_fields", "tags", "integrations_host", "virtual_branch"]
    assert not [r for r in world.requests() if not r.startswith("GET")]


def test_a_missing_prerequisite_names_who_can_help(world: World) -> None:
    world.set(crm_enabled=False, virtual_branches=0)

    missing = {f.name: f for f in world.crm().probe(deadline()) if not f.ok}

    assert set(missing) == {"crm_fields", "virtual_branch"}
    assert missing["crm_fields"].who == "vendor"
    assert "CSR" in missing["crm_fields"].message
    assert missing["virtual_branch"].who == "business"
    assert "Virtual Branch Group" in missing["virtual_branch"].message


def test_refused_credentials_are_a_finding_not_a_crash(world: World) -> None:
    found = {f.name: f for f in world.crm({**PASSWORD, "password": "fake-wrong"}).probe(deadline())}

    assert found["credentials"].ok is False
    assert found["credentials"].who == "operator"


def test_a_limit_that_is_used_up_shows_nothing_about_the_credentials(world: World) -> None:
    world.sandbox.faults.append(parse_fault({"method": "GET", "error": "rate_limit", "status": 429}))

    found = {f.name: f for f in world.crm().probe(deadline())}

    assert found["credentials"].ok is None
    assert "check again later" in found["credentials"].message


def test_client_credentials_that_only_link_stores_are_no_failure(world: World) -> None:
    found = {f.name: f for f in world.crm(MACHINE).probe(deadline())}

    assert {name: f.ok for name, f in found.items()} == {
        "credentials": None,
        "integrations_host": True,
        "virtual_branch": True,
    }
    assert "link stores" in found["credentials"].message


def test_wrong_client_credentials_fail_where_they_are_for(world: World) -> None:
    assert findings(world, {**MACHINE, "client_secret": "fake-wrong"})["integrations_host"] is False


def test_a_business_without_customers_cannot_show_its_fields_yet(world: World) -> None:
    host: Any = world.sandbox.vendors["kangaroo"]
    host.business.customers.clear()

    assert findings(world)["crm_fields"] is None


def test_no_time_left_is_not_a_request(world: World) -> None:
    found = world.crm().probe(Deadline(1.0, lambda: 0.0))

    assert not any(f.ok for f in found)
    assert world.requests() == []


def test_a_known_token_is_not_the_end_of_the_world_when_it_is_wrong(world: World) -> None:
    crm = world.crm()
    crm.tags(deadline())
    for key, tokens in world.tokens.kept.items():
        world.tokens.kept[key] = replace(tokens, access_token="fake-nonsense")

    assert len(crm.tags(deadline())) == 18


def test_the_stored_pair_is_what_the_vendor_gave(world: World) -> None:
    world.crm().tags(deadline())

    (tokens,) = world.tokens.kept.values()
    assert isinstance(tokens, TokenSet)
    assert tokens.expires_at == world.clock.now + 3920
