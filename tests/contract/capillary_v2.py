"""Seeds 002 and 004: Capillary V2, update and registration of a customer."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from tests.contract.rows import BASIC, OAUTH, Reply, Row, World, dig, ids, pick

ID = "171891944"
PUT = f"PUT /v2/customers/{ID}"
POST = "POST /v2/customers"
DONE = {"createdId": 171891944, "warnings": [], "sideEffects": []}
MOBILE = {"mobile": "+447700900123"}
SOURCES = [
    "FACEBOOK",
    "WEB_ENGAGE",
    "WECHAT",
    "INSTORE",
    "MARTJACK",
    "TMALL",
    "TAOBAO",
    "JD",
    "ECOMMERCE",
    "WEBSITE",
    "LINE",
    "MOBILE_APP",
]
ACCOUNT_SOURCES = ("WECHAT", "FACEBOOK", "WEB_ENGAGE", "MOBILE_APP", "LINE")
USER_CONTEXT = {
    "USER-CONTEXT-ENTITY-TYPE": "type",
    "USER-CONTEXT-ENTITY-ID": "id",
    "USER-CONTEXT-ENTITY-SOURCE": "source",
    "USER-CONTEXT-ENTITY-SOURCE-ID": "source_id",
}
ENROLLMENT = {
    "program_id": 469,
    "tier_number": 1,
    "loyalty_points": 75,
    "tier_expires_at": "2031-02-11T16:36:17+05:30",
    "points_expire_at": "2031-03-11T16:36:17+05:30",
}
ENROLLED = {
    "programId": 469,
    "tierNumber": 1,
    "loyaltyPoints": 75,
    "tierExpiryDate": "2031-02-11T16:36:17+05:30",
    "pointsExpiryDate": "2031-03-11T16:36:17+05:30",
}

Command = Mapping[str, Any]


def put(world: World, command: Command, answer: Any = DONE, *, more: Command | None = None, **destination: Any) -> Any:
    """Update the member of the sample by loyalty id."""
    world.stub.script({PUT: answer if isinstance(answer, Reply) else Reply(answer), **(more or {})})
    return world.capillary(**destination).update(ID, command)


def post(world: World, command: Command, answer: Any = DONE, *, more: Command | None = None, **destination: Any) -> Any:
    """Register a customer with a mobile number, unless the command names other identifiers."""
    world.stub.script({POST: answer if isinstance(answer, Reply) else Reply(answer), **(more or {})})
    return world.capillary(**destination).register({"customer": ids(MOBILE), **command})


def sent(
    send: Callable[..., Any], line: str, path: str, command: Command, **destination: Any
) -> Callable[[World], Any]:
    """Return the value at a path of the request: ``body``, ``query`` or ``headers``."""

    def do(world: World) -> Any:
        result = send(world, command, **destination)
        assert result["kind"] == "done", result
        request = world.stub.last(line)
        return dig({"body": request.body, "query": request.query, "headers": request.headers}, path)

    return do


def read(send: Callable[..., Any], answer: Any, *names: str, command: Command | None = None) -> Callable[[World], Any]:
    """Members of what the relay makes of an answer."""
    return lambda world: pick(send(world, command or {"fields": {"first_name": "Ana"}}, answer), *names)


def channel(kind: str, value: str, **more: Any) -> dict[str, Any]:
    return {"fields": {f"channels.{kind}": [{"value": value, **more}]}}


def _body_rows(seed: str, send: Callable[..., Any], line: str) -> list[Row]:
    """Members of the body that the update and the registration have in common."""
    at = "body.profiles.0."
    flagged = channel(
        "mobile", "+447700900123", primary=True, verified=False, meta={"residence": True, "office": False}
    )

    def row(item: str, path: str, command: Command, want: Any) -> Row:
        return Row(seed, "request body", item, "sent", sent(send, line, path, command), want)

    rows = [
        row("profiles is an array of one", "body.profiles.1", {"fields": {"first_name": "Ana"}}, None),
        row("profiles.firstName", at + "firstName", {"fields": {"first_name": "Zoë-Ana"}}, "Zoë-Ana"),
        row("profiles.lastName", at + "lastName", {"fields": {"last_name": "O'Neil"}}, "O'Neil"),
        row("profiles.fields.gender", at + "fields.gender", {"fields": {"custom_fields.gender": "Male"}}, "Male"),
        row("profiles.fields.city", at + "fields.city", {"fields": {"custom_fields.city": "Bath"}}, "Bath"),
        row("profiles.fields: a number", at + "fields.age", {"fields": {"custom_fields.age": 46}}, 46),
        row("profiles.fields: a decimal", at + "fields.kg", {"fields": {"custom_fields.kg": 19999.99}}, 19999.99),
        row("profiles.commChannels.value: digits", at + "commChannels.0.value", flagged, "447700900123"),
        row("profiles.commChannels.primary", at + "commChannels.0.primary", flagged, "true"),
        row("profiles.commChannels.verified", at + "commChannels.0.verified", flagged, "false"),
        row("profiles.commChannels.meta.residence", at + "commChannels.0.meta.residence", flagged, "true"),
        row("profiles.commChannels.meta.office", at + "commChannels.0.meta.office", flagged, "false"),
        row(
            "loyaltyInfo.loyaltyType",
            "body.loyaltyInfo.loyaltyType",
            {"fields": {"loyalty_type": "loyalty"}},
            "loyalty",
        ),
        row(
            "extendedFields.gender",
            "body.extendedFields.gender",
            {"fields": {"extended_fields.gender": "MALE"}},
            "MALE",
        ),
        row("extendedFields.city", "body.extendedFields.city", {"fields": {"extended_fields.city": "Bath"}}, "Bath"),
    ]
    enrolled = {"credits": {"enrollments": [ENROLLMENT]}, "fields": {"first_name": "Ana"}}
    rows += [
        row(f"loyaltyProgramEnrollments.{name}", f"body.loyaltyProgramEnrollments.0.{name}", enrolled, value)
        for name, value in ENROLLED.items()
    ]
    values = {
        "mobile": ("mobile", "447700900123"),
        "email": ("email", "ana@example.com"),
        "wechat": ("wechat", "wx-1"),
        "ios": ("ios", "a" * 300),
        "android": ("android", "b" * 300),
        "line": ("line", "U0001"),
        "mobilePush": ("mobile_push", "c" * 300),
        "cardnumber": ("card_number", "10000001"),
    }
    for name, (ours, value) in values.items():
        if name == "cardnumber" and seed == "002":
            continue
        command = channel(ours, value)
        want = [{"type": name, "value": value}]
        rows.append(row(f"profiles.commChannels.type {name}", at + "commChannels", command, want))
    return rows


def _headers(seed: str, send: Callable[..., Any], line: str) -> list[Row]:
    digest = hashlib.md5(BASIC["password"].encode(), usedforsecurity=False).hexdigest()
    basic = "Basic " + b64encode(f"{BASIC['username']}:{digest}".encode()).decode()
    command = {
        "fields": {"first_name": "Ana"},
        "options": {"user_context": {"type": "TILL", "id": "7", "source": "API", "source_id": "shop-1"}},
    }

    def row(item: str, path: str, want: Any) -> Row:
        return Row(seed, "headers", item, "sent", sent(send, line, path, command), want)

    values = {"type": "TILL", "id": "7", "source": "API", "source_id": "shop-1"}
    return [
        row("Content-Type", "headers.content-type", "application/json"),
        row("Authorization: Basic with the MD5 of the password", "headers.authorization", basic),
        *(row(header, f"headers.{header.lower()}", values[ours]) for header, ours in USER_CONTEXT.items()),
    ]


def _oauth(world: World, statuses: list[Any]) -> list[tuple[str, str]]:
    """The tokens of an update's requests while the vendor answers in turn."""
    world.stub.script(
        {
            "POST /v3/oauth/token/generate": [
                Reply({"data": {"accessToken": f"token-{n}", "ttlSeconds": 3600}, "errors": None}) for n in (1, 2, 3)
            ],
            PUT: [r if isinstance(r, Reply) else Reply(r) for r in statuses],
        }
    )
    result = world.capillary(credentials=OAUTH).update(ID, {"fields": {"first_name": "Ana"}})
    return [(r.line, r.headers.get("x-cap-api-oauth-token", "")) for r in world.stub.requests] + [
        (result["kind"], str(result.get("code", "")))
    ]


def _expired(status: int, code: Any) -> Reply:
    return Reply({"errors": [{"status": False, "code": code, "message": "Token expired"}]}, status)


RENEWED = [
    ("POST /v3/oauth/token/generate", ""),
    (PUT, "token-1"),
    ("POST /v3/oauth/token/generate", ""),
    (PUT, "token-2"),
    ("done", ""),
]

UPDATE_SAMPLE = {
    "profiles": [
        {
            "firstName": "Tess",
            "lastName": "Lind",
            "fields": {"gender": "Female", "city": "Leeds"},
            "commChannels": [
                {
                    "type": "mobile",
                    "value": "447700900201",
                    "primary": "true",
                    "verified": "true",
                    "meta": {"residence": "true"},
                },
                {
                    "type": "email",
                    "value": "tess@example.org",
                    "primary": "true",
                    "verified": "true",
                    "meta": {"residence": "true"},
                },
            ],
        }
    ],
    "loyaltyInfo": {"loyaltyType": "loyalty"},
    "extendedFields": {"gender": "FEMALE", "city": "Leeds"},
    "loyaltyProgramEnrollments": [ENROLLED],
}


def _flagged(value: str) -> list[dict[str, Any]]:
    return [{"value": value, "primary": True, "verified": True, "meta": {"residence": True}}]


UPDATE_COMMAND = {
    "fields": {
        "first_name": "Tess",
        "last_name": "Lind",
        "custom_fields.gender": "Female",
        "custom_fields.city": "Leeds",
        "channels.mobile": _flagged("+447700900201"),
        "channels.email": _flagged("tess@example.org"),
        "loyalty_type": "loyalty",
        "extended_fields.gender": "FEMALE",
        "extended_fields.city": "Leeds",
    },
    "credits": {"enrollments": [ENROLLMENT]},
}


def _account(source: str) -> dict[str, Any]:
    return {"account_id": "acc-1"} if source in ACCOUNT_SOURCES else {}


def _update_rows() -> list[Row]:
    name = {"fields": {"first_name": "Ana"}}

    def row(section: str, item: str, path: str, want: Any, command: Command = name, **destination: Any) -> Row:
        return Row("002", section, item, "sent", sent(put, PUT, path, command, **destination), want)

    def line(world: World) -> Any:
        put(world, name)
        return world.stub.lines()

    rows = [
        Row("002", "resource", "PUT /v2/customers/{userId}", "sent", line, [PUT]),
        row("query", "source", "query.source", "INSTORE"),
        row("query", "accountId", "query.accountId", "acc-1", source="WECHAT", account_id="acc-1"),
        row("query", "no accountId where the source has one account", "query.accountId", None),
        row("query", "use_async=true", "query.use_async", "true", {**name, "options": {"use_async": True}}),
        row("query", "use_async=false", "query.use_async", "false", {**name, "options": {"use_async": False}}),
        row(
            "query",
            "source and accountId of one command",
            "query",
            {"source": "LINE", "accountId": "L-1"},
            {**name, "options": {"source": "LINE", "account_id": "L-1"}},
        ),
        *(
            row("query", f"source {source}", "query.source", source, source=source, **_account(source))
            for source in SOURCES
        ),
        row("request body", "the sample as a whole", "body", UPDATE_SAMPLE, UPDATE_COMMAND),
        row(
            "limitations",
            "identifiers are not part of an update",
            "body.profiles.0.identifiers",
            None,
            {**name, "customer": ids(MOBILE)},
        ),
        row("limitations", "the source is not part of the body", "body.profiles.0.source", None),
    ]

    def non_loyalty(world: World) -> Any:
        result = put(world, {"fields": {"first_name": "Ana", "loyalty_type": "non_loyalty"}})
        return {
            "body": dig(world.stub.last(PUT).body, "loyaltyInfo"),
            "sent": result["sent"],
            "codes": result["codes"],
        }

    rows.append(
        Row(
            "002",
            "limitations",
            "loyalty to non_loyalty is not possible",
            "handled",
            non_loyalty,
            {"body": None, "sent": ("first_name",), "codes": ["not_updatable"]},
        )
    )
    rows += _headers("002", put, PUT)
    rows += _body_rows("002", put, PUT)
    return rows


def _effects(world: World) -> Any:
    effect = {"entityType": "USER", "rawAwardedPoints": 75.000, "awardedPoints": 75, "type": "points"}
    return put(world, {"fields": {"first_name": "Ana"}}, {**DONE, "sideEffects": [effect]})["details"]["side_effects"][
        0
    ]


def _update_answer_rows() -> list[Row]:
    def row(item: str, answer: Any, want: Any, *names: str) -> Row:
        return Row("002", "response", item, "handled", read(put, answer, *names), want)

    def effect(item: str, name: str, want: Any) -> Row:
        return Row("002", "response", item, "handled", lambda world: _effects(world)[name], want)

    failed = ("kind", "reason", "code")
    gone = {"errors": [{"status": False, "code": 8015, "message": "Customer not found for the given identifiers"}]}
    place = {
        "errors": [
            {
                "status": False,
                "code": 3217,
                "message": "Org source addition failed, Invalid source account identifier passed",
            }
        ]
    }
    found = {"kind": "permanent", "reason": "customer_not_found", "code": "8015"}
    rejected = {"kind": "permanent", "code": "3217", "fields": ["destination.account_id"]}
    warned = {**DONE, "warnings": [{"status": False, "code": 8059, "message": "search index push failed"}]}
    return [
        row("createdId", DONE, ID, "loyalty_id"),
        row("createdId as a text", {**DONE, "createdId": ID}, ID, "loyalty_id"),
        row("an update creates nobody", DONE, False, "created"),
        row("warnings", warned, ["8059"], "codes"),
        effect("sideEffects.entityType", "entity_type", "USER"),
        effect("sideEffects.rawAwardedPoints", "raw_points", 75),
        effect("sideEffects.awardedPoints", "points", 75),
        effect("sideEffects.type", "type", "points"),
        Row("002", "codes", "8015", "handled", read(put, gone, *failed), found),
        Row("002", "codes", "8015 under HTTP 400", "handled", read(put, Reply(gone, 400), *failed), found),
        Row("002", "codes", "8015 under HTTP 404", "handled", read(put, Reply(gone, 404), *failed), found),
        Row("002", "codes", "3217: the account", "handled", read(put, place, "kind", "code", "fields"), rejected),
    ]


# -- registration -----------------------------------------------------------------------------------------------------


def _identifier_rows() -> list[Row]:
    documented = {
        "mobile": ("mobile", "+447700900123", "447700900123"),
        "email": ("email", "ana@example.com", "ana@example.com"),
        "externalId": ("external_id", "X-1", "X-1"),
        "cuid": ("cuid", "cuid_1", "cuid_1"),
        "unionId": ("union_id", "union_1", "union_1"),
        "line": ("line", "U0001", "U0001"),
        "cardnumber": ("card_number", "10000001", "10000001"),
        "wechat": ("wechat", "wx-1", "wx-1"),
        "facebook": ("facebook", "fb-1", "fb-1"),
        "fbId": ("fb_id", "fb-1", "fb-1"),
        "martjackId": ("martjack_id", "mj-1", "mj-1"),
        "tmall_uname": ("tmall_uname", "tm-1", "tm-1"),
        "ali_uname": ("ali_uname", "al-1", "al-1"),
        "jd_uname": ("jd_uname", "jd-1", "jd-1"),
        "vip_uname": ("vip_uname", "vip-1", "vip-1"),
    }
    in_seed = ("mobile", "email", "externalId", "cuid", "unionId", "line", "cardnumber")
    rows = [
        Row(
            "004" if theirs in in_seed else "ref B6",
            "request body",
            f"profiles.identifiers.type {theirs}",
            "sent",
            sent(post, POST, "body.profiles.0.identifiers", {"customer": ids({ours: value})}),
            [{"type": theirs, "value": want}],
        )
        for theirs, (ours, value, want) in documented.items()
    ]
    card = {
        "type": "card_number",
        "value": "10000001",
        "attributes": {"series_id": 73, "status_label": "ACTIVE", "extended_fields": {"custom_card_name": "Harbour"}},
    }
    command = {"customer": ids([card])}
    for name, want in (
        ("seriesId", 73),
        ("statusLabel", "ACTIVE"),
        ("extendedFields", {"custom_card_name": "Harbour"}),
    ):
        path = f"body.profiles.0.identifiers.0.{name}"
        rows.append(
            Row("004", "request body", f"profiles.identifiers.{name}", "sent", sent(post, POST, path, command), want)
        )
    return rows


SAMPLES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "1, two identifiers and an enrolment": (
        {},
        {
            "customer": ids({"mobile": "+447700900101", "email": "rita@example.com"}),
            "fields": {
                "first_name": "Rita",
                "last_name": "Ames",
                "channels.mobile": _flagged("+447700900101"),
                "channels.email": _flagged("rita@example.com"),
            },
            "credits": {"enrollments": [ENROLLMENT]},
        },
        {
            "profiles": [
                {
                    "firstName": "Rita",
                    "lastName": "Ames",
                    "identifiers": [
                        {"type": "mobile", "value": "447700900101"},
                        {"type": "email", "value": "rita@example.com"},
                    ],
                    "commChannels": [
                        {
                            "type": kind,
                            "value": value,
                            "primary": "true",
                            "verified": "true",
                            "meta": {"residence": "true"},
                        }
                        for kind, value in (("mobile", "447700900101"), ("email", "rita@example.com"))
                    ],
                    "source": "INSTORE",
                }
            ],
            "loyaltyProgramEnrollments": [ENROLLED],
        },
    ),
    "2, a mobile app": (
        {"source": "MOBILE_APP", "account_id": "demopush1"},
        {
            "customer": ids({"mobile": "+447700900102", "cuid": "cuid_1", "union_id": "union_1"}),
            "fields": {
                "loyalty_type": "loyalty",
                "associated_with": "demo.till",
                "channels.mobile_push": [
                    {
                        "value": "push-1",
                        "primary": True,
                        "verified": True,
                        "meta": {"last_viewed_date": "2030-10-10T22:04:38+05:30", "residence": False, "office": False},
                    }
                ],
                "custom_fields.employee": "true",
                "custom_fields.dateofbirth": "22-10-2000",
                "extended_fields.gender": "Male",
            },
        },
        {
            "loyaltyInfo": {"loyaltyType": "loyalty"},
            "associatedWith": "demo.till",
            "profiles": [
                {
                    "identifiers": [
                        {"type": "mobile", "value": "447700900102"},
                        {"type": "cuid", "value": "cuid_1"},
                        {"type": "unionId", "value": "union_1"},
                    ],
                    "commChannels": [
                        {
                            "type": "mobilePush",
                            "value": "push-1",
                            "primary": "true",
                            "verified": "true",
                            "meta": {
                                "lastViewedDate": "2030-10-10T22:04:38+05:30",
                                "residence": "false",
                                "office": "false",
                            },
                        }
                    ],
                    "fields": {"employee": "true", "dateofbirth": "22-10-2000"},
                    "source": "MOBILE_APP",
                    "accountId": "demopush1",
                }
            ],
            "extendedFields": {"gender": "Male"},
        },
    ),
    "3, a LINE account": (
        {"source": "LINE", "account_id": "2000000001"},
        {
            "customer": ids({"email": "milo@example.com", "line": "U1"}),
            "fields": {"custom_fields.gender": "", "custom_fields.city": ""},
        },
        {
            "profiles": [
                {
                    "identifiers": [{"type": "email", "value": "milo@example.com"}, {"type": "line", "value": "U1"}],
                    "fields": {"gender": "", "city": ""},
                    "source": "LINE",
                    "accountId": "2000000001",
                }
            ]
        },
    ),
    "5, an external id alone": (
        {},
        {"customer": ids({"external_id": "879577211225"})},
        {"profiles": [{"identifiers": [{"type": "externalId", "value": "879577211225"}], "source": "INSTORE"}]},
    ),
    "6, labels": (
        {},
        {
            "fields": {"extended_fields.acquisition_channel": "Facebook", "status_label": "active-1"},
            "credits": {"referral_code": "FRIEND-1"},
        },
        {
            "profiles": [{"identifiers": [{"type": "mobile", "value": "447700900123"}], "source": "INSTORE"}],
            "extendedFields": {"acquisition_channel": "Facebook"},
            "referralCode": "FRIEND-1",
            "statusLabel": "active-1",
        },
    ),
}


def _registration_rows() -> list[Row]:
    def row(section: str, item: str, path: str, want: Any, command: Command | None = None, **destination: Any) -> Row:
        return Row("004", section, item, "sent", sent(post, POST, path, command or {}, **destination), want)

    def line(world: World) -> Any:
        post(world, {})
        return world.stub.lines()

    card_fields = {f"extended_fields.{name}": name for name in ("state", "area", "zip", "dob", "country_of_residence")}
    subscribed = channel("email", "ana@example.com", subscribed=True)
    viewed = channel("mobile_push", "abc", meta={"last_viewed_date": ""})
    at = "body.profiles.0."
    return [
        Row("004", "resource", "POST /v2/customers", "sent", line, [POST]),
        row(
            "request body", "associatedWith", "body.associatedWith", "till.1", {"fields": {"associated_with": "till.1"}}
        ),
        row("request body", "profiles.source", at + "source", "INSTORE"),
        *(row("request body", f"profiles.source {s}", at + "source", s, source=s, **_account(s)) for s in SOURCES),
        row("request body", "profiles.accountId", at + "accountId", "acc-1", source="WECHAT", account_id="acc-1"),
        row("request body", "profiles.commChannels.subscribed", at + "commChannels.0.subscribed", True, subscribed),
        row(
            "request body",
            "profiles.commChannels.meta.lastViewedDate",
            at + "commChannels.0.meta",
            {"lastViewedDate": ""},
            viewed,
        ),
        row(
            "request body",
            "profiles.fields.employee",
            at + "fields.employee",
            "true",
            {"fields": {"custom_fields.employee": "true"}},
        ),
        row(
            "request body",
            "profiles.fields.dateofbirth",
            at + "fields.dateofbirth",
            "22-10-2000",
            {"fields": {"custom_fields.dateofbirth": "22-10-2000"}},
        ),
        *(
            row("request body", f"extendedFields.{v}", f"body.extendedFields.{v}", v, {"fields": {n: v}})
            for n, v in card_fields.items()
        ),
        row("request body", "referralCode", "body.referralCode", "R-1", {"credits": {"referral_code": "R-1"}}),
        row(
            "request body",
            "referralCode empty in the samples: absent",
            "body.referralCode",
            None,
            {"credits": {"referral_code": ""}},
        ),
        row("request body", "statusLabel", "body.statusLabel", "active-1", {"fields": {"status_label": "active-1"}}),
        row(
            "request body",
            "loyaltyInfo.loyaltyType non_loyalty",
            "body.loyaltyInfo.loyaltyType",
            "non_loyalty",
            {"fields": {"loyalty_type": "non_loyalty"}},
        ),
        row(
            "request body",
            "names over 100 characters are sent whole",
            at + "firstName",
            "x" * 130,
            {"fields": {"first_name": "x" * 130}},
        ),
        *(
            row("request body", f"sample {name}", "body", body, command, **destination)
            for name, (destination, command, body) in SAMPLES.items()
        ),
        *_headers("004", post, POST),
        *_body_rows("004", post, POST),
        *_identifier_rows(),
    ]


COUPON = {
    "id": 1239575031,
    "entityType": "USER",
    "couponType": "PE",
    "couponCode": "JQI7S8P8",
    "validTill": "2031-07-29T23:59:59Z",
    "description": "Welcome",
    "discountCode": "NO_VALUE",
    "trimmedCouponCode": "JQI7S8P8",
    "type": "coupon",
}
CURRENCY = {
    "entityType": "USER",
    "rawAwardedValue": 110.000,
    "alternateCurrencyIdentifier": "miles1",
    "alternateCurrencyName": "miles",
    "awardedValue": 110,
    "type": "alternate_currency",
}
POINTS = {"entityType": "USER", "rawAwardedPoints": 99.5, "awardedPoints": 99, "type": "points"}


def _registration_answer_rows() -> list[Row]:
    def row(item: str, answer: Any, want: Any, *names: str, section: str = "response", deviates: str = "") -> Row:
        return Row("004", section, item, "handled", read(post, answer, *names), want, deviates)

    def effect(kind: str, given: Any, name: str, ours: str, want: Any) -> Row:
        answer = {**DONE, "sideEffects": [given]}
        return row(f"sideEffects.{name} ({kind})", answer, want, f"details.side_effects.0.{ours}")

    def warning(code: int, message: str) -> dict[str, Any]:
        return {**DONE, "warnings": [{"status": False, "code": code, "message": message}]}

    def error(code: int, message: str) -> dict[str, Any]:
        return {"errors": [{"status": False, "code": code, "message": message}], "warnings": []}

    exists = error(8006, "Add failed, Customer already exists with id 600000001 for same source")
    seen = {"kind": "permanent", "reason": "customer_exists", "code": "8006", "loyalty_id": "600000001"}
    unnamed = {"kind": "permanent", "reason": "customer_exists", "code": "8006", "loyalty_id": None}
    source = {"kind": "permanent", "code": "3217", "fields": ["destination.source"]}
    return [
        row("createdId", DONE, ID, "loyalty_id"),
        row("createdId above 2^53", {**DONE, "createdId": 9007199254740993}, "9007199254740993", "loyalty_id"),
        row("a new customer", DONE, True, "created"),
        row("warnings.code", warning(8107, "Default customer status label not set"), "8107", "notices.0.code"),
        row(
            "warnings.message",
            warning(8107, "Default customer status label not set"),
            "Default customer status label not set",
            "notices.0.message",
        ),
        row("warnings.status is false although the customer is there", warning(8107, "x"), "done", "kind"),
        row(
            "warning 1302", warning(1302, "supplementary program expiry is before membership expiry"), ["1302"], "codes"
        ),
        row("sideEffects empty", DONE, [], "details.side_effects"),
        row(
            "sideEffects: several",
            {**DONE, "sideEffects": [POINTS, COUPON, COUPON]},
            "coupon",
            "details.side_effects.2.type",
        ),
        effect("points", POINTS, "type", "type", "points"),
        effect("points", POINTS, "entityType", "entity_type", "USER"),
        effect("points", POINTS, "rawAwardedPoints", "raw_points", 99.5),
        effect("points", POINTS, "awardedPoints", "points", 99),
        effect("currency", CURRENCY, "rawAwardedValue", "raw_value", 110),
        effect("currency", CURRENCY, "awardedValue", "value", 110),
        effect("currency", CURRENCY, "alternateCurrencyIdentifier", "currency_id", "miles1"),
        effect("currency", CURRENCY, "alternateCurrencyName", "currency_name", "miles"),
        effect("coupon", COUPON, "id", "id", "1239575031"),
        effect("coupon", COUPON, "couponType", "coupon_type", "PE"),
        effect("coupon", COUPON, "couponCode", "code", "JQI7S8P8"),
        effect("coupon", COUPON, "validTill", "valid_until", "2031-07-29T23:59:59Z"),
        effect("coupon", COUPON, "description", "description", "Welcome"),
        effect("coupon", COUPON, "discountCode NO_VALUE", "discount_code", None),
        effect("coupon", {**COUPON, "discountCode": "FIVE"}, "discountCode", "discount_code", "FIVE"),
        row("8006 with the id", exists, seen, *seen, section="codes"),
        row(
            "8006 without the id",
            error(8006, "Customer already exists for same source."),
            unnamed,
            *unnamed,
            section="codes",
        ),
        row(
            "3217: the source",
            error(3217, "Source is invalid."),
            source,
            *source,
            section="codes",
        ),
        row(
            "3217: the account",
            error(3217, "Org source addition failed, Invalid source account identifier passed"),
            ["destination.account_id"],
            "fields",
            section="codes",
        ),
    ]


def _token_rows() -> list[Row]:
    refused = [*RENEWED[:-1], ("credentials", "498")]
    key = {"data": None, "errors": [{"code": 320001, "message": "Invalid client key and secret"}]}

    def wrong_key(world: World) -> Any:
        world.stub.script({"POST /v3/oauth/token/generate": Reply(key, 401)})
        return pick(world.capillary(credentials=OAUTH).update(ID, {"fields": {"first_name": "Ana"}}), "kind", "code")

    def generated(world: World) -> Any:
        _oauth(world, [DONE])
        return world.stub.requests[0].body

    def attributed(world: World) -> Any:
        world.stub.script(
            {
                "POST /v3/oauth/token/generate": Reply({"data": {"accessToken": "t", "ttlSeconds": 300}}),
                PUT: Reply(DONE),
            }
        )
        credentials = {**OAUTH, "attribution_type": "STORE_CODE", "attribution_code": "S1"}
        world.capillary(credentials=credentials).update(ID, {"fields": {"first_name": "Ana"}})
        headers = world.stub.last(PUT).headers
        return [headers.get(f"x-cap-api-attribution-entity-{name}") for name in ("type", "code")] + [
            headers.get("authorization")
        ]

    def row(item: str, do: Callable[[World], Any], want: Any, way: Any = "handled") -> Row:
        return Row("ref B2", "OAuth", item, way, do, want)

    wrapped = {
        "response": {"status": {"success": "true", "code": "498", "message": "Token expired"}, "customers": None}
    }
    return [
        row("key and secret", generated, {"key": "fake-key", "secret": "fake-secret"}, "sent"),
        row("token as X-CAP-API-OAUTH-TOKEN", lambda w: _oauth(w, [DONE]), [*RENEWED[:2], ("done", "")], "sent"),
        row("attribution headers and no Authorization", attributed, ["STORE_CODE", "S1", None], "sent"),
        row("expired token 498 in HTTP 200", lambda w: _oauth(w, [_expired(200, 498), DONE]), RENEWED),
        row("expired token 498 in HTTP 401", lambda w: _oauth(w, [_expired(401, "498"), DONE]), RENEWED),
        row("HTTP 498 without a body", lambda w: _oauth(w, [Reply("", 498), DONE]), RENEWED),
        row("expired token in the V1.1 envelope", lambda w: _oauth(w, [wrapped, DONE]), RENEWED),
        row("refused again after one renewal", lambda w: _oauth(w, [_expired(401, 498)]), refused),
        row("320001: wrong key or secret", wrong_key, {"kind": "credentials", "code": "320001"}),
    ]


ROWS = [
    *_update_rows(),
    *_update_answer_rows(),
    *_registration_rows(),
    *_registration_answer_rows(),
    *_token_rows(),
]
