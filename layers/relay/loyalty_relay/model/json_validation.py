"""Read untrusted JSON into typed values and collect every problem by its dotted path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlsplit

from loyalty_relay.model.errors import FieldProblem
from loyalty_relay.model.money import decimal_of

MAX_COMPARED = 100
"""Characters of an unknown name that are shown and compared; comparing takes quadratic time."""

T = TypeVar("T")


def unknown_field(name: str, known: Iterable[str]) -> str:
    """Return the message for a field that does not exist, with the existing one that looks most like it."""
    return f"unknown field {name[:MAX_COMPARED]}{did_you_mean(name, known)}"


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """Return a question with the known text that looks most like this one, in parentheses; empty when none does."""
    from difflib import get_close_matches

    near = get_close_matches(text, tuple(known), n=1) if len(text) <= MAX_COMPARED else []
    return f" (did you mean {near[0]}?)" if near else ""


class Reader:
    """One JSON object under a path.

    Values of the wrong type, missing values and unknown fields become problems, not exceptions. The getters return a
    usable default after adding a problem, so one pass finds everything that is wrong.
    """

    def __init__(self, data: Any, path: str = "", problems: list[FieldProblem] | None = None) -> None:
        self.path = path
        self.problems: list[FieldProblem] = [] if problems is None else problems
        self._seen: set[str] = set()
        if not isinstance(data, Mapping):
            self.problem("", "must be an object")
            data = {}
        self._data: Mapping[str, Any] = data

    def problem(self, name: str, message: str) -> None:
        where = ".".join(part for part in (self.path, name) if part) or "(document)"
        self.problems.append(FieldProblem(where, message))

    def has(self, name: str) -> bool:
        return self._data.get(name) is not None

    def raw(self, name: str) -> Any:
        self._seen.add(name)
        return self._data.get(name)

    def _typed(self, name: str, kind: type[T], what: str, default: T | None, required: bool) -> T | None:
        value = self.raw(name)
        if value is None:
            if required:
                self.problem(name, "is required")
            return default
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            self.problem(name, f"must be {what}")
            return default
        return value

    def text(self, name: str, *, max_length: int = 4096, header: bool = False) -> str:
        """Return a required, non-empty string. ``header``: it is sent in one, so it must be printable ASCII."""
        value = self._typed(name, str, "a string", None, True)
        return self._sized(name, value, max_length, header) or ""

    def optional_text(
        self, name: str, default: str | None = None, *, max_length: int = 4096, header: bool = False
    ) -> str | None:
        return self._sized(name, self._typed(name, str, "a string", default, False), max_length, header)

    def _sized(self, name: str, value: str | None, max_length: int, header: bool) -> str | None:
        if value is not None and not value.strip():
            self.problem(name, "must not be empty")
        if value is not None and len(value) > max_length:
            self.problem(name, f"must have at most {max_length} characters")
        if header and value is not None and not (value.isascii() and value.isprintable()):
            self.problem(name, "must be printable ASCII, because it is sent in an HTTP header")
        return value

    def choice(self, name: str, choices: Iterable[str], default: str | None = None) -> str:
        value = self._typed(name, str, "a string", default, default is None)
        allowed = tuple(choices)
        if value is not None and value not in allowed:
            self.problem(name, f"must be one of {', '.join(allowed)}{did_you_mean(value, allowed)}")
        return value if value in allowed else (default or allowed[0])

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self._typed(name, bool, "true or false", default, False))

    def number(self, name: str, default: float, *, minimum: float, maximum: float) -> float:
        value = self._typed(name, (int, float), "a number", default, False)  # type: ignore[arg-type]
        if not isinstance(value, int | float):
            return default
        if not minimum <= value <= maximum:
            self.problem(name, f"must be between {minimum:g} and {maximum:g}")
            return default
        return value

    def whole(self, name: str, *, minimum: int = 0, maximum: int = 2**53) -> int | None:
        return self._whole(name, None, minimum, maximum)

    def whole_or(self, name: str, default: int, *, minimum: int = 0, maximum: int = 2**53) -> int:
        value = self._whole(name, default, minimum, maximum)
        return default if value is None else value

    def _whole(self, name: str, default: int | None, minimum: int, maximum: int) -> int | None:
        value = self._typed(name, int, "an integer", default, False)
        if value is not None and not minimum <= value <= maximum:
            self.problem(name, f"must be between {minimum} and {maximum}")
            return default
        return value

    def amount(self, name: str, default: Decimal) -> Decimal:
        """Return an optional amount of money that is not negative, of a decimal text or a number."""
        value = self.raw(name)
        if value is None:
            return default
        try:
            amount = decimal_of(value)
        except ValueError:
            amount = Decimal(-1)
        if amount < 0:
            self.problem(name, "must be an amount that is not negative, such as 10.50")
            return default
        return amount

    def texts(self, name: str, *, required: bool = False) -> tuple[str, ...]:
        value = self._typed(name, list, "a list of strings", None, required)
        if value is None:
            return ()
        out = []
        for index, item in enumerate(value):
            if isinstance(item, str) and item.strip():
                out.append(item)
            else:
                self.problem(f"{name}.{index}", "must be a non-empty string")
        if required and not out:
            self.problem(name, "must not be empty")
        return tuple(out)

    def mapping(self, name: str) -> dict[str, Any]:
        value = self._typed(name, dict, "an object", None, False)
        return dict(value or {})

    def object(self, name: str, *, required: bool = False) -> Reader:
        value = self.raw(name)
        if value is None and required:
            self.problem(name, "is required")
        return Reader({} if value is None else value, self._join(name), self.problems)

    def objects(self, name: str) -> Iterator[Reader]:
        value = self._typed(name, list, "a list of objects", None, False)
        for index, item in enumerate(value or ()):
            yield Reader(item, self._join(f"{name}.{index}"), self.problems)

    def parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        """Return an optional string as ``parse`` converts it; its ValueError becomes the problem's message."""
        value = self.optional_text(name)
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError as error:
            self.problem(name, str(error))
            return None

    def url(self, name: str) -> str | None:
        """Return an optional absolute http(s) URL."""
        value = self.optional_text(name)
        if value is not None and (urlsplit(value).scheme not in ("https", "http") or not urlsplit(value).netloc):
            self.problem(name, "must be an absolute http(s) URL")
        return value

    def base_url(
        self, name: str, default: str | None, domains: tuple[str, ...], sandbox_hosts: frozenset[str]
    ) -> str | None:
        """Return a base URL that may be called: https on one of ``domains``, or a sandbox host that the stack allows.

        Without ``domains`` every domain is accepted here.
        """
        value = self.optional_text(name, default)
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            host, netloc = parts.hostname or "", parts.netloc
            odd = bool(parts.query or parts.fragment or parts.username or parts.password or "\\" in value)
        except ValueError:
            self.problem(name, "is not a URL")
            return default
        if netloc in sandbox_hosts and parts.scheme in ("http", "https") and not odd:
            return value.rstrip("/")
        known = not domains or any(host == d or host.endswith("." + d) for d in domains)
        if parts.scheme != "https" or odd or parts.path.strip("/") or not known or parts.port not in (None, 443):
            where = f" on one of {', '.join(domains)}" if domains else ""
            self.problem(name, f"must be https{where}, or a host of the stack's SandboxHosts")
            return default
        return value.rstrip("/")

    def done(self) -> None:
        """Add a problem for every field that was not read."""
        for name in self._data:
            if name not in self._seen:
                self.problem(str(name), unknown_field(str(name), self._seen))

    def _join(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name
