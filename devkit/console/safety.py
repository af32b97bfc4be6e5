"""What every request to the console has to pass, and the headers that every response has.

The console acts with the operator's AWS credentials, so only the operator's own browser may use it: no other
user of the machine, and no page of another site that is open in the same browser.

- **Host**: only loopback names with the console's own port, which ends DNS rebinding.
- **Key**: made at the start and printed as part of the address; a cookie keeps it afterwards.
- **Changes**: only POST, with an Origin of ours and the form token; GET changes nothing.
- **Headers**: a strict content security policy, no caching, no framing, no referrer for other hosts.
"""

from __future__ import annotations

import secrets
import sys
import traceback
from collections.abc import Mapping
from hmac import compare_digest
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_FORM = 1 << 20
"""Bytes; a payload for the mapping preview is the longest."""
MOST_FIELDS = 200

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    # With no-referrer, browsers would send "Origin: null" with the console's own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Keys:
    """The secrets of one run of the console: ``access`` opens it, ``form`` is the token of its forms."""

    def __init__(self) -> None:
        self.access = secrets.token_urlsafe(24)
        self.form = secrets.token_urlsafe(24)


class Safety:
    """The application behind the checks; see the module."""

    def __init__(self, app: ASGIApp, keys: Keys, port: int) -> None:
        self._app = app
        self._keys = keys
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        # Cookies are shared by all ports of a host.
        self._cookie = f"relay_console_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if "server" in headers:
                    del headers["server"]
            await send(message)

        request = Request(scope, receive)
        refusal = self._refusal(request)
        if refusal is None and request.method == "POST":
            refusal = await self._read_form(request)
        if refusal is not None:
            await refusal(scope, receive, sending)
            return
        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - its message may have a form's text, so only the places are written
            print(f"console: {type(error).__name__}", *traceback.format_tb(error.__traceback__), file=sys.stderr)
            if not started:
                await PlainTextResponse("The page could not be made.", 500)(scope, receive, sending)

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("host", "") not in self._hosts:
            return PlainTextResponse("This is not an address of the console.", 421)
        if request.method not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("Only GET and POST are used here.", 405, {"Allow": "GET, HEAD, POST"})
        if request.method == "GET" and request.url.path == "/" and "key" in request.query_params:
            return self._let_in(request.query_params["key"])
        return None if _same(request.cookies.get(self._cookie, ""), self._keys.access) else _no_key()

    def _let_in(self, key: str) -> Response:
        """Return the way in for who has the printed address; the key leaves the address with it."""
        if not _same(key, self._keys.access):
            return _no_key()
        response = RedirectResponse("/", 303)
        response.set_cookie(self._cookie, key, httponly=True, samesite="strict")
        return response

    async def _read_form(self, request: Request) -> Response | None:
        """Check a change and keep its fields as ``request.state.form``; return a refusal, or None."""
        headers = request.headers
        if not _of_ours(headers, request.url.netloc):
            return PlainTextResponse("The form was sent from another site.", 403)
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            return PlainTextResponse("Only forms are accepted.", 415)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST_FORM:
                return PlainTextResponse("The form is too large.", 413)
        try:
            fields = parse_qsl(
                body.decode("ascii"),
                keep_blank_values=True,
                strict_parsing=bool(body),
                errors="strict",
                max_num_fields=MOST_FIELDS,
            )
        except ValueError:
            return PlainTextResponse("The form cannot be read.", 400)
        form = dict(fields)
        if not _same(form.pop("csrf", ""), self._keys.form):
            return PlainTextResponse("The form is out of date: open its page again, and send it from there.", 403)
        request.state.form = form
        return None


def _no_key() -> Response:
    return PlainTextResponse("Open the address that `relay console` printed; its key lets you in.", 403)


def _same(given: str, wanted: str) -> bool:
    return compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


def _of_ours(headers: Headers, netloc: str) -> bool:
    """Return whether the browser states that a form is the console's own; one that states nothing is refused."""
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("origin")
    if origin is None:
        return site == "same-origin"
    parts = urlsplit(origin)
    return (parts.scheme, parts.netloc) == ("http", netloc)
