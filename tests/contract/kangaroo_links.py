"""Seed 001: Kangaroo, branches, integrations and branch links."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.contract.rows import INTEGRATIONS, Reply, Row, World, dig, pick

BRANCHES = f"GET {INTEGRATIONS}/api/v1/branches"
CREATE = f"POST {INTEGRATIONS}/api/v1/integrations"
LINK = f"POST {INTEGRATIONS}/api/v1/branch-links"
LINKS = f"GET {INTEGRATIONS}/api/v1/integrations/20/branch-links"
BRANCH = "11eaa5c938ec36cc9df9b42e99312ac8"
COMMAND = {
    "shop_id": "1234",
    "account_id": "c36cc9df9",
    "store_name": "Harbour",
    "store_domain": "https://harbour.example.com",
}
ANSWER: dict[str, Any] = {
    "id": 1,
    "account_id": "c36cc9df9",
    "shop_id": "1234",
    "store_name": "Harbour",
    "store_domain": "http://example.com",
    "integration_id": 20,
    "branch_id": BRANCH,
    "created_at": "2019-08-24T14:15:22Z",
    "enabled": True,
}
VIRTUAL = {"id": BRANCH, "name": "Online", "virtual_branch_flag": True}
TOWN = {"id": "11eaa5c938ec36cc9df9b42e99312ac9", "name": "Town", "virtual_branch_flag": False}


def link(world: World, answer: Any = ANSWER, command: Mapping[str, Any] = COMMAND, more: Any = None) -> Any:
    """Link the shop of the sample."""
    world.stub.script({LINK: answer if isinstance(answer, Reply) else Reply(answer), **(more or {})})
    return world.kangaroo().create_link(command, BRANCH, 20)


def create(world: World, answer: Any, more: Any = None) -> Any:
    world.stub.script({CREATE: answer if isinstance(answer, Reply) else Reply(answer), **(more or {})})
    return world.kangaroo().create_integration("ABC")


def branches(world: World, answer: Any) -> Any:
    world.stub.script({BRANCHES: answer if isinstance(answer, Reply) else Reply(answer)})
    return world.kangaroo().branches()


def _sent_rows() -> list[Row]:
    def part(do: Callable[[World], Any], line: str, path: str) -> Callable[[World], Any]:
        def run(world: World) -> Any:
            result = do(world)
            assert result["kind"] == "done", result
            request = world.stub.last(line)
            return dig({"line": request.line, "headers": request.headers, "body": request.body}, path)

        return run

    steps: dict[str, tuple[Callable[[World], Any], str, str]] = {
        "GET branches": (lambda w: branches(w, {"data": [VIRTUAL]}), BRANCHES, "application/json"),
        "POST integrations": (lambda w: create(w, {"integration_id": 20}), CREATE, "application/json"),
        "POST branch-links": (link, LINK, "application/vnd.kangaroorewards.api.v1+json"),
    }
    rows = []
    for section, (do, line, accept) in steps.items():
        rows.append(Row("001", section, "the request", "sent", part(do, line, "line"), line))
        headers = {
            "Authorization": "Bearer fake-access",
            "X-Application-Key": "fake-app-key",
            "Accept": accept,
            "Content-Type": "application/json",
        }
        for name, want in headers.items():
            rows.append(Row("001", section, f"header {name}", "sent", part(do, line, f"headers.{name.lower()}"), want))
    do, line, _ = steps["POST integrations"]
    members: dict[str, Any] = {"name": "ABC", "type": 1}
    for name, value in members.items():
        rows.append(Row("001", "POST integrations", name, "sent", part(do, line, f"body.{name}"), value))
    do, line, _ = steps["POST branch-links"]
    for name, value in {**COMMAND, "branch_id": BRANCH, "integration_id": 20}.items():
        rows.append(Row("001", "POST branch-links", name, "sent", part(do, line, f"body.{name}"), value))
    least = {"shop_id": "1234", "account_id": "c36cc9df9"}
    whole = {**least, "branch_id": BRANCH, "integration_id": 20}
    rows.append(
        Row(
            "001",
            "POST branch-links",
            "optional members are absent where unknown",
            "sent",
            part(lambda w: link(w, ANSWER, least), LINK, "body"),
            whole,
        )
    )
    return rows


def _handled_rows() -> list[Row]:
    def row(section: str, item: str, do: Callable[[World], Any], want: Any, deviates: str = "") -> Row:
        return Row("001", section, item, "handled", do, want, deviates)

    rows = [
        row("POST branch-links: response", f"{theirs}", lambda w, ours=ours: link(w)[ours], want)  # type: ignore[misc]
        for theirs, ours, want in (
            ("id is the branch_link_id", "branch_link_id", 1),
            ("account_id", "account_id", "c36cc9df9"),
            ("shop_id", "shop_id", "1234"),
            ("store_name", "store_name", "Harbour"),
            ("store_domain", "store_domain", "http://example.com"),
            ("integration_id", "integration_id", 20),
            ("branch_id", "branch_id", BRANCH),
            ("created_at", "created_at", "2019-08-24T14:15:22Z"),
            ("enabled", "enabled", True),
        )
    ]

    def flags(answer: Any) -> Callable[[World], Any]:
        return lambda world: [[b["id"], b["name"], b["virtual"]] for b in branches(world, answer)["branches"]]

    both = [[TOWN["id"], "Town", False], [BRANCH, "Online", True]]
    rows += [
        row("GET branches: response", "virtual_branch_flag", flags({"data": [TOWN, VIRTUAL]}), both),
        row("GET branches: response", "a bare list", flags([TOWN, VIRTUAL]), both),
        row(
            "GET branches: response",
            "virtual_branch_flag as a text",
            flags([{**VIRTUAL, "virtual_branch_flag": "1"}]),
            both[1:],
        ),
        row("GET branches: response", "a numeric id", flags([{**VIRTUAL, "id": 20}]), [["20", "Online", True]]),
        row(
            "POST integrations: response",
            "integration_id",
            lambda w: create(w, {"integration_id": 20})["integration_id"],
            20,
        ),
        row("POST integrations: response", "id", lambda w: create(w, {"id": 20, "name": "ABC"})["integration_id"], 20),
        row("POST integrations: response", "as a text", lambda w: create(w, {"id": "20"})["integration_id"], 20),
        row(
            "POST integrations: response",
            "wrapped in data",
            lambda w: create(w, {"data": {"id": 20}})["integration_id"],
            20,
        ),
        row(
            "POST integrations: response", "HTTP 201", lambda w: create(w, Reply({"id": 20}, 201))["integration_id"], 20
        ),
        row("POST branch-links: response", "wrapped in data", lambda w: link(w, {"data": ANSWER})["branch_link_id"], 1),
        row("POST branch-links: response", "HTTP 201", lambda w: link(w, Reply(ANSWER, 201))["branch_link_id"], 1),
        row(
            "POST branch-links: response", "id as a text", lambda w: link(w, {**ANSWER, "id": "1"})["branch_link_id"], 1
        ),
        row(
            "POST branch-links: response",
            "enabled false",
            lambda w: link(w, {**ANSWER, "enabled": False})["enabled"],
            False,
        ),
        row(
            "POST branch-links: response",
            "nulls and unknown members",
            lambda w: link(w, {**ANSWER, "store_name": None, "new": {"a": 1}})["store_name"],
            None,
        ),
    ]

    def refused(body: Any, status: int = 422) -> Callable[[World], Any]:
        more = {LINKS: Reply({"data": [ANSWER]})}
        return lambda world: pick(link(world, Reply(body, status), more=more), "kind", "reason", "fields")

    def invalid(name: str) -> dict[str, Any]:
        return {"kind": "permanent", "reason": "invalid", "fields": [name]}

    taken = {"kind": "permanent", "reason": "store_conflict", "fields": []}
    rows += [
        row("rules", "a shop is linked once", refused({"shop_id": ["The shop id has already been taken."]}), taken),
        row("rules", "a shop is linked once: 409", refused({"message": "Conflict"}, 409), taken),
        row(
            "rules",
            "only virtual branches",
            refused({"branch_id": ["The branch is not virtual."]}),
            invalid("branch_id"),
        ),
        row("rules", "an unknown integration", refused({"integration_id": ["is invalid."]}), invalid("integration_id")),
        row(
            "rules", "store_domain of e-commerce", refused({"store_domain": ["is required."]}), invalid("store_domain")
        ),
        row("rules", "account_id is required", refused({"account_id": ["is required."]}), invalid("account_id")),
    ]

    def whole(listing: Reply, answer: Reply = LINKED) -> Callable[[World], Any]:
        """Link through the pipeline, with an integration that the connection names."""

        def do(world: World) -> Any:
            result = run(world, {LINKS: listing, LINK: answer}, integration_id=20)
            return [result.get("result", result["kind"]), LINK in world.stub.lines()]

        return do

    html = "<html><body>Not Found</body></html>"
    section = "only the seed's routes"
    missing = {
        "404 in HTML": Reply(html, 404, kind="text/html"),
        "404": Reply({"message": "Not Found"}, 404),
        "405": Reply({"message": "No"}, 405),
        "405 in HTML": Reply(html, 405, kind="text/html"),
        "403": Reply({"message": "This action is unauthorized."}, 403),
        "403 about the scope": Reply({"message": "Invalid scope(s) provided."}, 403),
        "a page in HTTP 200": Reply(html, kind="text/html"),
        "a redirect": Reply("", 302, headers={"Location": "https://elsewhere.example.com/login"}),
    }
    rows.append(row(section, "the list of links is empty", whole(Reply({"data": []})), ["applied", True]))
    for name, reply in missing.items():
        rows.append(row(section, f"no list of links: {name}", whole(reply), ["applied", True]))
        rows.append(row(section, f"no list of integrations: {name}", _from_nothing(reply), ["applied", 20]))
    rows += [
        row(
            section,
            "no list, and the shop is linked already",
            whole(Reply({}, 404), Reply({"shop_id": ["The shop id has already been taken."]}, 422)),
            ["permanent", True],
        ),
        row(
            section,
            "a list that refuses the credentials",
            whole(Reply({"error": "Unauthorized"}, 401)),
            ["credentials", False],
        ),
        row(
            "POST branch-links: response",
            "enabled false is not plain applied",
            _disabled,
            ["applied", ["link_disabled"]],
        ),
        row("POST branch-links: response", "another shop than was asked for", _another, ["applied", ["link_differs"]]),
    ]
    for value in (0, -1, 5.0, "0", True):
        rows.append(row("POST branch-links: response", f"id {value!r} is no id", _link_id(value), "permanent"))
        rows.append(row("POST integrations: response", f"id {value!r} is no id", _integration_id(value), "permanent"))
    branch = "GET branches: response"
    for wrong in (0, -1, 5.0, "-1", None):
        rows.append(row(branch, f"id {wrong!r} is no id", flags([{**VIRTUAL, "id": wrong}]), []))
    rows += [
        row("selected by the caller", "branch_id", _selected("branch_id", OTHER["id"]), [OTHER["id"], 20]),
        row("selected by the caller", "integration_id", _selected("integration_id", 21), [BRANCH, 21]),
        row("selected by the caller", "integration_name", _named, [{"name": "Tills", "type": 1}, 20]),
        row("rules", "the integration can only be linked to a virtual branch", _not_virtual, ["branch_id"]),
        row("rules", "one integration, several virtual branches", _two_branches, [[BRANCH, 20], [OTHER["id"], 20]]),
        row("rules", "the same shop on a second branch", _second_branch, ["applied", "store_conflict"]),
        row("rules", "the id of the link is stored", _stored, ["unchanged", 1, []]),
        row("prerequisites", "no virtual branch", _no_virtual, "no_virtual_branch"),
        row("prerequisites", "the check of a connection names it", _checked, ["virtual_branch", "business"]),
        row("rules", "store_domain is required for e-commerce", _ecommerce({}), ["invalid", ["store_domain"], []]),
        row(
            "rules",
            "store_domain of an e-commerce shop is a URL",
            _ecommerce({"store_domain": "harbour.example.com"}),
            ["applied", [], ["https://harbour.example.com"]],
        ),
    ]
    return rows


LINKED = Reply(ANSWER)
OTHER = {"id": "11eaa5c938ec36cc9df9b42e99312ad0", "name": "Outlet", "virtual_branch_flag": True}


def run(world: World, script: Mapping[str, Any], command: Mapping[str, Any] = COMMAND, **options: Any) -> Any:
    """Link a shop through the pipeline."""
    relay = world.kangaroo(options=options)
    relay.applied()
    world.stub.script({BRANCHES: Reply({"data": [VIRTUAL]}), **script})
    return relay.run("link_store", command)


def _from_nothing(reply: Reply) -> Callable[[World], Any]:
    """Link where no integration is known and the vendor answers both lists in one way."""

    def do(world: World) -> Any:
        script = {CREATE: Reply({"integration_id": 20}), LINKS: reply, LINK: Reply(ANSWER)}
        result = run(world, {**script, CREATE.replace("POST", "GET"): reply})
        return [result.get("result", result["kind"]), dig(world.stub.last(LINK).body, "integration_id")]

    return do


def _disabled(world: World) -> Any:
    answer = Reply({**ANSWER, "enabled": False})
    return pick_all(run(world, {LINKS: Reply({"data": []}), LINK: answer}, integration_id=20), "result", "codes")


def _another(world: World) -> Any:
    answer = Reply({**ANSWER, "shop_id": "9999"})
    return pick_all(run(world, {LINKS: Reply({"data": []}), LINK: answer}, integration_id=20), "result", "codes")


def pick_all(result: Mapping[str, Any], *names: str) -> list[Any]:
    return [dig(result, name) for name in names]


def _link_id(value: Any) -> Callable[[World], Any]:
    return lambda world: link(world, {**ANSWER, "id": value}, more={LINKS: Reply({"data": []})})["kind"]


def _integration_id(value: Any) -> Callable[[World], Any]:
    listed = {CREATE.replace("POST", "GET"): Reply({"data": []})}
    return lambda world: create(world, {"id": value}, more=listed)["kind"]


def _selected(name: str, value: Any) -> Callable[[World], Any]:
    def do(world: World) -> Any:
        script = {BRANCHES: Reply({"data": [VIRTUAL, OTHER]}), "*": Reply({"data": []}), LINK: Reply(ANSWER)}
        run(world, script, {"branch_id": BRANCH, "integration_id": 20, **COMMAND, name: value})
        return pick_all(world.stub.last(LINK).body, "branch_id", "integration_id")

    return do


def _named(world: World) -> Any:
    script = {"*": Reply({"data": []}), CREATE: Reply({"id": 20}), LINK: Reply(ANSWER)}
    run(world, script, {**COMMAND, "integration_name": "Tills"})
    return [world.stub.last(CREATE).body, dig(world.stub.last(LINK).body, "integration_id")]


def _not_virtual(world: World) -> Any:
    return run(world, {BRANCHES: Reply({"data": [VIRTUAL, TOWN]})}, {**COMMAND, "branch_id": TOWN["id"]})["fields"]


def _two_shops(world: World, second: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Link the sample's shop to one branch, then another command; what was sent, and what came of it."""
    relay = world.kangaroo(options={"integration_id": 20})
    relay.applied()
    world.stub.script({BRANCHES: Reply({"data": [VIRTUAL, OTHER]}), LINKS: Reply({}, 404), LINK: Reply(ANSWER)})
    results = [relay.run("link_store", each) for each in ({**COMMAND, "branch_id": BRANCH}, second)]
    sent = [request.body for request in world.stub.requests if request.line == LINK]
    return sent, [result.get("result", result.get("reason")) for result in results]


def _two_branches(world: World) -> Any:
    sent, _ = _two_shops(world, {**COMMAND, "shop_id": "1235", "branch_id": OTHER["id"]})
    return [pick_all(body, "branch_id", "integration_id") for body in sent]


def _second_branch(world: World) -> Any:
    return _two_shops(world, {**COMMAND, "branch_id": OTHER["id"]})[1]


def _stored(world: World) -> Any:
    relay = world.kangaroo(options={"integration_id": 20})
    relay.applied()
    world.stub.script({BRANCHES: Reply({"data": [VIRTUAL]}), LINKS: Reply({"data": []}), LINK: Reply(ANSWER)})
    relay.run("link_store", COMMAND)
    world.stub.requests.clear()
    again = relay.run("link_store", COMMAND)
    return [again["result"], dig(again, "ids.branch_link_id"), world.stub.lines()]


def _ecommerce(more: Mapping[str, str]) -> Callable[[World], Any]:
    def do(world: World) -> Any:
        relay = world.kangaroo(options={"integration_id": 20})
        secrets = [{"value": "fake-secret"}]
        relay.applied(shop={"platform": "shopify", "stores": ["harbour.example.com"], "secrets": secrets})
        world.stub.script({BRANCHES: Reply({"data": [VIRTUAL]}), LINKS: Reply({}, 404), LINK: Reply(ANSWER)})
        result = relay.run("link_store", {"shop_id": "1234", "account_id": "c36cc9df9", **more})
        sent = [request.body["store_domain"] for request in world.stub.requests if request.line == LINK]
        return [result.get("result", result.get("reason")), result.get("fields") or [], sent]

    return do


def _checked(world: World) -> Any:
    world.stub.script({BRANCHES: Reply({"data": [TOWN]}), "*": Reply({"data": []})})
    wrong = [found for found in world.kangaroo().probe()["findings"] if found["name"] == "virtual_branch"]
    return [wrong[0]["name"], wrong[0]["who"]] if not wrong[0]["ok"] else []


def _no_virtual(world: World) -> Any:
    return run(world, {BRANCHES: Reply({"data": [TOWN]})})["code"]


ROWS = [*_sent_rows(), *_handled_rows()]
