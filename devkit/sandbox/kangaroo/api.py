"""What each route of the two hosts does, as plain functions from a call to a reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import urlencode

from devkit.sandbox.kangaroo.business import Business
from devkit.sandbox.kangaroo.crm import DEMO_TAGS
from devkit.sandbox.kangaroo.errors import bad_request, not_found
from devkit.sandbox.kangaroo.paging import cursor_page, links_page
from devkit.sandbox.kangaroo.stores import branches
from devkit.sandbox.kangaroo.wire import Call, Reply

Handler: TypeAlias = Callable[[Business, Call], Reply]
FORM = "application/x-www-form-urlencoded"


def _body(call: Call) -> dict[str, Any]:
    body = call.json_object()
    if body is None:
        raise bad_request("The body is not valid JSON.")
    return body


def _page(business: Business, call: Call, items: list[Any]) -> Reply:
    return Reply(200, links_page(call, items, business.settings.links_keep_query))


def authorize(business: Business, call: Call) -> Reply:
    """Serve GET /oauth/authorize: the user's decision, which the `authorize` setting has taken already."""
    return Reply(302, None, {"Location": business.tokens.authorize(dict(call.query), business.settings)})


def api_token(business: Business, call: Call) -> Reply:
    """Serve POST /oauth/token of the business host; form-encoded when only that is accepted, as documented."""
    key = call.headers.get("x-application-key", "")
    answer = business.tokens.issue(call.form(), key, "api", business.settings)
    if call.headers.get("accept", "").strip().lower() == FORM:
        return Reply(200, urlencode({**answer, "scope": "admin"}), content_type=FORM)
    return Reply(200, answer)


def integrations_token(business: Business, call: Call) -> Reply:
    """Serve POST /oauth/token of the integrations host: client credentials in JSON (the vendor's Magento plugin)."""
    return Reply(200, business.tokens.issue(call.form(), "", "integrations", business.settings))


def me(business: Business, call: Call) -> Reply:
    """Serve GET /me."""
    body: dict[str, Any] = {"data": business.me()}
    if "branches" in call.listed("include"):
        body["included"] = {"branches": [it.as_json() for it in branches(business.settings)]}
    return Reply(200, body)


def tags(business: Business, call: Call) -> Reply:
    """Serve GET /tags."""
    return _page(business, call, [tag.as_json() for tag in DEMO_TAGS])


def crm_fields(business: Business, call: Call) -> Reply:
    """Serve GET /customers/{id}/crm-fields; all fields are on page 1."""
    shown = business.crm.values(call.params["customer_id"], business.settings)
    return Reply(200, {"data": shown if call.first("page", "1") == "1" else []})


def patch_crm_fields(business: Business, call: Call) -> Reply:
    """Serve PATCH of the CRM fields, under the wiki's path and under the blueprint's."""
    changed = business.crm.patch(call.params["customer_id"], _body(call), business.settings)
    return Reply(200, {"data": changed})


def list_customers(business: Business, call: Call) -> Reply:
    """Serve GET /customers: filters, older paging, and `include` inline."""
    include = call.listed("include")
    found = business.customers.search(call.query)
    return Reply(200, cursor_page(call, [{**it.as_json(), **it.embedded(include)} for it in found]))


def create_customer(business: Business, call: Call) -> Reply:
    """Serve POST /customers."""
    customer = business.customers.create(_body(call), business.settings)
    return Reply(business.settings.create_status, {"data": customer.as_json()})


def get_customer(business: Business, call: Call) -> Reply:
    """Serve GET /customers/{id}; `include` goes to `included`."""
    customer = business.customers.get(call.params["customer_id"])
    body: dict[str, Any] = {"data": customer.as_json()}
    if "address" in call.listed("relationships"):
        body["data"]["address"] = customer.address or None
    included = customer.embedded(call.listed("include"))
    if included:
        body["included"] = included
    return Reply(200, body)


def put_customer(business: Business, call: Call) -> Reply:
    """Serve PUT /customers/{id}: a partial update in spite of its name."""
    changed = business.customers.change(call.params["customer_id"], _body(call), business.settings)
    return Reply(200, {"data": changed.as_json()})


def delete_customer(business: Business, call: Call) -> Reply:
    """DELETE /customers/{id}: 204 with no body."""
    business.customers.delete(call.params["customer_id"])
    return Reply(204)


def list_consents(business: Business, call: Call) -> Reply:
    """Serve GET /customers/{id}/consents."""
    return _page(business, call, [*business.customers.consents(call.params["customer_id"])])


def add_consent(business: Business, call: Call) -> Reply:
    """Serve POST /customers/{id}/consents."""
    record = business.customers.add_consent(call.params["customer_id"], _body(call), business.settings)
    return Reply(200, {"data": record})


def api_branches(business: Business, call: Call) -> Reply:
    """Serve GET /branches of the business host: virtual ones only on `include=virtual_branch`."""
    virtual_too = "virtual_branch" in call.listed("include")
    shown = [it.as_json() for it in branches(business.settings) if virtual_too or not it.virtual]
    return _page(business, call, shown)


def add_transaction(business: Business, call: Call) -> Reply:
    """Serve POST /transactions."""
    return Reply(200, {"data": business.transactions.add(_body(call), business.settings)})


def list_transactions(business: Business, call: Call) -> Reply:
    """Serve GET /transactions: filters, older paging, and `relationships` inline."""
    names = call.listed("relationships")
    found = business.transactions.search(call.query)
    return Reply(200, cursor_page(call, [{**it.as_json(), **it.related(names)} for it in found]))


def integration_branches(business: Business, call: Call) -> Reply:
    """Serve GET /api/v1/branches: all, the virtual ones flagged."""
    return _page(business, call, [it.as_json() for it in branches(business.settings)])


def create_integration(business: Business, call: Call) -> Reply:
    """Serve POST /api/v1/integrations."""
    return Reply(201, business.stores.create_integration(_body(call), business.settings))


def list_integrations(business: Business, call: Call) -> Reply:
    """Serve GET /api/v1/integrations, which is not documented: `list_integrations` turns it off."""
    if not business.settings.list_integrations:
        raise not_found("Route")
    return _page(business, call, business.stores.integrations(business.settings))


def integration_links(business: Business, call: Call) -> Reply:
    """Serve GET /api/v1/integrations/{id}/branch-links."""
    links = business.stores.links(business.settings, call.params["integration_id"])
    return _page(business, call, [*links])


def create_link(business: Business, call: Call) -> Reply:
    """Serve POST /api/v1/branch-links: the bare link, without a wrapper, as in the wiki's sample."""
    return Reply(201, business.stores.create_link(_body(call), business.settings))


def list_links(business: Business, call: Call) -> Reply:
    """Serve GET /api/v1/branch-links, which is not documented: `list_branch_links` turns it off."""
    if not business.settings.list_branch_links:
        raise not_found("Route")
    return _page(business, call, [*business.stores.links(business.settings)])


Routes: TypeAlias = Mapping[str, Mapping[str, Handler]]

API_ROUTES: Routes = {
    "/me": {"GET": me},
    "/tags": {"GET": tags},
    "/branches": {"GET": api_branches},
    "/transactions": {"GET": list_transactions, "POST": add_transaction},
    "/customers": {"GET": list_customers, "POST": create_customer},
    "/customers/{customer_id}": {"GET": get_customer, "PUT": put_customer, "DELETE": delete_customer},
    "/customers/{customer_id}/consents": {"GET": list_consents, "POST": add_consent},
    "/customers/{customer_id}/crm-fields": {"GET": crm_fields, "PATCH": patch_crm_fields},
    "/customers/{customer_id}/crm-fields-values": {"PATCH": patch_crm_fields},
}
API_OPEN: Routes = {"/oauth/authorize": {"GET": authorize}, "/oauth/token": {"POST": api_token}}

INTEGRATIONS_ROUTES: Routes = {
    "/api/v1/branches": {"GET": integration_branches},
    "/api/v1/integrations": {"GET": list_integrations, "POST": create_integration},
    "/api/v1/integrations/{integration_id}/branch-links": {"GET": integration_links},
    "/api/v1/branch-links": {"GET": list_links, "POST": create_link},
}
INTEGRATIONS_OPEN: Routes = {"/oauth/token": {"POST": integrations_token}}
