"""Adobe Commerce's search for customers (Commerce docs: Search using REST endpoints; GET /V1/customers/search)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from starlette.requests import Request

from devkit.sandbox.platforms.base import Entity, Handler, Platform, bearer, page_number
from devkit.sandbox.platforms.population import Person
from devkit.sandbox.vendor import Answer, Clock, json_answer

MOST_ROWS = 300
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
    entity_paths: Mapping[str, str] = {r"rest/V1/customers/(?P<id>[0-9]+)": "number"}

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, DEMO, "fake-adobe-token")

    def handlers(self) -> Mapping[str, Handler]:
        """Return the search for customers."""
        return {self.list_path: self._customers}

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
        everyone = self.everyone(sorted(self.entities().values(), key=lambda row: int(row["id"])))
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
