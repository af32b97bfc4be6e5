"""Is everything there that Kangaroo's pages call a prerequisite? Only reading requests."""

from __future__ import annotations

from collections.abc import Callable

from loyalty_relay.connections.model import Destination, Sales
from loyalty_relay.destinations.base import Finding
from loyalty_relay.destinations.kangaroo.responses import customer_id
from loyalty_relay.destinations.kangaroo.session import PAGE_SIZE, KangarooSession
from loyalty_relay.destinations.kangaroo.stores import StoreLinks, parse_branch
from loyalty_relay.http.messages import path_segment
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import CredentialsRefused, RelayError, TransientError, VendorRejected

OPERATOR = "operator"
BUSINESS = "business"
VENDOR = "vendor"


def probe(
    session: KangarooSession, stores: StoreLinks, destination: Destination, sales: Sales, deadline: Deadline
) -> list[Finding]:
    """Return one finding per prerequisite; one that cannot be checked fails with the error's message.

    Those of sales only where the connection records them.
    """
    found = [_credentials(session, deadline)]
    if found[0].ok:
        found.append(_crm_fields(session, deadline))
        found.append(_tags(session, deadline))
        if sales.enabled:
            found.extend(_sales(session, destination, sales, deadline))
    found.extend(_stores(stores, deadline))
    return found


def _looked(name: str, who: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except RelayError as error:
        return _failed(name, error, str(error), who)


def _failed(name: str, error: RelayError, message: str, who: str) -> Finding:
    """Return a failed look's finding: a passing fault, such as a used-up limit, shows nothing of the prerequisite."""
    if isinstance(error, TransientError):
        return Finding(name=name, ok=None, message=f"could not be looked at now, check again later ({error})")
    return Finding(name=name, ok=False, message=message, who=who)


def _credentials(session: KangarooSession, deadline: Deadline) -> Finding:
    def look() -> Finding:
        try:
            session.read(session.request("api", "GET", "/me"), deadline)
        except (CredentialsRefused, VendorRejected) as error:
            if session.auth.type != "client_credentials":
                raise
            # They are made for the integrations host, which is checked below.
            refused = (
                "client credentials link stores; to change customers too, give the connection credentials of type"
                f" password or authorization_code ({error})"
            )
            return Finding(name="credentials", ok=None, message=refused, who=OPERATOR)
        return Finding(name="credentials", ok=True, message="application key and token are accepted", who=OPERATOR)

    return _looked("credentials", OPERATOR, look)


def _crm_fields(session: KangarooSession, deadline: Deadline) -> Finding:
    def look() -> Finding:
        ids = (customer_id(item) for item in session.page(session.request("api", "GET", "/customers"), deadline))
        first = next((found for found in ids if found), None)
        if first is None:
            refused = "cannot be seen before the business has its first customer"
            return Finding(name="crm_fields", ok=None, message=refused, who=BUSINESS)
        fields = list(
            session.pages(session.request("api", "GET", f"/customers/{path_segment(first)}/crm-fields"), deadline)
        )
        if not fields:
            refused = "no CRM field is visible: the vendor's CSR has to grant the CRM module, then enable the fields"
            return Finding(name="crm_fields", ok=False, message=refused, who=VENDOR)
        return Finding(name="crm_fields", ok=True, message=f"{len(fields)} CRM fields are visible", who=BUSINESS)

    try:
        return look()
    except RelayError as error:
        denied = isinstance(error, CredentialsRefused) or error.code == "403"
        refused = f"CRM fields may not be read ({error}); the vendor's CSR has to grant the CRM module"
        return _failed("crm_fields", error, refused if denied else str(error), VENDOR)


def _tags(session: KangarooSession, deadline: Deadline) -> Finding:
    def look() -> Finding:
        session.page(session.request("api", "GET", "/tags"), deadline)
        return Finding(name="tags", ok=True, message="tags can be read", who=BUSINESS)

    return _looked("tags", VENDOR, look)


def _stores(stores: StoreLinks, deadline: Deadline) -> list[Finding]:
    try:
        branches = stores.branches(deadline)
    except RelayError as error:
        return [_failed("integrations_host", error, str(error), OPERATOR)]
    host = Finding(name="integrations_host", ok=True, message="the integrations host responds", who=OPERATOR)
    virtual = sum(branch.virtual for branch in branches)
    if virtual:
        return [host, Finding(name="virtual_branch", ok=True, message=f"virtual branches: {virtual}", who=BUSINESS)]
    refused = "no virtual branch: check 'Virtual Branch Group' on a branch in the business portal"
    return [host, Finding(name="virtual_branch", ok=False, message=refused, who=BUSINESS)]


def _sales(session: KangarooSession, destination: Destination, sales: Sales, deadline: Deadline) -> list[Finding]:
    wanted = {entry["branch"] for entry in sales.stores.values() if entry.get("branch")}

    def look() -> Finding:
        request = session.request(
            "api", "GET", "/branches", params={"include": "virtual_branch", "per_page": PAGE_SIZE}
        )
        items = session.pages(request, deadline)
        known = {branch.id.casefold() for item in items if (branch := parse_branch(item)) is not None}
        unknown = sorted(branch for branch in wanted if branch.casefold() not in known)
        if unknown:
            message = f"sales.stores names branches that the business does not have: {', '.join(unknown)}"
            return Finding(name="sales_branches", ok=False, message=message, who=OPERATOR)
        return Finding(name="sales_branches", ok=True, message=f"branches for sales: {len(wanted)}", who=OPERATOR)

    found = [_looked("sales_branches", OPERATOR, look)] if wanted else []
    if destination.options.get("sales_at_linked_branch"):
        message = "whether the virtual branch of a link takes sales is not documented: look at the first one's notices"
        found.append(Finding(name="linked_branch", ok=None, message=message, who=VENDOR))
    if not destination.credentials.get("employee_pin_code"):
        message = (
            "whether the rule 'Employee must enter his ID when Purchase Amount exceeds' is active cannot be read;"
            " where it is, sales above that amount need credentials.employee_pin_code"
        )
        found.append(Finding(name="employee_rule", ok=None, message=message, who=BUSINESS))
    return found
