"""The registry: one row per documented item. The tests run every row, docs/contract.md shows every row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.contract.drive import Relay
from tests.contract.stub import Reply, Script, Stub
from tests.support.stack import Stack

INTEGRATIONS = "/integrations-host"
"""Path under which the stub is Kangaroo's second host."""

BASIC = {"type": "basic", "username": "demo.till01", "password": "harbour42"}
OAUTH = {"type": "oauth", "key": "fake-key", "secret": "fake-secret"}
PLAIN_TOKEN = {"type": "token", "application_key": "fake-app-key", "access_token": "fake-access"}


_numbers = itertools.count(1)


@dataclass
class World:
    """What a row works with: the stub, and connections whose destination it is."""

    stub: Stub
    stack: Stack
    brief: bool = False

    def capillary(self, *, sales: Mapping[str, Any] | None = None, **destination: Any) -> Relay:
        """A connection with Capillary's EU cluster, source INSTORE and a till's credentials, unless changed."""
        given = {
            "vendor": "capillary",
            "region": "eu",
            "host": f"http://{self.stub.host}",
            "source": "INSTORE",
            "credentials": BASIC,
        }
        return self._relay({**given, **destination}, **({"sales": sales} if sales else {}))

    def kangaroo(self, **destination: Any) -> Relay:
        """A connection with a Kangaroo business and a fixed access token, unless changed."""
        given = {
            "vendor": "kangaroo",
            "host": f"http://{self.stub.host}",
            "integrations_host": f"http://{self.stub.host}{INTEGRATIONS}",
            "credentials": PLAIN_TOKEN,
        }
        return self._relay({**given, **destination})

    def _relay(self, destination: Mapping[str, Any], **connection: Any) -> Relay:
        # Nobody shares an account, so no row sees another one's tokens, limits or circuit.
        credentials = {"account": f"account-{next(_numbers)}", **destination["credentials"]}
        relay = Relay(self.stack, self.stub.host, {**destination, "credentials": credentials}, **connection)
        relay.services.brief = self.brief
        return relay


@dataclass(frozen=True)
class Row:
    """One documented item. ``do`` returns what became of it, which must equal ``want``.

    ``deviates``: what is wrong where the relay does not do it yet; the test is then expected to fail.
    """

    seed: str
    section: str
    item: str
    way: Literal["sent", "handled"]
    do: Callable[[World], Any]
    want: Any
    deviates: str = ""

    @property
    def id(self) -> str:
        return f"{self.seed}: {self.section}: {self.item}"


def dig(value: Any, path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    for part in filter(None, path.split(".")):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list | tuple) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def pick(result: Mapping[str, Any], *names: str) -> Any:
    """Members of a result, by dotted paths: the one member itself, or several by name."""
    return dig(result, names[0]) if len(names) == 1 else {name: dig(result, name) for name in names}


def ids(identifiers: Mapping[str, str] | Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A command's customer by identifiers."""
    if isinstance(identifiers, Mapping):
        identifiers = [{"type": kind, "value": value} for kind, value in identifiers.items()]
    return {"identifiers": list(identifiers)}


__all__ = ["BASIC", "INTEGRATIONS", "OAUTH", "PLAIN_TOKEN", "Reply", "Row", "Script", "World", "dig", "ids", "pick"]
