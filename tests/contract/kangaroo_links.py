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
    numeric = "a branch whose id is a number is left out of the list"
    rows += [
        row("GET branches: response", "virtual_branch_flag", flags({"data": [TOWN, VIRTUAL]}), both),
        row("GET branches: response", "a bare list", flags([TOWN, VIRTUAL]), both),
        row(
            "GET branches: response",
            "virtual_branch_flag as a text",
            flags([{**VIRTUAL, "virtual_branch_flag": "1"}]),
            both[1:],
        ),
        row(
            "GET branches: response", "a numeric id", flags([{**VIRTUAL, "id": 20}]), [["20", "Online", True]], numeric
        ),
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

    def whole(listing: Reply, answer: Any = ANSWER) -> Callable[[World], Any]:
        """Link through the pipeline, with an integration that the connection names."""

        def do(world: World) -> Any:
            world.stub.script(
                {BRANCHES: Reply({"data": [VIRTUAL]}), LINKS: listing, LINK: Reply(answer)},
            )
            relay = world.kangaroo(options={"integration_id": 20})
            relay.applied()
            result = relay.run("link_store", COMMAND)
            return [result.get("result", result["kind"]), LINK in world.stub.lines()]

        return do

    html = Reply("<html><body>Not Found</body></html>", 404, kind="text/html")
    denied = Reply({"message": "This action is unauthorized."}, 403)
    seed_only = "the undocumented list of links has to answer before a shop is linked"
    rows += [
        row("only the seed's routes", "the list of links is empty", whole(Reply({"data": []})), ["applied", True]),
        row("only the seed's routes", "no list of links: 404 in HTML", whole(html), ["applied", True], seed_only),
        row(
            "only the seed's routes",
            "no list of links: 404",
            whole(Reply({"message": "Not Found"}, 404)),
            ["applied", True],
            seed_only,
        ),
        row(
            "only the seed's routes",
            "no list of links: 405",
            whole(Reply({"message": "No"}, 405)),
            ["applied", True],
            seed_only,
        ),
        row("only the seed's routes", "no list of links: 403", whole(denied), ["applied", True], seed_only),
    ]

    rows.append(
        row(
            "POST branch-links: response",
            "enabled false is not plain applied",
            _plainly_applied,
            False,
            "a link that the vendor answers as not enabled counts as applied without a notice",
        )
    )
    return rows


def _plainly_applied(world: World) -> bool:
    world.stub.script(
        {
            BRANCHES: Reply({"data": [VIRTUAL]}),
            LINKS: Reply({"data": []}),
            LINK: Reply({**ANSWER, "enabled": False}),
        }
    )
    relay = world.kangaroo(options={"integration_id": 20})
    relay.applied()
    result = relay.run("link_store", COMMAND)
    return bool(result.get("result") == "applied" and not result["notices"])


ROWS = [*_sent_rows(), *_handled_rows()]
