"""The settings of a function: the environment variables that the stack's template sets, read in one place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field


class SettingMissing(RuntimeError):
    """The stack did not set an environment variable that this function needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The stack's names of tables, queues and secrets. A variable that is missing fails at its first use, by name."""

    environment: Mapping[str, str] = field(repr=False)

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> Settings:
        return cls(environment=os.environ if environment is None else environment)

    def _need(self, name: str) -> str:
        try:
            return self.environment[name]
        except KeyError:
            raise SettingMissing(f"environment variable {name} is not set; the stack's template sets it") from None

    @property
    def secrets_prefix(self) -> str:
        return self._need("RELAY_SECRETS_PREFIX")

    @property
    def digest_secret(self) -> str:
        return self._need("RELAY_DIGEST_SECRET")

    @property
    def idempotency_table(self) -> str:
        return self._need("RELAY_IDEMPOTENCY_TABLE")

    @property
    def state_table(self) -> str:
        return self._need("RELAY_STATE_TABLE")

    @property
    def journal_table(self) -> str:
        return self._need("RELAY_JOURNAL_TABLE")

    @property
    def parked_queue(self) -> str:
        """URL of this function's own dead-letter queue."""
        return self._need("RELAY_PARKED")

    def queue(self, operation: str) -> str:
        """Return the URL of an operation's queue; ``hydrate`` counts as one."""
        return self._need("RELAY_QUEUE_" + operation.upper().replace("-", "_"))

    @property
    def rate_share(self) -> float | None:
        """What a function that gives way to live traffic may use of a rate limit meanwhile; None for live traffic."""
        given = self.environment.get("RELAY_RATE_SHARE", "")
        return float(given) / 100 if given else None

    @property
    def memory(self) -> int | None:
        """The memory of this function in bytes; None outside Lambda."""
        megabytes = self.environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        return int(megabytes) * 2**20 if megabytes.isdecimal() else None

    @property
    def sandbox_hosts(self) -> frozenset[str]:
        """``host:port`` texts that are accepted in place of a vendor's host; empty in production."""
        given = self.environment.get("RELAY_SANDBOX_HOSTS", "")
        return frozenset(part.strip() for part in given.split(",") if part.strip())
