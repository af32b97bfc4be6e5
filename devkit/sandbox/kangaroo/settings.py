"""What can be set about the sandbox's Kangaroo business, with a value for every open question of the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, cast

from devkit.sandbox.kangaroo.errors import ValidationShape
from devkit.sandbox.vendor import JSON, SettingError

Host = Literal["api", "integrations"]


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """One registered application: its registration fixes the grant it may use (Kangaroo API blueprint: OAuth).

    `host` is the host of its token endpoint: `api`, or `integrations` for client credentials.
    """

    client_id: str
    client_secret: str
    grant: Literal["authorization_code", "password", "client_credentials"]
    host: Host = "api"
    redirect_uri: str = ""


def _demo_apps() -> tuple[OAuthApp, ...]:
    callback = "https://app.example.com/oauth/callback"
    return (
        OAuthApp("10", "fake-password-client-secret", "password"),
        OAuthApp("11", "fake-code-client-secret", "authorization_code", redirect_uri=callback),
        OAuthApp("12", "fake-machine-client-secret", "client_credentials", host="integrations"),
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Every switch of the business; docs/sandbox-kangaroo.md separates facts from assumptions."""

    application_key: str = "fake-application-key"
    username: str = "demo@example.com"
    password: str = "fake-password"
    apps: tuple[OAuthApp, ...] = field(default_factory=_demo_apps)
    authorize: Literal["approve", "deny"] = "approve"
    expires_in: int = 3920
    refresh_days: int = 30
    refresh_refusal: Literal[400, 401] = 400
    rate_limit: int = 240
    integrations_rate_limit: int = 240
    enforce_accept: bool = False
    validation_shape: ValidationShape = "E2"
    create_status: Literal[200, 201] = 200
    links_keep_query: bool = False
    crm_enabled: bool = True
    crm_fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tags_mode: Literal["replace", "append"] = "replace"
    strict_gender: bool = False
    branches: int = 16
    virtual_branches: int = 1
    list_integrations: bool = True
    list_branch_links: bool = True
    ecommerce_names: tuple[str, ...] = ("shopify", "woocommerce", "bigcommerce", "adobe", "commerce")
    disabled_shops: tuple[str, ...] = ()
    virtual_branch_sales: bool = True
    unknown_customer: Literal[404, 422] = 422
    employee_pin: str = "3333"
    employee_above: int = 0

    @classmethod
    def read(cls, values: Mapping[str, JSON]) -> Settings:
        """Return the settings that a JSON object describes; what it does not name has its default.

        Raises SettingError for a name that is no setting and for a value that the setting cannot have.
        """
        default = cls()
        known = {each.name for each in fields(cls)}
        new: dict[str, Any] = {}
        for name, value in values.items():
            if name not in known:
                raise SettingError(name, "is not a setting of this vendor")
            new[name] = _coerced(name, value, getattr(default, name))
        return replace(default, **new)

    def as_json(self) -> dict[str, JSON]:
        """Return the settings as JSON has them."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return cast("dict[str, JSON]", plain)


_CHOICES: Mapping[str, tuple[object, ...]] = {
    "authorize": ("approve", "deny"),
    "refresh_refusal": (400, 401),
    "validation_shape": ("E1", "E2", "E3", "E6"),
    "create_status": (200, 201),
    "tags_mode": ("replace", "append"),
    "unknown_customer": (404, 422),
}

CRM_OVERRIDES: Mapping[str, type] = {
    "enabled": bool,
    "is_hidden": bool,
    "is_required": bool,
    "writable": bool,
    "label": str,
    "display_order": int,
}


def _coerced(name: str, value: JSON, default: object) -> object:
    if name in _CHOICES and value not in _CHOICES[name]:
        raise SettingError(name, f"must be one of {', '.join(map(str, _CHOICES[name]))}")
    if name == "apps":
        return _apps(value)
    if name == "crm_fields":
        return _crm_fields(value)
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise SettingError(name, "must be a list of texts")
        return tuple(value)
    # bool is an int to isinstance, and neither is accepted for the other here
    if type(value) is not type(default):
        raise SettingError(name, f"must be of the kind of {default!r}")
    if isinstance(value, int) and value < 0:
        raise SettingError(name, "must not be negative")
    return value


def _apps(value: JSON) -> tuple[OAuthApp, ...]:
    if not isinstance(value, list):
        raise SettingError("apps", "must be a list of applications")
    try:
        return tuple(OAuthApp(**cast("dict[str, Any]", item)) for item in value)
    except TypeError as error:
        names = ", ".join(each.name for each in fields(OAuthApp))
        raise SettingError("apps", f"each has {names}") from error


def _crm_fields(value: JSON) -> dict[str, dict[str, JSON]]:
    if not isinstance(value, dict):
        raise SettingError("crm_fields", "must be an object, keyed by field name")
    overrides: dict[str, dict[str, JSON]] = {}
    for name, override in value.items():
        if not isinstance(override, dict) or not all(
            key in CRM_OVERRIDES and type(given) is CRM_OVERRIDES[key] for key, given in override.items()
        ):
            raise SettingError("crm_fields", f"{name} takes {', '.join(CRM_OVERRIDES)}")
        overrides[name] = override
    return overrides
