"""Seed 000: Kangaroo, customer CRM fields and tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.contract.rows import Reply, Row, World, dig, pick

CUSTOMER = "11eb5b4433edf7bfaaffb42e99312ac8"
FIELDS = f"GET /customers/{CUSTOMER}/crm-fields"
PATCH = f"PATCH /customers/{CUSTOMER}/crm-fields"
TAGS = "GET /tags"
Command = Mapping[str, Any]


def field(name: str, value: Any = "", kind: str = "text", **more: Any) -> dict[str, Any]:
    """A CRM field as the list shows it."""
    return {
        "name": name,
        "label": name.replace("_", " ").title(),
        "value": value,
        "is_hidden": False,
        "is_required": False,
        "field_type": kind,
        "is_custom_field": name.startswith("custom_field"),
        "display_order": 3,
        **more,
    }


LIST = {
    "data": [
        field("first_name", "John edited"),
        field("last_name", "Doe", display_order=4),
        field("gender", "male", "select"),
        field("address", display_order=8),
        field("promotions_mail", True, "checkbox"),
        field("tags", [{"tag_name": "Red tag"}, {"tag_name": "Black tag"}], "multi_select"),
        *(field(f"custom_field_{n}", f"John custom field {n}", label=f"Custom Field Label {n}") for n in range(1, 6)),
        *(field(name) for name in ("email", "phone", "country_code", "birth_date", "postal_code", "notes")),
    ]
}
TAG_LIST = {
    "data": [
        {
            "id": 247,
            "name": "Red tag",
            "abbreviation": "RT",
            "color": "#0000ff",
            "created_at": "2024-01-01T07:27:13+00:00",
        },
        {
            "id": 246,
            "name": "Black tag",
            "abbreviation": "BT",
            "color": "#0000ff",
            "created_at": "2024-01-01T15:03:37+00:00",
        },
    ]
}


def answered(sent: Mapping[str, Any]) -> dict[str, Any]:
    """The full list after an update of these values."""
    return {"data": [{**each, "value": sent.get(each["name"], each["value"])} for each in LIST["data"]]}


def patch(
    world: World, command: Command, answer: Reply | None = None, *, fields: Any = LIST, strict: bool = True, **to: Any
) -> Any:
    """Patch the CRM fields of the sample's customer; the vendor returns what was sent unless ``answer`` is given."""
    path = to.get("options", {}).get("crm_fields_path", "crm-fields")
    world.stub.script(
        {
            FIELDS: Reply(fields),
            TAGS: Reply(TAG_LIST),
            f"PATCH /customers/{CUSTOMER}/{path}": answer or (lambda request: Reply(answered(request.body))),
        }
    )
    return world.kangaroo(**to).patch(CUSTOMER, command, strict=strict)


def sent(command: Command, path: str = "body", **to: Any) -> Callable[[World], Any]:
    """Return the value at a path of the PATCH."""

    def do(world: World) -> Any:
        result = patch(world, command, **to)
        assert result["kind"] == "done", result
        request = next(r for r in world.stub.requests if r.method == "PATCH")
        parts = {"body": request.body, "headers": request.headers, "line": request.line, "query": request.query}
        return dig(parts, path)

    return do


NAME = {"fields": {"first_name": "Ana"}}


def _request_rows() -> list[Row]:
    def row(item: str, command: Command, want: Any, path: str = "body", seed: str = "000", **more: Any) -> Row:
        deviates = more.pop("deviates", "")
        return Row(seed, "PATCH crm-fields", item, "sent", sent(command, path, **more), want, deviates)

    def one(name: str, ours: str, value: Any, want: Any = None, *, seed: str = "000", **more: Any) -> Row:
        label = f"{name}: {want if want is not None else value!r}"
        return row(label, {"fields": {ours: value}}, {name: value if want is None else want}, seed=seed, **more)

    def get(line: str, path: str, read: Callable[[Any], Any]) -> Callable[[World], Any]:
        def do(world: World) -> Any:
            world.stub.script({FIELDS: Reply(LIST), TAGS: Reply(TAG_LIST)})
            read(world.kangaroo())
            request = world.stub.last(line)
            return dig({"headers": request.headers, "query": request.query, "line": request.line}, path)

        return do

    media = "application/vnd.kangaroorewards.api.v1+json"
    headers = {
        "authorization": "Bearer fake-access",
        "x-application-key": "fake-app-key",
        "accept": media,
        "content-type": "application/json",
    }
    rows = [row(f"header {name}", NAME, want, f"headers.{name}") for name, want in headers.items()]
    for line, read in ((FIELDS, lambda crm: crm.crm_fields(CUSTOMER)), (TAGS, lambda crm: crm.tags())):
        section = line.replace(CUSTOMER, "{id}")
        rows.append(Row("000", section, "the request", "sent", get(line, "line", read), line))
        for name in ("authorization", "x-application-key", "accept", "content-type"):
            do = get(line, f"headers.{name}", read)
            rows.append(Row("000", section, f"header {name}", "sent", do, headers[name]))
    tags = [{"tag_name": "Red tag"}, {"tag_name": "Black tag"}]
    sample = {
        "fields": {
            "first_name": "John edited",
            "gender": "male",
            "subscriptions.email.bulk": True,
            **{f"custom_fields.custom_field_{n}": f"John custom field {n}" for n in range(1, 5)},
        },
        "replace_tags": ["Red tag", "Black tag"],
    }
    whole = {
        "first_name": "John edited",
        "gender": "male",
        "promotions_mail": True,
        **{f"custom_field_{n}": f"John custom field {n}" for n in range(1, 5)},
        "tags": tags,
    }
    rows += [
        row("the request", NAME, PATCH, "line"),
        row("the sample as a whole", sample, whole),
        one("first_name", "first_name", "Zoë"),
        one("gender", "gender", "male"),
        one("gender", "gender", "female"),
        row("gender in capitals", {"fields": {"gender": "Female"}}, {"gender": "female"}),
        one("promotions_mail", "subscriptions.email.bulk", True),
        one("promotions_mail", "subscriptions.email.bulk", False),
        *(one(f"custom_field_{n}", f"custom_fields.custom_field_{n}", f"value {n}") for n in range(1, 5)),
        row("tags.tag_name", {"replace_tags": ["Black tag"]}, {"tags": [{"tag_name": "Black tag"}]}),
        row("tags: one added to what is there", {"fields": {"tags.Red tag": False}}, {"tags": tags[1:]}),
        one("custom_field_5", "custom_fields.custom_field_5", "value 5", seed="ref A8.3"),
        one("last_name", "last_name", "Doe", seed="ref A8.3"),
        one("email", "email", "ana@example.com", seed="ref A8.3"),
        one("birth_date", "birthday", "1990-12-31", seed="ref A8.3"),
        one("postal_code", "postal_code", "BA1 1AA", seed="ref A8.3"),
        one("notes", "notes", "likes blue", seed="ref A8.3"),
        one("gender", "gender", "nonbinary", seed="ref A8.3"),
        row(
            "phone and country_code",
            {"fields": {"phone": "+447700900123"}},
            {"phone": "7700900123", "country_code": "GB"},
            seed="ref A8.3",
        ),
        row(
            "path crm-fields-values where a business has it",
            NAME,
            f"PATCH /customers/{CUSTOMER}/crm-fields-values",
            "line",
            seed="ref A8.3",
            options={"crm_fields_path": "crm-fields-values"},
        ),
        one("first_name", "first_name", None, "", seed="ref A8.3"),
        one("phone", "phone", None, "", seed="ref A8.3"),
        *(one("custom_field_1", "custom_fields.custom_field_1", value, str(value).lower()) for value in (True, False)),
    ]
    digits = {46: "46", 12345678901234567890: "12345678901234567890", 0.5: "0.5", 19999.99: "19999.99"}
    for number, want in {**digits, 1234567.5: "1234567.5"}.items():
        rows.append(one("custom_field_1", "custom_fields.custom_field_1", number, want))
    return rows


def _response_rows() -> list[Row]:
    def row(section: str, item: str, do: Callable[[World], Any], want: Any, deviates: str = "") -> Row:
        return Row("000", section, item, "handled", do, want, deviates)

    def after(path: str) -> Callable[[World], Any]:
        return lambda world: dig(patch(world, NAME, Reply(LIST | {"data": LIST["data"]})), path)

    def listed(path: str, fields: Any = LIST) -> Callable[[World], Any]:
        def do(world: World) -> Any:
            world.stub.script({FIELDS: Reply(fields)})
            return dig(world.kangaroo().crm_fields(CUSTOMER), path)

        return do

    def tag(path: str, tags: Any = TAG_LIST) -> Callable[[World], Any]:
        def do(world: World) -> Any:
            world.stub.script({TAGS: Reply(tags)})
            return dig(world.kangaroo().tags(), path)

        return do

    rows = []
    for section, get in (("GET crm-fields: response", listed), ("PATCH crm-fields: response", after)):
        prefix = "fields." if get is listed else "details.fields."
        rows += [
            row(section, "name", get(prefix + "0.name"), "first_name"),
            row(section, "label", get(prefix + "6.label"), "Custom Field Label 1"),
            row(section, "value: text", get(prefix + "0.value"), "John edited"),
            row(section, "value: boolean of a checkbox", get(prefix + "4.value"), True),
            row(section, "value: tags", get(prefix + "5.value"), ["Red tag", "Black tag"]),
            row(section, "value: empty text", get(prefix + "3.value"), ""),
            row(section, "is_hidden", get(prefix + "0.is_hidden"), False),
            row(section, "is_required", get(prefix + "0.is_required"), False),
            row(section, "field_type text", get(prefix + "0.field_type"), "text"),
            row(section, "field_type select", get(prefix + "2.field_type"), "select"),
            row(section, "field_type checkbox", get(prefix + "4.field_type"), "checkbox"),
            row(section, "field_type multi_select", get(prefix + "5.field_type"), "multi_select"),
            row(section, "is_custom_field", get(prefix + "6.is_custom_field"), True),
            row(section, "display_order", get(prefix + "3.display_order"), 8),
        ]
    for name, want in TAG_LIST["data"][0].items():
        rows.append(row("GET tags: response", name, tag(f"tags.0.{name}"), want))

    def refused(fields: Any, command: Command = NAME) -> Callable[[World], Any]:
        return lambda world: pick(patch(world, command, fields=fields), "kind", "fields")

    hidden = {"data": [field("first_name", is_hidden=True), field("last_name")]}
    required = {"data": [field("first_name", "Ana", is_required=True)]}
    problem = {"kind": "permanent", "fields": ["first_name"]}
    rows += [
        row("rules", "a hidden field is not sent", refused(hidden), problem),
        row("rules", "a required field is not emptied", refused(required, {"fields": {"first_name": None}}), problem),
        row("rules", "a field the business has not enabled", refused({"data": [field("notes")]}), problem),
        row(
            "rules",
            "no CRM fields: the module is not granted",
            refused({"data": []}),
            {"kind": "credentials", "fields": []},
        ),
        row("rules", "at least one attribute", refused(LIST, {}), {"kind": "permanent", "fields": ["fields"]}),
        row(
            "rules",
            "a gender is not emptied: the list has no empty one",
            refused(LIST, {"fields": {"gender": None}}),
            {"kind": "permanent", "fields": ["gender"]},
        ),
        row(
            "rules",
            "a tag must be one of GET /tags",
            refused(LIST, {"replace_tags": ["Green tag"]}),
            {"kind": "permanent", "fields": ["replace_tags"]},
        ),
    ]
    return rows


ERRORS: dict[str, tuple[int, Any, dict[str, Any]]] = {
    "E1 404": (
        404,
        {"error": {"status_code": 404, "message": "Customer not found", "description": "It doesn't exist."}},
        {"kind": "permanent", "reason": "customer_not_found"},
    ),
    "E1 400": (
        400,
        {"error": {"status_code": 400, "message": "Bad Request", "description": "No."}},
        {"kind": "permanent", "reason": "rejected"},
    ),
    "E1 401": (
        401,
        {"error": {"status_code": 401, "message": "Unauthenticated.", "description": "Unauthenticated."}},
        {"kind": "credentials", "reason": "credentials"},
    ),
    "E2 422": (
        422,
        {"first_name": ["The first name is too long."]},
        {"kind": "permanent", "reason": "invalid", "fields": ["first_name"]},
    ),
    "E2 422 of a custom field": (
        422,
        {"custom_field_1": ["The custom field 1 is too long."]},
        {"kind": "permanent", "reason": "invalid", "fields": ["custom_fields.custom_field_1"]},
    ),
    "E2 422 with a dotted name": (
        422,
        {"tags.0.tag_name": ["The selected tags.0.tag_name is invalid."]},
        {"kind": "permanent", "reason": "invalid"},
    ),
    "E3 422": (
        422,
        {"errors": {"first_name": ["is wrong"]}},
        {"kind": "permanent", "reason": "invalid", "fields": ["first_name"]},
    ),
    "E5 401": (401, {"error": "Unauthorized"}, {"kind": "credentials"}),
    "E5 404": (404, {"error": "Customer not found"}, {"kind": "permanent", "reason": "customer_not_found"}),
    "E6 422": (
        422,
        {"errors": [{"status": "422", "title": "Unprocessable Content", "detail": "The gender field is required."}]},
        {"kind": "permanent", "reason": "invalid", "fields": ["gender"]},
    ),
    "E6 422 as a number": (
        422,
        {"errors": [{"status": 422, "title": "Unprocessable Content", "detail": "No."}]},
        {"kind": "permanent"},
    ),
    "E7 409": (
        409,
        {"status_code": 409, "message": "Conflict", "description": "started already"},
        {"kind": "permanent", "reason": "rejected"},
    ),
    "Laravel 422: message and errors": (
        422,
        {"message": "The given data was invalid.", "errors": {"first_name": ["is wrong"]}},
        {"kind": "permanent", "reason": "invalid", "fields": ["first_name"]},
    ),
    "an error inside 200": (
        200,
        {"error": {"status_code": 404, "message": "Customer not found", "description": "It doesn't exist."}},
        {"kind": "permanent", "reason": "customer_not_found"},
    ),
    "429": (429, {"message": "Too Many Attempts."}, {"kind": "transient", "reason": "rate_limited"}),
    "500": (500, {"message": "Server Error"}, {"kind": "transient", "reason": "unavailable"}),
    "503": (503, "", {"kind": "transient", "reason": "unavailable"}),
    "504": (504, "", {"kind": "transient", "reason": "timeout", "reached": True}),
}


def _error_rows() -> list[Row]:
    def do(status: int, body: Any, names: list[str]) -> Callable[[World], Any]:
        return lambda world: {n: v for n, v in patch(world, NAME, Reply(body, status)).items() if n in names}

    rows = [
        Row("ref A3", "Kangaroo errors", name, "handled", do(status, body, list(want)), want)
        for name, (status, body, want) in ERRORS.items()
    ]
    for name, body in (
        ("E4 403", {"message": "This action is unauthorized."}),
        ("E1 403", {"error": {"status_code": 403, "message": "Forbidden", "description": "Not your customer."}}),
    ):
        rows.append(Row("ref A3", "Kangaroo errors", name, "handled", do(403, body, ["kind"]), {"kind": "permanent"}))

    def reset(world: World) -> Any:
        ends = str(round(world.stack.clock.now) + 42)
        limits = {"X-RateLimit-Limit": "239", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": ends}
        return patch(world, NAME, Reply({"message": "Too Many Attempts."}, 429, headers=limits))["retry_after"]

    def not_allowed(world: World) -> Any:
        world.stub.script({FIELDS: Reply({"message": "Method Not Allowed"}, 405)})
        return "crm_fields_path" in world.kangaroo().crm_fields(CUSTOMER)["message"]

    rows += [
        Row("ref A4", "rate limit", "X-RateLimit-Reset", "handled", reset, 42.0),
        Row("ref A3", "Kangaroo errors", "405 of another route", "handled", not_allowed, False),
    ]
    return rows


def _page_rows() -> list[Row]:
    tags = TAG_LIST["data"]

    def pages(first: Any, second: Any) -> Callable[[World], Any]:
        def do(world: World) -> Any:
            world.stub.script({TAGS: [Reply(first), Reply(second)]})
            found = world.kangaroo().tags()
            asked = [request.query.get("page") for request in world.stub.requests]
            return [[tag["id"] for tag in found["tags"]], asked]

        return do

    def links(page: int, following: str | None) -> dict[str, Any]:
        path = "http://api.kangaroorewards.com/tags"
        return {
            "links": {"first": f"{path}?page=1", "last": None, "prev": None, "next": following},
            "meta": {"current_page": page, "from": 1, "path": path, "per_page": 1, "to": 1},
        }

    both = [[247, 246], [None, "2"]]
    older = {"count": 1, "next": 2, "next_uri": "/tags?page=2"}
    rows = {
        "cursor with next_uri": (
            pages({"data": tags[:1], "cursor": older, "meta": {"total": 2}}, {"data": tags[1:], "meta": {"total": 2}}),
            both,
        ),
        "cursor with next_uri without a slash": (
            pages({"data": tags[:1], "cursor": {**older, "next_uri": "tags?page=2"}}, {"data": tags[1:]}),
            both,
        ),
        "links.next with http": (
            pages(
                {"data": tags[:1], **links(1, "http://api.kangaroorewards.com/tags?page=2")},
                {"data": tags[1:], **links(2, None)},
            ),
            both,
        ),
        "one page without links, cursor and meta": (pages({"data": tags}, {"data": []}), [[247, 246], [None]]),
        "an empty page ends the list": (
            pages({"data": tags[:1], **links(1, "x")}, {"data": [], **links(2, "x")}),
            [[247], [None, "2"]],
        ),
    }
    return [Row("ref A5", "pages", name, "handled", do, want) for name, (do, want) in rows.items()]


def _token_rows() -> list[Row]:
    password = {
        "type": "password",
        "application_key": "fake-app-key",
        "client_id": "11",
        "client_secret": "fake-client-secret",
        "username": "owner@example.com",
        "password": "fake-password",
    }
    machine = {"type": "client_credentials", "client_id": "12", "client_secret": "fake-machine-secret"}
    token = {"access_token": "A1", "refresh_token": "R1", "expires_in": 3920, "token_type": "Bearer"}
    unauthenticated = Reply({"error": {"status_code": 401, "message": "Unauthenticated.", "description": ""}}, 401)

    def ask(world: World, tokens: list[Reply], tags: list[Reply], credentials: Any = password) -> Any:
        world.stub.script({"POST /oauth/token": tokens, TAGS: tags})
        return world.kangaroo(credentials=credentials).tags()

    def grant(path: str) -> Callable[[World], Any]:
        def do(world: World) -> Any:
            ask(world, [Reply(token)], [Reply(TAG_LIST)])
            request = world.stub.requests[0]
            return dig({"body": request.body, "headers": request.headers}, path)

        return do

    def renewed(world: World) -> Any:
        second = {**token, "access_token": "A2", "refresh_token": "R2"}
        ask(world, [Reply(token), Reply(second)], [unauthenticated, Reply(TAG_LIST)])
        asked = [dig(r.body, "grant_type") or r.headers["authorization"] for r in world.stub.requests]
        return [*asked, dig(world.stub.requests[2].body, "refresh_token")]

    def given_up(world: World) -> Any:
        result = ask(world, [Reply(token)], [unauthenticated])
        return [result["kind"], len([r for r in world.stub.requests if r.line == TAGS])]

    def refused(body: Any, status: int) -> Callable[[World], Any]:
        return lambda world: ask(world, [Reply(body, status)], [Reply(TAG_LIST)])["kind"]

    def expired(world: World) -> Any:
        world.stub.script({"POST /oauth/token": Reply(token), TAGS: Reply(TAG_LIST)})
        crm = world.kangaroo(credentials=password)
        crm.tags()
        world.stack.clock.now += 4000
        crm.tags()
        return world.stub.lines()

    def integrations(world: World) -> Any:
        line = "POST /integrations-host/oauth/token"
        world.stub.script(
            {line: Reply({"access_token": "M1", "expires_in": 600}), "*": Reply({"data": []})},
        )
        world.kangaroo(credentials=machine).branches()
        return [world.stub.last(line).body, world.stub.requests[-1].headers["authorization"]]

    def row(item: str, do: Callable[[World], Any], want: Any, way: Any = "sent") -> Row:
        return Row("ref A2", "OAuth", item, way, do, want)

    form = {
        "grant_type": "password",
        "username": "owner@example.com",
        "password": "fake-password",
        "application_key": "fake-app-key",
        "client_id": "11",
        "client_secret": "fake-client-secret",
        "scope": "admin",
    }
    machine_body = {
        "grant_type": "client_credentials",
        "client_id": 12,
        "client_secret": "fake-machine-secret",
        "scope": "admin",
    }
    return [
        *(row(f"password grant: {name}", grant(f"body.{name}"), want) for name, want in form.items()),
        row("password grant: X-Application-Key", grant("headers.x-application-key"), "fake-app-key"),
        row("password grant: Accept", grant("headers.accept"), "application/json"),
        row(
            "password grant: a form",
            grant("headers.content-type"),
            "application/x-www-form-urlencoded",
        ),
        row("client credentials of the integrations host", integrations, [machine_body, "Bearer M1"]),
        row(
            "401: refreshed once with the refresh token",
            renewed,
            ["password", "Bearer A1", "refresh_token", "Bearer A2", "R1"],
            "handled",
        ),
        row("401 again after one renewal", given_up, ["credentials", 2], "handled"),
        row("expires_in", expired, ["POST /oauth/token", TAGS, "POST /oauth/token", TAGS], "handled"),
        row(
            "invalid_grant",
            refused({"error": "invalid_grant", "error_description": "x"}, 400),
            "credentials",
            "handled",
        ),
        row("invalid_client", refused({"error": "invalid_client", "message": "x"}, 401), "credentials", "handled"),
        row("error as an object", refused({"error": {"description": "x"}}, 401), "credentials", "handled"),
        row("token endpoint 503", refused("", 503), "transient", "handled"),
    ]


NEW = {"customer": {"source_id": "7", "identifiers": [{"type": "email", "value": "new@example.com"}]}}
FOUND = {"data": [{"id": CUSTOMER, "email": "new@example.com"}]}
CONSENT = "subscriptions.email.bulk"


def webhook(
    world: World,
    fields: Mapping[str, Any],
    *,
    known: bool = True,
    script: Mapping[str, Any] | None = None,
    more: Any = None,
) -> Any:
    """Carry out a shop's event about a customer who is, or is not, at the vendor."""
    relay = world.kangaroo()
    relay.applied()
    world.stub.script(
        {
            "GET /customers": Reply(FOUND if known else {"data": []}),
            "POST /customers": Reply({"data": {"id": CUSTOMER}}),
            FIELDS: Reply(LIST),
            TAGS: Reply(TAG_LIST),
            PATCH: lambda request: Reply(answered(request.body)),
            **(script or {}),
        }
    )
    return relay.run("patch_crm_fields", {**NEW, **(more or {}), "fields": fields})


def patched(world: World) -> list[Any]:
    return [request.body for request in world.stub.requests if request.method == "PATCH"]


BAD: dict[str, dict[str, Any]] = {
    "an unknown tag": {"tags.Green tag": True},
    "a tag that is neither true nor false": {"tags.Red tag": "perhaps"},
    "a list for a name": {"first_name": ["Ana"]},
    "a boolean for a name": {"first_name": True},
    "a number for a name": {"first_name": 7},
    "an object for notes": {"notes": {"a": 1}},
    "a list for a custom text": {"custom_fields.custom_field_1": ["a"]},
    "an object for a custom text": {"custom_fields.custom_field_1": {"a": 1}},
    "a field that the business has not": {"custom_fields.custom_field_9": "x"},
    "a field that the vendor has not": {"loyalty_type": "loyalty"},
    "a day that there is not": {"birthday": "1990-02-31"},
    "a gender that there is not": {"gender": "robot"},
    "no gender": {"gender": None},
    "no e-mail address": {"email": "nobody"},
    "no phone number": {"phone": "12"},
    "a number for a phone": {"phone": 12},
    "a required field emptied": {"last_name": None},
}
"""What of a shop's event cannot be sent; the rest of the event is."""


def _one_bad_value(bad: Mapping[str, Any], known: bool) -> Callable[[World], Any]:
    fields = {"data": [{**f, "is_required": f["name"] == "last_name"} for f in LIST["data"]]}

    def do(world: World) -> Any:
        result = webhook(world, {CONSENT: False, **bad}, known=known, script={FIELDS: Reply(fields)})
        return [result.get("result"), result.get("created"), patched(world)]

    return do


def _refused_by_vendor(shape: Any) -> Callable[[World], Any]:
    def answer(request: Any) -> Reply:
        return Reply(shape, 422) if "notes" in request.body else Reply(answered(request.body))

    def do(world: World) -> Any:
        result = webhook(world, {CONSENT: False, "notes": "x" * 9999}, known=False, script={PATCH: answer})
        return [result.get("result"), result.get("created"), patched(world)[-1], result.get("codes")]

    return do


def _refused_registration(world: World) -> Any:
    def answer(request: Any) -> Reply:
        wrong = {"first_name": ["The first name is too long."]}
        return Reply(wrong, 422) if "first_name" in request.body else Reply({"data": {"id": CUSTOMER}})

    result = webhook(world, {CONSENT: False, "first_name": "x"}, known=False, script={"POST /customers": answer})
    return [result["result"], result["created"], patched(world)]


def _misnamed(identifiers: list[Mapping[str, str]]) -> Callable[[World], Any]:
    """An event whose customer is not registered yet and has these identifiers."""

    def do(world: World) -> Any:
        who = {"customer": {"source_id": "7", "identifiers": identifiers}}
        result = webhook(world, {CONSENT: False, "email": "nobody"}, known=False, more=who)
        made = next((sorted(r.body) for r in world.stub.requests if r.line == "POST /customers"), None)
        return [result.get("result", result.get("reason")), made, patched(world)]

    return do


def _nothing_registered(identifier: Mapping[str, str]) -> Callable[[World], Any]:
    """An event that cannot be carried out registers nobody."""

    def do(world: World) -> Any:
        relay = world.kangaroo()
        relay.applied()
        world.stub.script({"*": Reply({"data": []})})
        command = {"customer": {"identifiers": [identifier]}, "fields": {"first_name": "Ana"}}
        result = relay.run("patch_crm_fields", command)
        return [result["kind"] == "done" or result["kind"], "POST /customers" in world.stub.lines()]

    return do


def _repeated(answer: Mapping[str, Any]) -> Callable[[World], Any]:
    """Fields of the requests of two events with the same value, where the vendor shows ``answer``."""

    def do(world: World) -> Any:
        relay = world.kangaroo()
        relay.applied()
        world.stub.script(
            {"GET /customers": Reply(FOUND), FIELDS: Reply(LIST), PATCH: Reply(answered(answer))},
        )
        for _ in range(2):
            relay.run("patch_crm_fields", {**NEW, "fields": {"first_name": "Ana", "notes": "x"}})
        return [sorted(body) for body in patched(world)]

    return do


def _forced(fields: Mapping[str, Any]) -> Callable[[World], Any]:
    """What a caller's repetition of what is known to be there sends: none without force, all with it."""

    def do(world: World) -> Any:
        relay = world.kangaroo()
        relay.applied()
        world.stub.script({FIELDS: Reply(LIST), TAGS: Reply(TAG_LIST), PATCH: lambda r: Reply(answered(r.body))})
        command = {"customer": {"loyalty_id": CUSTOMER}, "fields": fields}
        results = [relay.run("patch_crm_fields", command, source="api", force=force) for force in (False, False, True)]
        return [[result.get("result") for result in results], patched(world)]

    return do


def _answer_rows() -> list[Row]:
    def row(section: str, item: str, do: Callable[[World], Any], want: Any, seed: str = "000") -> Row:
        return Row(seed, section, item, "handled", do, want)

    rows = []
    for known in (True, False):
        section = "a shop's event: one bad value" + ("" if known else ", customer not yet registered")
        for name, bad in BAD.items():
            want = ["applied", not known, [{"promotions_mail": False}]]
            rows.append(row(section, name, _one_bad_value(bad, known), want))
    do = _misnamed([{"type": "email", "value": "nobody"}, {"type": "mobile", "value": "+447700900123"}])
    item = "an e-mail that is none, with a phone"
    rows.append(
        row(
            "a shop's event: who it is about",
            item,
            do,
            ["applied", ["country_code", "phone"], [{"promotions_mail": False}]],
        )
    )
    do = _misnamed([{"type": "email", "value": "nobody"}])
    item = "an e-mail that is none, alone"
    rows.append(row("a shop's event: who it is about", item, do, ["customer_unknown", None, []]))
    do = _misnamed([{"type": "external_id", "value": "7"}, {"type": "email", "value": "new@example.com"}])
    item = "an identifier that the vendor has not, with an e-mail"
    rows.append(row("a shop's event: who it is about", item, do, ["applied", ["email"], [{"promotions_mail": False}]]))
    section = "a shop's event: refused by the vendor"
    refusals = {
        "E2": {"notes": ["The notes are too long."]},
        "E3": {"errors": {"notes": ["The notes are too long."]}},
        "E6": {"errors": [{"status": 422, "detail": "The notes field is too long."}]},
    }
    for name, shape in refusals.items():
        want = ["applied", True, {"promotions_mail": False}, ["value_refused"]]
        rows.append(row(section, f"{name} about one field", _refused_by_vendor(shape), want, "ref A3"))
    want = ["applied", True, [{"promotions_mail": False}]]
    rows.append(row(section, "one field of the registration", _refused_registration, want, "ref A8.4"))
    ana = {"first_name": "Ana"}
    want = [["applied", "unchanged", "applied"], [ana, ana]]
    rows.append(row("PATCH crm-fields", "force sends what is unchanged", _forced(ana), want))
    nobody = "an event that cannot be carried out registers nobody"
    for kind, value in (("email", "nobody"), ("mobile", "12"), ("card_number", "1234")):
        do = _nothing_registered({"type": kind, "value": value})
        rows.append(row(nobody, f"{kind} {value}", do, ["permanent", False], "ref A8.4"))
    section = "PATCH crm-fields: response"
    rows += [
        row(
            section,
            "the value that was sent is not sent again",
            _repeated({"first_name": "Ana", "notes": "x"}),
            [["first_name", "notes"]],
        ),
        row(
            section,
            "another value is sent again",
            _repeated({"first_name": "Eva", "notes": "x"}),
            [["first_name", "notes"], ["first_name"]],
        ),
    ]
    for wrong in (0, -1, 5.0, "0", True, None):
        found = {
            "GET /customers": [Reply({"data": []}), Reply(FOUND)],
            "POST /customers": Reply({"data": {"id": wrong}}),
        }
        do = _registered_id(found)
        rows.append(row("POST /customers: response", f"id {wrong!r} is no id", do, CUSTOMER, "ref A8.4"))
    return rows


def _registered_id(script: Mapping[str, Any]) -> Callable[[World], Any]:
    return lambda world: webhook(world, {CONSENT: False}, script=script)["loyalty_id"]


ROWS = [*_answer_rows(), *_request_rows(), *_response_rows(), *_error_rows(), *_page_rows(), *_token_rows()]
