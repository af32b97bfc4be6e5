"""Connections as secrets: read, check, write, redact. Nothing here prints."""

from __future__ import annotations

import hashlib
import json
import re
import secrets as randomness
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from devkit.stacks.errors import CommandError, NotFound
from devkit.stacks.stack import Stack
from loyalty_relay.connections.model import CONNECTION_ID, Connection
from loyalty_relay.destinations.registry import vendor
from loyalty_relay.model.json_validation import did_you_mean

PLACEHOLDER = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
"""A placeholder in a connection file, replaced by an environment variable, so that files need not contain secrets."""

SHOWN_CREDENTIALS = frozenset(
    {"type", "username", "client_id", "account", "redirect_uri", "scope", "attribution_type", "attribution_code"}
)
"""Members of ``credentials`` that identify and do not authenticate."""
SECRET_NAME = re.compile(r"secret|password|token|key|authorization|bearer", re.IGNORECASE)
HIDDEN = "(hidden)"

REVOKED_AGO = 3600.0
"""Seconds before the present that a revoked secret ends."""

KEY_PREFIX = "relay_"
"""What an API key begins with, so that secret scanners and people recognise one."""


@dataclass(frozen=True, slots=True)
class ConnectionFile:
    """A connection as a file describes it, placeholders filled in."""

    id: str
    data: dict[str, Any]


def read_file(
    path: Path, *, id: str | None, variables: Mapping[str, str], stdin: Callable[[], str] = lambda: ""
) -> ConnectionFile:
    """Read a connection's JSON; ``-`` is standard input.

    Its id is ``id``, else the file's member ``id``, else the file's name. Raises CommandError for a file that is
    missing or not JSON, and for placeholders that no variable fills, naming each field.
    """
    try:
        text = stdin() if str(path) == "-" else path.read_text(encoding="utf-8")
        # Whole lines of // are comments, which a file made by `relay connections init` has; they keep their numbers.
        data = json.loads("\n".join("" if line.lstrip().startswith("//") else line for line in text.split("\n")))
    except OSError as error:
        raise CommandError(f"cannot read the file: {error.strerror}", where=str(path), do="give a path") from error
    except ValueError as error:
        raise CommandError(f"the file is not JSON: {error}", where=str(path), do="correct that line") from error
    if not isinstance(data, dict):
        raise CommandError("the file is not a JSON object", where=str(path), do="see docs/connections.md")
    data.pop("$schema", None)
    given = data.pop("id", None)
    chosen = id or given or (path.stem if str(path) != "-" else None)
    if not isinstance(chosen, str):
        raise CommandError("the connection has no id", where=str(path), do="give --id ID")
    missing: list[dict[str, str]] = []
    filled = _fill(data, variables, "", missing)
    if missing:
        raise CommandError(
            "environment variables that the file names are not set",
            where=str(path),
            do="set them, then apply again",
            details=missing,
        )
    return ConnectionFile(chosen, filled)


def _fill(value: Any, variables: Mapping[str, str], path: str, missing: list[dict[str, str]]) -> Any:
    if isinstance(value, dict):
        return {k: _fill(v, variables, f"{path}.{k}".lstrip("."), missing) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, variables, f"{path}.{i}", missing) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def put(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in variables:
            missing.append({"field": path, "message": f"names ${{{name}}}, which is not set"})
        return variables.get(name, "")

    return PLACEHOLDER.sub(put, value)


PROMISE = timedelta(hours=24)
"""How long the webhook secrets of the version before go on being accepted after a change."""


class ConnectionStore:
    """The connections of one stack: one secret each, ``PREFIX/connections/ID``."""

    def __init__(self, client: Any, prefix: str, sandbox_hosts: frozenset[str]) -> None:
        self._client = client
        self._prefix = f"{prefix}/connections/"
        self._sandbox_hosts = sandbox_hosts

    def name(self, id: str) -> str:
        """Return the secret's name. Raises CommandError for an id that no connection can have."""
        if not CONNECTION_ID.fullmatch(id):
            raise CommandError(
                f"{id!r} cannot be a connection's id",
                do="use 1-63 lower-case letters, digits and hyphens, not starting or ending with a hyphen",
            )
        return self._prefix + id

    def ids(self) -> list[str]:
        """Return all ids, sorted."""
        pages = self._client.get_paginator("list_secrets").paginate(Filters=[{"Key": "name", "Values": [self._prefix]}])
        names = [secret["Name"] for page in pages for secret in page["SecretList"]]
        return sorted(name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix))

    def raw(self, id: str) -> dict[str, Any]:
        """Return the secret's JSON. Raises CommandError when there is no such connection."""
        found = self._find(id)
        if found is None:
            known = ", ".join(self.ids()) or "none"
            raise NotFound(
                f"there is no connection {id}",
                where=f"secret {self.name(id)}",
                do=f"apply one with `relay connections apply FILE`; this stack has: {known}",
            )
        return found

    def _find(self, id: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        try:
            answer = self._client.get_secret_value(SecretId=self.name(id))
        except ClientError as error:
            # A deleted secret is kept for a while, and is then an invalid request.
            if error.response["Error"]["Code"] in ("ResourceNotFoundException", "InvalidRequestException"):
                return None
            raise
        try:
            data = json.loads(answer["SecretString"])
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise CommandError(
                f"connection {id} is not a JSON object", where=f"secret {self.name(id)}", do="apply it again"
            )
        return data

    def parse(self, id: str, data: Any) -> Connection:
        """Return the connection, with everything checked that needs no request. Raises CommandError."""
        return valid(id, data, self._sandbox_hosts)

    def read(self, id: str) -> Connection:
        """Return a stored connection. Raises CommandError when it is missing or not valid."""
        return self.parse(id, self.raw(id))

    def with_equal_bills(self, connection: Connection) -> list[Connection]:
        """Return the stored connections whose orders could get equal bill numbers, where the vendor refuses these."""
        from loyalty_relay.connections.check import inspected, with_equal_bills

        support = vendor(connection.destination.vendor).sales
        if not connection.sales.enabled or support is None or not support.unique_bills:
            return []
        found = {name: self._find(name) for name in self.ids() if name != connection.id}
        others = [inspected(name, data, self._sandbox_hosts)[0] for name, data in found.items() if data is not None]
        return with_equal_bills(connection, others)

    def write(self, id: str, data: Mapping[str, Any]) -> tuple[str, list[str]]:
        """Store a connection that was parsed before: what happened (created, changed, unchanged) and what changed.

        The version before stays readable as AWSPREVIOUS; its webhook secrets go on being accepted for 24 hours.
        """
        before = self._find(id)
        text = json.dumps(data, ensure_ascii=False, sort_keys=True, indent=1)
        if before is None:
            try:
                self._client.create_secret(
                    Name=self.name(id), SecretString=text, Description="A connection of the loyalty relay."
                )
            except (
                self._client.exceptions.InvalidRequestException,
                self._client.exceptions.ResourceExistsException,
            ):
                # It was deleted less than a week ago.
                self._client.restore_secret(SecretId=self.name(id))
                self._client.put_secret_value(SecretId=self.name(id), SecretString=text)
            return "created", []
        changed = list(changes(before, data))
        if not changed:
            return "unchanged", []
        late = self._still_promised(id, before, data)
        if late:
            source = {**data["source"], "secrets": [*(data["source"].get("secrets") or ()), *late]}
            text = json.dumps({**data, "source": source}, ensure_ascii=False, sort_keys=True, indent=1)
            changed.append("source.secrets (kept: replaced within the last 24 hours)")
        self._client.put_secret_value(SecretId=self.name(id), SecretString=text)
        return "changed", changed

    def delete(self, id: str) -> None:
        """Delete a connection; Secrets Manager keeps it for a week, within which ``write`` restores it."""
        self._client.delete_secret(SecretId=self.name(id), RecoveryWindowInDays=7)

    def changed_at(self, id: str) -> float:
        """Return when the current version was stored, epoch seconds."""
        return float(self._client.get_secret_value(SecretId=self.name(id))["CreatedDate"].timestamp())

    def previous(self, id: str) -> Any:
        """Return the JSON of the version before the current one, None when there is none."""
        try:
            answer = self._client.get_secret_value(SecretId=self.name(id), VersionStage="AWSPREVIOUS")
            return json.loads(answer["SecretString"])
        except (self._client.exceptions.ResourceNotFoundException, ValueError):
            return None

    def _still_promised(self, id: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the webhook secrets that this write would drop before their promised end.

        Only one version before the current one is kept, so a secret that was replaced less than 24 hours ago would be
        out of reach.
        """
        current = self._client.get_secret_value(SecretId=self.name(id))
        end = current["CreatedDate"] + PROMISE
        previous = self.previous(id)
        if end <= datetime.now(UTC):
            return []
        named = {secret["value"] for data in (before, after) for secret in _webhook_secrets(data)}
        return [
            {"not_after": end.isoformat(timespec="seconds"), **secret}
            for secret in _webhook_secrets(previous)
            if secret["value"] not in named
        ]


def store_of(stack: Stack) -> ConnectionStore:
    """Return the stack's connections."""
    return ConnectionStore(stack.client("secretsmanager"), stack.secrets_prefix, stack.sandbox_hosts)


def known_connection(store: ConnectionStore, id: str) -> None:
    """Raise CommandError where the stack has no connection of this id."""
    known = store.ids()
    if id not in known:
        raise CommandError(
            f"there is no connection {id}{did_you_mean(id, known)}",
            where="--connection",
            do=f"this stack has: {', '.join(known) or 'none'}",
        )


def _webhook_secrets(data: Any) -> list[dict[str, Any]]:
    source = data.get("source") if isinstance(data, Mapping) else None
    listed = source.get("secrets") if isinstance(source, Mapping) else None
    return [secret for secret in listed or () if isinstance(secret, dict) and "value" in secret]


def valid(id: str, data: Any, sandbox_hosts: frozenset[str], *, where: str = "") -> Connection:
    """Return a connection, with everything checked that needs no request.

    Raises CommandError with every wrong field.
    """
    from loyalty_relay.connections.check import inspected

    connection, problems = inspected(id, data, sandbox_hosts)
    if problems:
        raise CommandError(
            f"connection {id} is not valid",
            where=where,
            do="correct these fields; docs/connections.md describes each",
            details=[problem.to_dict() for problem in problems],
        )
    return connection


def changes(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Return the dotted paths whose values differ, without the values: they may be secrets."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted(before.keys() | after.keys()):
            inner = f"{path}.{name}" if path else name
            if name in before and name in after:
                yield from changes(before[name], after[name], inner)
            else:
                yield inner
    elif before != after:
        yield path


def redacted(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a connection's JSON for people: whatever authenticates is replaced, what identifies stays."""
    shown: dict[str, Any] = json.loads(json.dumps(data))
    source = shown.get("source")
    if isinstance(source, dict):
        for secret in source.get("secrets") or ():
            if isinstance(secret, dict) and "value" in secret:
                secret["value"] = HIDDEN
        _hide(source.get("api_credentials"), lambda name: True)
        _hide(source.get("options"), lambda name: bool(SECRET_NAME.search(name)))
    destination = shown.get("destination")
    if isinstance(destination, dict):
        _hide(destination.get("credentials"), lambda name: name not in SHOWN_CREDENTIALS)
    for key in shown.get("api_keys") or ():
        if isinstance(key, dict) and isinstance(key.get("sha256"), str):
            key["sha256"] = key["sha256"][:8] + "…"
    return shown


def _hide(values: Any, hidden: Callable[[str], bool]) -> None:
    if isinstance(values, dict):
        for name in values:
            if hidden(name):
                values[name] = HIDDEN


def new_key(data: dict[str, Any], key_id: str) -> tuple[dict[str, Any], str]:
    """Return the connection with one more API key, and the key itself, which is kept nowhere.

    Raises CommandError when the connection has a key of that name.
    """
    keys = list(data.get("api_keys") or ())
    if any(key.get("id") == key_id for key in keys):
        raise CommandError(f"there is a key named {key_id} already", do="choose another --name, or revoke that one")
    key = KEY_PREFIX + randomness.token_urlsafe(32)
    keys.append({"id": key_id, "sha256": hashlib.sha256(key.encode()).hexdigest()})
    return {**data, "api_keys": keys}, key


def without_key(data: dict[str, Any], key_id: str) -> dict[str, Any]:
    """Return the connection without that API key. Raises CommandError when it has none of that name."""
    keys = [key for key in data.get("api_keys") or () if key.get("id") != key_id]
    if len(keys) == len(data.get("api_keys") or ()):
        names = ", ".join(key.get("id", "?") for key in data.get("api_keys") or ()) or "none"
        raise CommandError(f"there is no key named {key_id}", do=f"the connection's keys are: {names}")
    return {**data, "api_keys": keys}


def rotated(data: dict[str, Any], value: str, *, now: float, overlap_hours: float) -> dict[str, Any]:
    """Return the connection with a new webhook secret; those before it are accepted for ``overlap_hours`` more."""
    source = dict(data["source"])
    end = datetime.fromtimestamp(now, UTC) + timedelta(hours=overlap_hours)
    kept = []
    for secret in source.get("secrets") or ():
        until = secret.get("not_after")
        if until is not None and datetime.fromisoformat(until) <= datetime.fromtimestamp(now, UTC):
            continue
        if until is None or datetime.fromisoformat(until) > end:
            until = end.isoformat(timespec="seconds")
        kept.append({**secret, "not_after": until})
    topics = [secret.get("topics") for secret in kept]
    if any(found != topics[0] for found in topics):
        raise CommandError(
            "the connection's secrets are for different topics", do="write the new one into its file, and apply that"
        )
    own = {"topics": topics[0]} if topics and topics[0] else {}
    source["secrets"] = [{"value": value, **own}, *(s for s in kept if s.get("value") != value)]
    return {**data, "source": source}


def without_secrets(
    data: dict[str, Any], previous: Mapping[str, Any] | None, value: str | None, *, now: float
) -> dict[str, Any]:
    """Return the connection with webhook secrets ended: ``value``, or with None every one that was replaced.

    ``previous``: the version before, whose secrets are accepted for 24 hours. An ended secret stays in the document,
    because what the document lists is not taken from the version before. Raises CommandError when ``value`` is in
    neither, and when no secret would be left.
    """
    listed = _webhook_secrets(data)
    replaced = [s for s in _webhook_secrets(previous) if s["value"] not in {known["value"] for known in listed}]
    if value is None:
        ended = {s["value"] for s in (*(s for s in listed if s.get("not_after")), *replaced)}
    elif value in {s["value"] for s in (*listed, *replaced)}:
        ended = {value}
    else:
        raise CommandError("the connection has no such secret", do="nothing: deliveries signed with it are refused")
    # In the past by any clock: those of this machine and of the functions may differ.
    over = datetime.fromtimestamp(now - REVOKED_AGO, UTC).isoformat(timespec="seconds")
    secrets = [{**s, "not_after": over} if s["value"] in ended else s for s in listed]
    if not any(s.get("not_after") is None or datetime.fromisoformat(s["not_after"]).timestamp() > now for s in secrets):
        raise CommandError(
            "no webhook secret would be left, and every delivery would be refused",
            do="give the connection a new one first: relay connections rotate ID",
        )
    secrets += [{"value": s["value"], "not_after": over} for s in replaced if s["value"] in ended]
    return {**data, "source": {**data["source"], "secrets": secrets}}
