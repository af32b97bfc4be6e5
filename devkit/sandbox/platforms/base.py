"""What the platforms' read APIs have in common: entities by path, a token, and one error shape each."""

from __future__ import annotations

import copy
import json
import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from devkit.sandbox.platforms.population import Person, Population, check
from devkit.sandbox.vendor import JSON, Answer, Clock, SettingError, UnknownFaultError, Vendor

Entity: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[Request], Answer]
Writer: TypeAlias = "Callable[[Request, Entity], Answer]"
"""Takes the body of the request, an empty object where it has none."""

_STATUSES: Mapping[str, int] = {
    "rate_limit": 429,
    "not_found": 404,
    "method_not_allowed": 405,
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "server_error": 500,
}


def demo_orders(platform: str) -> dict[str, Entity]:
    """Return the platform's demo orders, with what belongs to them, by path."""
    orders: dict[str, Entity] = json.loads(Path(__file__).with_name(f"{platform}_orders.json").read_text())
    return orders


class Platform(Vendor):
    """A platform whose entities can be read.

    An entity has the path under which the platform serves it, without the first slash; the `entities`
    setting adds, changes and (with null) deletes them. Settings: `access_token`, `entities`, and what the
    subclass adds.
    """

    faults: Mapping[str, str] = {
        "bad_request": "the request cannot be understood",
        "unauthorized": "the access token is not good",
        "forbidden": "the access token does not allow this",
        "server_error": "something went wrong at the platform",
    }
    list_path = ""
    """Path of the list of customers; the setting `denied` refuses it, as where the token lacks the permission."""
    entity_paths: Mapping[str, str]
    """What an entity's path looks like, as a regular expression whose group `id` is its id; and the id's kind."""

    def __init__(
        self,
        clock: Clock,
        demo: Mapping[str, Entity],
        access_token: str,
        settings: Mapping[str, JSON] | None = None,
    ) -> None:
        more = {"customers": 0, "customers_removed": [], "customers_saved": {}, "denied": False, **(settings or {})}
        super().__init__(clock, {"access_token": access_token, "entities": {}, **more})
        self._demo = dict(demo)
        self._numbers: dict[str, int] = {}

    @abstractmethod
    def handlers(self) -> Mapping[str, Handler]:
        """Return the handlers of GET by path."""

    @abstractmethod
    def token_of(self, request: Request) -> str:
        """Return the access token that a request carries, or an empty string."""

    @abstractmethod
    def error(self, status: int, detail: str | None = None) -> Answer:
        """Return an error in the platform's shape; without ``detail`` with the platform's usual words."""

    def writers(self) -> Mapping[tuple[str, str], Writer]:
        """Return the handlers of other methods, by method and path."""
        return {}

    def allowed(self, request: Request) -> bool:
        """Return whether the request carries the access token."""
        return self.token_of(request) == self.settings["access_token"]

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes of both."""
        reads = [Route(path, self._endpoint(path, get=one), methods=["GET"]) for path, one in self.handlers().items()]
        writes = [
            Route(path, self._endpoint(path, write=one), methods=[verb]) for (verb, path), one in self.writers().items()
        ]
        return [*reads, *writes]

    def _endpoint(
        self, path: str, *, get: Handler | None = None, write: Writer | None = None
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            status, headers, body = self._answered(path, request, await request.body(), get, write)
            return Response(body, status, headers)

        return endpoint

    def _answered(self, path: str, request: Request, body: bytes, get: Handler | None, write: Writer | None) -> Answer:
        if not self.allowed(request):
            return self.error(401)
        if self.settings["denied"] and path == self.list_path:
            return self.error(403)
        if get is not None:
            return get(request)
        try:
            given = json.loads(body or b"{}")
        except ValueError:
            given = None
        return write(request, given) if write is not None and isinstance(given, dict) else self.error(400)

    def under(self, prefix: str) -> list[Entity]:
        """Return the entities right below a path, in the order of their making."""
        found = self.entities()
        return [found[path] for path in found if path.startswith(prefix) and "/" not in path[len(prefix) :]]

    def new_number(self, prefix: str) -> int:
        """Return a number that no entity below a path has had."""
        self._numbers[prefix] = self._numbers.get(prefix, 1000) + 1
        return self._numbers[prefix]

    def entities(self) -> dict[str, Entity]:
        """Return every entity that exists now, by path."""
        changed = cast("dict[str, Entity | None]", self.settings["entities"])
        merged = {**self._demo, **changed}
        return {path: copy.deepcopy(entity) for path, entity in merged.items() if entity is not None}

    def made(self, person: Person) -> Entity:
        """Return one of the customers that the setting `customers` adds, in the platform's shape."""
        raise SettingError("customers", f"{self.name} lists no customers here")

    def everyone(self, written: Sequence[Entity]) -> Population[Entity]:
        """Return the customers that are written down, and those that the settings add."""
        count = cast("int", self.settings["customers"])
        removed = cast("list[int]", self.settings["customers_removed"])
        saved = cast("dict[str, float]", self.settings["customers_saved"])
        return Population(written, count, removed, self.made, saved)

    def find(self, path: str) -> Entity | None:
        """Return one entity, or None when there is none or it was deleted."""
        return self.entities().get(path)

    def put_entity(self, path: str, entity: Entity) -> None:
        """Create an entity or replace it whole. Raises SettingError for a path that the platform has not."""
        self.configure({"entities": {path: entity}})

    def delete_entity(self, path: str) -> None:
        """Delete an entity, or make sure that there is none."""
        self.configure({"entities": {path: None}})

    def configure(self, changes: Mapping[str, JSON]) -> None:
        """Change settings; `entities` adds to the changes made before and takes none of them back."""
        check(dict(changes))
        given = changes.get("entities")
        if isinstance(given, dict):
            before = cast("dict[str, JSON]", self.settings["entities"])
            read = {path.lstrip("/"): self._entity(path.lstrip("/"), value) for path, value in given.items()}
            changes = {**changes, "entities": {**before, **read}}
        super().configure(changes)

    def _entity(self, path: str, value: JSON) -> JSON:
        for pattern, kind in self.entity_paths.items():
            found = re.fullmatch(pattern, path)
            if found is None:
                continue
            if value is None:
                return None
            if not isinstance(value, dict):
                raise SettingError("entities", f"{path} must be an object, or null to delete it")
            return {"id": int(found["id"]) if kind == "number" else found["id"], **value}
        raise SettingError("entities", f"{path} is no path of an entity of {self.name}")

    def state(self) -> JSON:
        """Return every entity by path."""
        return cast("JSON", self.entities())

    def error_body(self, kind: str, status: int) -> Answer:
        """Return one of the platform's errors."""
        if kind not in _STATUSES:
            raise UnknownFaultError(kind)
        return self.error(status or _STATUSES[kind])


def bearer(request: Request) -> str:
    """Return the token of an Authorization header of the Bearer scheme."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def page_number(text: str | None, default: int) -> int:
    """Return a whole number of a query, or what counts where there is none."""
    return int(text) if text and text.isascii() and text.isdigit() else default


def deliverable(url: Any) -> bool:
    """Return whether platforms deliver to a URL: HTTPS at its usual port. The local stack's own is taken, too."""
    parts = urlsplit(url if isinstance(url, str) else "")
    local = parts.hostname in ("127.0.0.1", "localhost")
    return bool(parts.hostname) and (local or (parts.scheme == "https" and parts.port in (None, 443)))


def listed(text: str) -> list[str]:
    """Return the items of a comma-separated parameter."""
    return [part.strip() for part in text.split(",") if part.strip()]
