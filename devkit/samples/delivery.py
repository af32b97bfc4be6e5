"""Sign a sample and deliver it over HTTP, as its platform would."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from devkit.samples.fixtures import Sample
from devkit.signing import signer
from devkit.stacks.errors import CommandError
from devkit.stacks.stack import Stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.model.errors import DeliveryRefused, NotAuthentic
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import Verdict, listed

DELIVERY_HEADER = "x-relay-delivery"
"""In the answer to an authentic request: the delivery's id."""

TIMEOUT = 35.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """The relay's response to one delivery. ``delivery_id`` is None where it was refused, or needed none."""

    status: int
    delivery_id: str | None
    seconds: float
    body: str

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300


def signed_headers(sample: Sample, *, secret: str, url: str, now: float) -> dict[str, str]:
    """Return the headers of a delivery, signature included. ``url`` is the one registered with the platform.

    Raises CommandError for a secret that is not of the form this platform's are.
    """
    try:
        return signer(sample.platform)(sample.headers, sample.body, secret=secret, url=url, now=now)
    except LookupError as error:
        raise CommandError(str(error), do="see relay catalogue for the platforms") from error
    except ValueError as error:
        raise CommandError(
            f"nothing can be signed with this secret: {error}", where="--secret", do="copy it from the platform"
        ) from error


def live_secret(connection: Connection, now: float) -> str:
    """Return a webhook secret of the connection that is good now. Raises CommandError when there is none."""
    for secret in connection.source.secrets:
        if secret.live(now):
            return secret.value
    if connection.source.unsigned:
        return ""
    raise CommandError(
        f"connection {connection.id} has no webhook secret that is good now",
        where="source.secrets",
        do="add one with relay connections rotate, or give --secret",
    )


def webhook_url(stack: Stack, connection: str, sample: Sample) -> str:
    """Where the sample's platform delivers to: with the topic in the path where the platform names it nowhere else."""
    url = f"{stack.api_url}/webhooks/{quote(connection, safe='')}"
    url = f"{url}/{quote(sample.path_topic, safe='.')}" if sample.path_topic else url
    return f"{url}?{urlencode(sample.query)}" if sample.query else url


VERDICTS = {
    Verdict.NO_SIGNATURE: "the signature is missing",
    Verdict.MALFORMED: "the signature is not of the form that this platform uses",
    Verdict.WRONG: "the signature does not fit the body under any live webhook secret of the connection",
    Verdict.OUTSIDE_WINDOW: "the signed time is too far from the present",
    Verdict.UNDECIDED: "the platform's public key could not be fetched",
}


def why_refused(sample: Sample, connection: Connection, *, secret: str | None = None) -> str:
    """Return why ingest refuses a delivery with status 401, by its own checks on the connection as it is stored."""
    source, now = connection.source, time.time()
    live = [known.value for known in source.secrets if known.live(now)]
    if secret is not None and not source.unsigned and secret not in live:
        return f"--secret is none of the live webhook secrets of {connection.id}; without it, the connection's is used"
    module = source_module(source.platform)
    headers = signed_headers(sample, secret=live[0] if live else "", url=source.public_url or "", now=now)
    request = replace(sample, headers=headers).request()
    verdict = Verdict.AUTHENTIC if source.unsigned else module.verify(request, source, live, now)
    if not verdict:
        return f"{VERDICTS[verdict]}; compare it with relay connections show {connection.id}"
    stores = f"source.stores of {connection.id} (now: {', '.join(source.stores) or 'none'})"
    store = module.store(request, source)
    if store is not None and not listed(store, source):
        return f"the delivery is of store {store or '(none)'}, which is not one of {stores}"
    try:
        module.read(request, source)
    except NotAuthentic:
        return f"the body is of a store that its headers do not name, or that is not one of {stores}"
    except DeliveryRefused:
        pass
    return (
        f"connection {connection.id} as stored accepts this delivery, so the functions use an earlier version: "
        "send it again in a minute; relay logs ingest shows the cause"
    )


def unreachable(error: Exception) -> str:
    """Return why there is no response, without the words of the operating system."""
    import httpx

    text = str(error)
    if "refused" in text:
        return "connection refused"
    if isinstance(error, httpx.TimeoutException):
        return f"no response within {TIMEOUT:g} s"
    if "Name or service" in text or "nodename" in text:
        return "the host's name is unknown"
    return f"the request failed: {text or type(error).__name__}"


def deliver(
    sample: Sample, connection: Connection, url: str, *, secret: str | None = None, signed_url: str | None = None
) -> Delivered:
    """Sign now and deliver.

    ``signed_url``: the URL to sign, where it is not ``url``. Raises CommandError when there is no response.
    """
    import httpx

    now = time.time()
    chosen = live_secret(connection, now) if secret is None else secret
    registered = signed_url or connection.source.public_url or url
    headers = signed_headers(sample, secret=chosen, url=registered, now=now)
    started = time.monotonic()
    try:
        answer = httpx.request(sample.method, url, content=sample.body, headers=headers, timeout=TIMEOUT)
    except httpx.HTTPError as error:
        raise CommandError(
            unreachable(error), where=url, do="check that the stack is running; relay dev starts a local one"
        ) from error
    return Delivered(
        answer.status_code, answer.headers.get(DELIVERY_HEADER), time.monotonic() - started, answer.text[:2000]
    )
