"""Answers as no page shows them: what intermediaries, older versions and accidents make of the documented ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.contract import capillary_v1, kangaroo_crm, kangaroo_links
from tests.contract.capillary_v2 import DONE, post, put
from tests.contract.rows import Reply, Row, World

NAME = {"fields": {"first_name": "Ana"}}
NAME_V1 = {"fields": {"fraud_status": "NONE"}}
LOOKUP = {"GET /v2/customers/lookup": Reply({"entity": 171891944, "warnings": []})}
HTML = "<html><head><title>Service</title></head><body>Sorry</body></html>"
Send = Callable[[World, Reply], Mapping[str, Any]]

WRITES: dict[str, tuple[Send, Any]] = {
    "V2 update": (lambda world, reply: put(world, NAME, reply), DONE),
    "V2 registration": (lambda world, reply: post(world, NAME, reply, more=LOOKUP), DONE),
    "V1.1 update": (
        lambda world, reply: capillary_v1.update(world, NAME_V1, reply, more=LOOKUP),
        capillary_v1.envelope(),
    ),
    "CRM patch": (
        lambda world, reply: kangaroo_crm.patch(world, NAME, reply),
        kangaroo_crm.answered({"first_name": "Ana"}),
    ),
    "branch link": (
        lambda world, reply: kangaroo_links.link(
            world, reply, more={kangaroo_links.LINKS: Reply({"data": [kangaroo_links.ANSWER]})}
        ),
        kangaroo_links.ANSWER,
    ),
}


def _rows() -> Iterator[Row]:
    for name, (send, good) in WRITES.items():
        yield from _of(name, send, good)


def _of(name: str, send: Send, good: Any) -> Iterator[Row]:
    def row(item: str, reply: Reply, want: Any, *, deviates: str = "", brief: bool = False) -> Row:
        def do(world: World) -> Any:
            world.brief = brief
            result = send(world, reply)
            return [result["kind"], result.get("reached")] if isinstance(want, list) else result["kind"]

        return Row("variations", name, item, "handled", do, want, deviates)

    unclear = ["transient", True]
    yield row("gzip", Reply(good, zipped=True), "done")
    yield row("JSON without a label", Reply(good, kind=""), "done")
    yield row("JSON labelled text/plain", Reply(good, kind="text/plain"), "done")
    read_back = name == "branch link"
    yield row("JSON labelled text/html", Reply(good, kind="text/html; charset=UTF-8"), "done")
    yield row("JSON labelled application/xml", Reply(good, kind="application/xml"), "done")
    yield row("a redirect", Reply("", 302, headers={"Location": "https://elsewhere.example.com/"}), unclear)
    yield row("HTTP 201", Reply(good, 201), "done")
    yield row("unknown members", Reply({**good, "added_in_2027": {"deep": [1]}}), "done")
    yield row("an HTML page in HTTP 200", Reply(HTML, kind="text/html"), "done" if read_back else unclear)
    yield row("an HTML page in HTTP 502", Reply(HTML, 502, kind="text/html"), unclear)
    yield row("an HTML page in HTTP 503", Reply(HTML, 503, kind="text/html"), unclear)
    yield row("HTTP 504", Reply("", 504), unclear)
    yield row("HTTP 429", Reply({}, 429), "transient")
    yield row("HTTP 405 in HTML", Reply(HTML, 405, kind="text/html"), "permanent")
    yield row("an answer cut off", Reply(good, fault="cut"), unclear)
    yield row("a reset", Reply(fault="reset"), unclear)
    yield row("a slow drip", Reply({**good, "padding": "x" * 400}, fault="drip"), unclear, brief=True)
    yield row("silence", Reply(fault="silence"), unclear, brief=True)
    if name in ("CRM patch", "V2 update", "V2 registration"):
        yield row("HTTP 204", Reply(status=204), "done")
        yield row("an empty HTTP 200", Reply(""), "done")
        yield row("{} in HTTP 200", Reply({}), "done")
        yield row("HTTP 202 without data", Reply({}, 202), "done")


def _redirected(world: World) -> bool:
    reply = Reply("", 302, headers={"Location": "https://elsewhere.example.com/"})
    results = [send(world, reply) for send, _ in WRITES.values()]
    return len({(result["kind"], result["reason"]) for result in results}) == 1


def _registered(value: Any) -> Callable[[World], Any]:
    """Whether a registration with such an id in its answer ends without that id: the member is looked up."""

    def do(world: World) -> bool:
        result = post(world, NAME, {**DONE, "createdId": value}, more=LOOKUP)
        return [result["kind"], result.get("loyalty_id")] == ["done", "171891944"]

    return do


def _updated(value: Any) -> Callable[[World], Any]:
    return lambda world: put(world, NAME, {**DONE, "createdId": value})["loyalty_id"]


def _other_rows() -> Iterator[Row]:
    item = "a redirect is one class of error"
    yield Row("variations", "both vendors", item, "handled", _redirected, True)
    for value in (0, -1, 5.0, 5.5, True, "", "abc"):
        item = f"createdId {value!r} is no id"
        yield Row("variations", "V2 registration", item, "handled", _registered(value), True)
    for value in (0, -1, 5.0):
        item = f"createdId {value!r} does not become the member's id"
        yield Row("variations", "V2 update", item, "handled", _updated(value), "171891944")


ROWS = [*_rows(), *_other_rows()]
