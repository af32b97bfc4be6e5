"""The error that tools show: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class CommandError(Exception):
    """Why a command could not do its work.

    ``what`` is wrong (a sentence), ``where`` (a file, field, URL or resource), and what to ``do`` about it.
    """

    def __init__(self, what: str, *, where: str = "", do: str = "", details: Sequence[dict[str, str]] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.do = do
        self.details = list(details)
        """Further findings, such as every wrong field of a file: ``field`` and ``message``."""

    def to_dict(self) -> dict[str, Any]:
        """Return the error as ``--json`` prints it."""
        body: dict[str, Any] = {"what": self.what}
        if self.where:
            body["where"] = self.where
        if self.do:
            body["do"] = self.do
        if self.details:
            body["details"] = self.details
        return {"error": body}


class NotFound(CommandError):
    """What was named does not exist."""
