"""Only the operator's own browser may use the console, and only a form of the console changes anything."""

from __future__ import annotations

import socket

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from devkit.console.rendering import form_of
from devkit.console.safety import LONGEST_FORM, Keys, Safety
from devkit.console.serve import HOST, ConsoleServer
from devkit.stacks.errors import CommandError
from tests.console.conftest import ORIGIN, PORT, Browser, Client
from tests.pipeline.conftest import Relay
from tests.support.stack import outside

CHANGED: list[dict[str, str]] = []


def change(request: Request) -> JSONResponse:
    CHANGED.append(form_of(request))
    return JSONResponse("done")


def broken(request: Request) -> JSONResponse:
    raise RuntimeError(request.query_params["text"])


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def client(keys: Keys) -> Client:
    """A browser that was let in, at an application that has a change and a defect."""
    CHANGED.clear()
    app = Starlette(routes=[Route("/change", change, methods=["GET", "POST"]), Route("/broken", broken)])
    made = Client(Safety(app, keys, PORT))
    assert made.get("/", params={"key": keys.access}).status_code == 303
    return made


FORM = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}


def test_a_form_of_the_console_changes_something(client: Client, keys: Keys) -> None:
    done = client.post("/change", data={"csrf": keys.form, "a": "ü&="}, headers=FORM)
    assert (done.status_code, CHANGED) == (200, [{"a": "ü&="}])


@pytest.mark.attack(
    "operators",
    "a page of another site whose name leads to 127.0.0.1 (DNS rebinding)",
    "the console accepts its own Host headers only",
    "",
)
@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", ""])
def test_another_host_header_is_refused(client: Client, keys: Keys, host: str) -> None:
    for answer in (
        client.get("/change", headers={"Host": host}),
        client.get("/", params={"key": keys.access}, headers={"Host": host}),
        client.post("/change", data={"csrf": keys.form}, headers={**FORM, "Host": host}),
    ):
        assert answer.status_code == 421
    assert not CHANGED


@pytest.mark.attack(
    "operators",
    "a form of another site that is open in the operator's browser",
    "the console's changes need its Origin, a token of its forms, and a cookie that other sites' requests do not carry",
    "",
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://127.0.0.1:{PORT}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_form_of_another_origin_is_refused(client: Client, keys: Keys, headers: dict[str, str]) -> None:
    assert client.post("/change", data={"csrf": keys.form}, headers=headers).status_code == 403
    assert not CHANGED


@pytest.mark.parametrize("form", [{"a": "b"}, {"csrf": ""}, {"csrf": "wrong"}, {"csrf": "ü"}])
def test_a_form_without_its_token_is_refused(client: Client, form: dict[str, str]) -> None:
    assert client.post("/change", data=form, headers=FORM).status_code == 403
    assert not CHANGED


def test_only_forms_are_read_and_only_of_a_bounded_size(client: Client, keys: Keys) -> None:
    def sent(content: bytes, type: str = "application/x-www-form-urlencoded") -> int:
        return client.post("/change", content=content, headers={**FORM, "Content-Type": type}).status_code

    good = f"csrf={keys.form}".encode()
    assert sent(good, "text/plain") == 415
    assert sent(good, "multipart/form-data") == 415
    assert sent(good + b"&a=" + b"x" * LONGEST_FORM) == 413
    assert sent(good + b"&a=%ff") == 400
    assert sent(good + b"&a" * 300) == 400
    assert not CHANGED


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(client: Client, method: str) -> None:
    assert client.request(method, "/change", headers=FORM).status_code == 405


@pytest.mark.attack(
    "operators",
    "another user of the operator's machine, who opens the console's port",
    "the console is opened by the key in the printed address",
    "",
)
def test_without_the_key_nothing_is_shown(client: Client, keys: Keys) -> None:
    client.cookies.clear()
    for path in ("/", "/change", "/static/console.css", "/?key=wrong", f"/change?key={keys.access}"):
        assert client.get(path).status_code == 403
    assert client.post("/change", data={"csrf": keys.form}, headers=FORM).status_code == 403
    client.cookies.set(f"relay_console_{PORT}", "wrong")
    assert client.get("/change").status_code == 403
    assert not CHANGED


def test_the_key_lets_in_once_and_leaves_the_address(client: Client, keys: Keys) -> None:
    answer = client.get("/", params={"key": keys.access})
    cookie = answer.headers["set-cookie"]
    assert answer.headers["location"] == "/"
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()


def test_every_response_has_the_headers(client: Client, keys: Keys) -> None:
    for answer in (
        client.get("/change"),
        client.get("/none"),
        client.get("/broken?text=a"),
        client.get("/change", headers={"Host": "evil.example"}),
        client.post("/change", data={}, headers=FORM),
    ):
        headers = answer.headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_a_defect_shows_and_logs_no_text_of_its_own(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    answer = client.get("/broken?text=ana@example.com")
    logged = capsys.readouterr()
    assert answer.status_code == 500
    assert "ana@example.com" not in answer.text + logged.out + logged.err
    assert "RuntimeError" in logged.err
    assert "test_safety.py" in logged.err


def test_a_page_of_the_console_cannot_be_changed_by_get(browser: Browser, relay: Relay) -> None:
    """Every route that changes something is for POST alone."""
    from devkit.console.app import VIEWS

    for view in VIEWS:
        for route in view.routes:
            assert route.methods in ({"GET", "HEAD"}, {"POST"}), route.path


def test_the_console_listens_on_loopback_and_logs_no_address(relay: Relay, capfd: pytest.CaptureFixture[str]) -> None:
    import httpx

    server = ConsoleServer(outside(relay.stack))
    try:
        with httpx.Client(follow_redirects=True) as client:
            assert client.get(server.url).status_code == 200
            base = server.url.partition("?")[0]
            client.get(f"{base}search?q=ana@example.com")
            client.get(f"{base}deliveries/ana@example.com")
    finally:
        server.stop()
    logged = capfd.readouterr()
    assert logged.out + logged.err == ""


def test_a_port_that_is_taken_is_an_error(relay: Relay) -> None:
    with socket.create_server((HOST, 0)) as taken, pytest.raises(CommandError, match="cannot listen"):
        ConsoleServer(outside(relay.stack), port=taken.getsockname()[1])
