"""The HTTP client of one destination or platform: httpx over one connection pool and one TLS context per process.

There are no redirects and no proxies, and nothing is read from the environment.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import httpx

from loyalty_relay.http.rate_limit import Limiter
from loyalty_relay.http.transports import BROKEN, Limits, OneRepetition, RateLimit, SizeLimit, TotalTime
from loyalty_relay.model import effects
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import ConnectionFailed, UpstreamTimeout, UpstreamUnavailable


class Client(httpx.Client):
    """Send requests within the limits of one destination. Safe to use from several threads.

    ``clock``: wall clock in epoch seconds. ``upstream``: a transport to use instead of the process's connection pool,
    for tests.
    """

    def __init__(
        self,
        limiter: Limiter,
        clock: Callable[[], float] = time.time,
        *,
        limits: Limits | None = None,
        upstream: httpx.BaseTransport | None = None,
    ) -> None:
        for library in ("httpx", "httpcore"):
            # At INFO they write every URL, at DEBUG every header: customers' addresses and access tokens.
            logging.getLogger(library).setLevel(logging.WARNING)
        limits = limits or Limits()
        paced = RateLimit(TotalTime(SizeLimit(upstream), limits), limiter, limits, clock)
        super().__init__(transport=OneRepetition(paced), trust_env=False, follow_redirects=False)
        self.limiter = limiter

    def fetch(self, request: httpx.Request, deadline: Deadline, auth: httpx.Auth | None = None) -> httpx.Response:
        """Send a request of ``build_request`` and return the whole response, whatever its status.

        Raises DeadlineTooShort or RateLimited before anything is sent; ConnectionFailed when nothing could be sent;
        UpstreamTimeout and UpstreamUnavailable when the response is missing or broken. ``reached`` of these is whether
        the request may have had an effect. What ``auth`` raises passes through.
        """
        request.extensions["deadline"] = deadline
        may_have_acted = request.extensions["has_effect"]
        if may_have_acted:
            effects.begin()
        try:
            return self.send(request, auth=auth)
        except (httpx.ConnectTimeout, httpx.PoolTimeout):
            raise ConnectionFailed("no connection to the destination in time") from None
        except httpx.TimeoutException:
            raise UpstreamTimeout("the destination did not answer in time", reached=may_have_acted) from None
        except BROKEN:
            raise UpstreamUnavailable("the connection broke before an answer came", reached=may_have_acted) from None
        except httpx.RequestError as error:
            raise ConnectionFailed(f"no connection to the destination ({type(error).__name__})") from None
