"""What a vendor of the sandbox is: the interface that Capillary, Kangaroo and the platforms fill in."""

from __future__ import annotations

import copy
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from starlette.routing import BaseRoute

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
Clock: TypeAlias = Callable[[], float]
"""Seconds since the Unix epoch."""
Answer: TypeAlias = "tuple[int, dict[str, str], bytes]"
"""Status, headers and body of one HTTP answer."""


class SettingError(ValueError):
    """A setting has an unknown name or a value of the wrong kind; ``field`` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class UnknownFaultError(ValueError):
    """A fault rule names an error that this vendor does not have."""


def json_answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> Answer:
    """Make a JSON answer; ``headers`` come on top of the content type."""
    return (
        status,
        {"content-type": "application/json", **(headers or {})},
        json.dumps(body, ensure_ascii=False).encode(),
    )


class Vendor(ABC):
    """One upstream host of the sandbox, with its state.

    A subclass sets ``name`` and ``prefix`` (the path under which the host is served, "/capillary"), and hands
    its defaults for the documented switches to ``__init__``. All state lives in the instance, is cleared by
    ``reset`` and shown by ``state``. Handlers run on one event loop, so state needs no locks.
    """

    name: str
    prefix: str
    faults: Mapping[str, str] = {}
    """Names that ``error_body`` accepts, each with one line on what it is."""

    def __init__(self, clock: Clock, defaults: Mapping[str, JSON] | None = None) -> None:
        self.clock = clock
        self._defaults: dict[str, JSON] = copy.deepcopy(dict(defaults or {}))
        self.settings: dict[str, JSON] = copy.deepcopy(self._defaults)
        self.rejections: Counter[str] = Counter()

    @abstractmethod
    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes, with paths as the vendor has them (after the prefix)."""

    @abstractmethod
    def state(self) -> JSON:
        """Return the whole state, for oracles."""

    @abstractmethod
    def error_body(self, kind: str, status: int) -> Answer:
        """Return the vendor's own form of an error.

        ``kind`` is a name of ``faults`` or one of the three that every vendor has: "rate_limit",
        "not_found" (no such resource) and "method_not_allowed". ``status`` is the status to use;
        0 means the vendor's documented one. Raises UnknownFaultError for another name.
        """

    def reset(self) -> None:
        """Forget everything that happened; a subclass that keeps state clears it and calls this."""
        self.rejections.clear()

    def restore_settings(self) -> None:
        """Put every switch back to its default."""
        self.settings.clear()
        self.settings.update(copy.deepcopy(self._defaults))

    def configure(self, changes: Mapping[str, JSON]) -> None:
        """Change switches by name; values must be of the default's kind.

        Raises SettingError, and then changes nothing.
        """
        for name, value in changes.items():
            if name not in self._defaults:
                raise SettingError(name, "is not a setting of this vendor")
            if not _same_kind(self._defaults[name], value):
                raise SettingError(name, f"must be of the kind of {self._defaults[name]!r}")
        self.settings.update(copy.deepcopy(dict(changes)))

    def limits(self) -> JSON:
        """Return what the rate-limit checker saw, per limit; a vendor without limits has none."""
        return {}


def _same_kind(default: JSON, value: JSON) -> bool:
    if default is None:
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int | float):
        return isinstance(value, int | float)
    return isinstance(value, type(default))
