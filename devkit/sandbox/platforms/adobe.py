"""Adobe Commerce's search for customers, and its subscriptions to events.

Commerce docs: Search using REST endpoints; GET /V1/customers/search; REST endpoints for eventing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from starlette.requests import Request

from devkit.sandbox.platforms.base import Entity, Handler, Platform, Writer, bearer, page_number
from devkit.sandbox.platforms.population import Person
from devkit.sandbox.vendor import Answer, Clock, json_answer

MOST_ROWS = 300
EVENTS = "rest/all/V1/eventing/events/"
"""Where event subscriptions are kept; the shop itself has no such path."""
_PATH = "/rest/all/V1/eventing"
_MOMENT = "%Y-%m-%d %H:%M:%S"
_MESSAGES: Mapping[int, str] = {
    400: "The request could not be understood.",
    401: "The consumer isn't authorized to access %resources.",
    403: "The consumer isn't authorized to access Magento_Customer::customer.",
    404: "Request does not match any route.",
    429: "Too Many Requests",
    500: "Internal Error. Details are available in Magento log file.",
}
_FILTER = "searchCriteria[filter_groups][{group}][filters][0][{part}]"

DEMO: Mapping[str, Entity] = {
    "rest/V1/customers/7": {
        "id": 7,
        "group_id": 1,
        "store_id": 1,
        "website_id": 1,
        "created_at": "2023-12-01 09:00:00",
        "updated_at": "2023-12-02 10:30:00",
        "email": "ada.commerce@example.com",
        "firstname": "Ada",
        "lastname": "Commerce",
        "gender": 2,
        "addresses": [],
        "extension_attributes": {"is_subscribed": False},
    },
}


class Adobe(Platform):
    """A shop's own host. After the last page comes the last page again, as the software does it."""

    name = "adobe"
    prefix = "/adobe"
    list_path = "/rest/V1/customers/search"
    entity_paths: Mapping[str, str] = {
        r"rest/V1/customers/(?P<id>[0-9]+)": "number",
        r"rest/all/V1/eventing/events/(?P<id>[^/]+)": "text",
    }

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, DEMO, "fake-adobe-token")

    def handlers(self) -> Mapping[str, Handler]:
        """Return the search for customers, and the list of event subscriptions, which has the enabled ones."""
        return {self.list_path: self._customers, f"{_PATH}/getEventSubscriptions": self._events}

    def writers(self) -> Mapping[tuple[str, str], Writer]:
        """Return the two ways to subscribe."""
        return {
            ("POST", f"{_PATH}/eventSubscribe"): self._subscribe,
            ("PUT", f"{_PATH}/eventSubscribe/{{name}}"): self._merge,
        }

    def token_of(self, request: Request) -> str:
        """Return a bearer token."""
        return bearer(request)

    def error(self, status: int, detail: str | None = None) -> Answer:
        """Return a message alone."""
        return json_answer(status, {"message": detail or _MESSAGES.get(status, "Error")})

    def _customers(self, request: Request) -> Answer:
        query = request.query_params
        size = page_number(query.get("searchCriteria[pageSize]"), 20)
        page = page_number(query.get("searchCriteria[currentPage]"), 1)
        if not 1 <= size <= MOST_ROWS or page < 1:
            return self.error(400)
        everyone = self.everyone(sorted(self.under("rest/V1/customers/"), key=lambda row: int(row["id"])))
        since = next(self._since(query), None)
        rows = everyone if since is None else [row for row in everyone if str(row["updated_at"]) >= since]
        last = max(1, -(-len(rows) // size))
        begin = (min(page, last) - 1) * size
        return json_answer(200, {"items": rows[begin : begin + size], "search_criteria": {}, "total_count": len(rows)})

    def _since(self, query: Mapping[str, str]) -> Iterator[str]:
        for group in range(5):
            given = {part: query.get(_FILTER.format(group=group, part=part)) for part in ("field", "value")}
            if given["field"] == "updated_at" and given["value"] is not None:
                yield given["value"]

    def made(self, person: Person) -> Entity:
        """Return a customer as the search shows them."""
        return {
            "id": person.number,
            "group_id": 1,
            "store_id": 1,
            "website_id": 1,
            "created_at": person.created.strftime(_MOMENT),
            "updated_at": person.changed.strftime(_MOMENT),
            "email": person.email,
            "firstname": person.first_name,
            "lastname": person.last_name,
            "addresses": [],
            "extension_attributes": {"is_subscribed": False},
        }

    def _events(self, request: Request) -> Answer:
        shown = [{k: v for k, v in event.items() if k != "id"} for event in self.under(EVENTS)]
        return json_answer(200, shown)

    def _subscribe(self, request: Request, given: Entity) -> Answer:
        event = given.get("event")
        name = event.get("name") if isinstance(event, dict) else None
        if not isinstance(event, dict) or not isinstance(name, str) or not name.startswith(("observer.", "plugin.")):
            return self.error(400, "The event name is not valid.")
        if not event.get("fields"):
            return self.error(400, "The event needs at least one field.")
        if self.find(f"{EVENTS}{name}") is not None:
            return self.error(400, f"The {name} event subscription already exists.")
        self.put_entity(f"{EVENTS}{name}", {"provider_id": "default", "destination": "default", "rules": [], **event})
        return json_answer(200, [])

    def _merge(self, request: Request, given: Entity) -> Answer:
        path = f"{EVENTS}{request.path_params['name']}"
        if (found := self.find(path)) is None:
            return self.error(404, "The event is not subscribed.")
        fields = {field["name"]: field for field in (*found["fields"], *given["event"].get("fields", ()))}
        self.put_entity(path, {**found, **given["event"], "fields": list(fields.values())})
        return json_answer(200, [])
