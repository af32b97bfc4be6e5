"""Sign a sample and deliver it over HTTP, as its platform would."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from devkit.cli.fixtures import Sample
from devkit.cli.output import CommandError
from devkit.cli.stack import Stack
from devkit.signing import signer
from loyalty_relay.connections.model import Connection

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
            f"no response: {error}", where=url, do="is the stack running? relay dev starts a local one"
        ) from error
    return Delivered(
        answer.status_code, answer.headers.get(DELIVERY_HEADER), time.monotonic() - started, answer.text[:2000]
    )
