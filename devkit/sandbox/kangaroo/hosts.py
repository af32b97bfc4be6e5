"""The vendor's two hosts as sandbox vendors: authentication, throttling and the shape of errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from devkit.sandbox.kangaroo import api
from devkit.sandbox.kangaroo.api import Handler, Routes
from devkit.sandbox.kangaroo.business import Business
from devkit.sandbox.kangaroo.errors import FAULTS, Refusal, error_body, unauthenticated, wrong_application_key
from devkit.sandbox.kangaroo.oauth import Token
from devkit.sandbox.kangaroo.settings import Host, Settings
from devkit.sandbox.kangaroo.throttle import Throttle
from devkit.sandbox.kangaroo.wire import Call, Reply
from devkit.sandbox.vendor import JSON, Answer, Clock, UnknownFaultError, Vendor, json_answer

ACTIONS: Mapping[str, str] = {
    "expire_tokens": "every access token issued so far has expired",
    "revoke_tokens": "the user has revoked the application: no token issued so far is good any more",
}
"""Names that a change of settings may carry as `true` to make something happen once."""

_ACCEPTED = ("application/vnd.kangaroorewards.api.v1+json", "application/json", "application/*", "*/*")


class KangarooHost(Vendor):
    """One host. Both share a business and its settings; each has its own routes, tokens and limits."""

    faults = FAULTS

    def __init__(self, clock: Clock, business: Business, host: Host) -> None:
        super().__init__(clock, Settings().as_json())
        self.business = business
        self.host = host
        self.name = "kangaroo" if host == "api" else "kangaroo-integrations"
        self.prefix = f"/{self.name}"
        self._throttle = Throttle(clock)

    def routes(self) -> Sequence[BaseRoute]:
        """Return one route per path, so that a 405 lists every allowed method."""
        closed = api.API_ROUTES if self.host == "api" else api.INTEGRATIONS_ROUTES
        opened = api.API_OPEN if self.host == "api" else api.INTEGRATIONS_OPEN
        return [*self._made(opened, guarded=False), *self._made(closed, guarded=True)]

    def _made(self, routes: Routes, *, guarded: bool) -> list[Route]:
        return [
            Route(path, self._endpoint(handlers, guarded), methods=list(handlers)) for path, handlers in routes.items()
        ]

    def _endpoint(self, handlers: Mapping[str, Handler], guarded: bool) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            call = await _call(request, self.prefix)
            method = "GET" if request.method == "HEAD" else request.method
            reply = self.serve(call, handlers[method], guarded)
            return Response(reply.content(), reply.status, dict(reply.headers), reply.content_type)

        return endpoint

    def serve(self, call: Call, handler: Handler, guarded: bool) -> Reply:
        """Answer one call: limit, access token, application key, Accept, then the handler."""
        headers: Mapping[str, str] = {}
        token = self.business.tokens.find(call.bearer) if guarded else None
        try:
            headers = self._admit(call, token)
            if guarded:
                self._check(call, token)
            reply = handler(self.business, call)
        except Refusal as refusal:
            if refusal.status == 429:
                self.rejections["rate_limit"] += 1
            return Reply(refusal.status, refusal.body, {**headers, **refusal.headers})
        return Reply(reply.status, reply.body, {**headers, **reply.headers}, reply.content_type)

    def _admit(self, call: Call, token: Token | None) -> Mapping[str, str]:
        settings = self.business.settings
        limit = settings.rate_limit if self.host == "api" else settings.integrations_rate_limit
        return self._throttle.admit(f"token {token.number}" if token else f"address {call.client}", limit)

    def _check(self, call: Call, token: Token | None) -> None:
        settings = self.business.settings
        # A token of the integrations host's own token endpoint is of no use on the business host.
        if token is None or (self.host == "api" and token.host != "api"):
            raise unauthenticated()
        key = call.headers.get("x-application-key", "")
        if token.holder == "user" and key != settings.application_key:
            raise wrong_application_key()
        if settings.enforce_accept and not _acceptable(call.headers.get("accept", "*/*")):
            raise Refusal(406, error_body("E1", 406))

    def state(self) -> JSON:
        """Return the shared business."""
        return self.business.state()

    def reset(self) -> None:
        """Put the shared business back to its demo data."""
        super().reset()
        self._throttle.reset()
        self.business.reset()

    def limits(self) -> JSON:
        """Return the meters of requests per access token or address."""
        return self._throttle.report()

    def configure(self, changes: Mapping[str, JSON]) -> None:
        """Change settings of the business, or make one of `ACTIONS` happen. Raises SettingError."""
        settings = {name: value for name, value in changes.items() if name not in ACTIONS}
        read = Settings.read({**self.settings, **settings})
        self.business.settings = read
        self.settings.update(read.as_json())
        if changes.get("expire_tokens") is True:
            self.business.tokens.expire_all()
        if changes.get("revoke_tokens") is True:
            self.business.tokens.revoke_all()

    def restore_settings(self) -> None:
        """Put every switch of the business back to its default."""
        super().restore_settings()
        self.business.settings = Settings.read(self.settings)

    def error_body(self, kind: str, status: int) -> Answer:
        """Return one of the vendor's error shapes; its own status is 422 for field maps and 400 otherwise."""
        if kind == "rate_limit":
            reset = str(int(self.clock()) + 60)
            headers = {
                "x-ratelimit-limit": str(self.business.settings.rate_limit),
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": reset,
                "retry-after": "60",
            }
            return json_answer(status or 429, {"message": "Too Many Attempts."}, headers)
        if kind == "not_found":
            return json_answer(status or 404, error_body("E1", status or 404))
        if kind == "method_not_allowed":
            text = "The method is not supported for this route."
            return json_answer(status or 405, {"message": text})
        if kind not in FAULTS:
            raise UnknownFaultError(kind)
        status = status or {"E2": 422, "E3": 422, "E4": 403, "E5": 401, "E6": 422, "E6-text": 422}.get(kind, 400)
        return json_answer(status, error_body(kind, status))


async def _call(request: Request, prefix: str) -> Call:
    host = request.headers.get("host", "127.0.0.1")
    return Call(
        method=request.method,
        path=request.url.path,
        query=parse_qsl(request.url.query, keep_blank_values=True),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.body(),
        base_url=f"{request.url.scheme}://{host}{prefix}",
        client=request.client.host if request.client else "unknown",
        params={name: str(value) for name, value in request.path_params.items()},
    )


def _acceptable(accept: str) -> bool:
    # The vendor's samples end the media type with a semicolon that no parameter follows.
    return any(part.partition(";")[0].strip().lower() in _ACCEPTED for part in accept.split(","))


def kangaroo(clock: Clock) -> list[Vendor]:
    """Return both hosts on one business."""
    business = Business(clock)
    api_host = KangarooHost(clock, business, "api")
    integrations_host = KangarooHost(clock, business, "integrations")
    integrations_host.settings = api_host.settings
    return [api_host, integrations_host]
