"""The same jobs as a tutorial would write them.

Everything is imported at the top, clients are made at import, and records are handled one after the other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from typing import Any

import boto3
import httpx
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from pydantic import BaseModel, ConfigDict

logger = Logger()
metrics = Metrics(namespace="Plain")
dynamodb = boto3.resource("dynamodb")
sqs = boto3.client("sqs")
secrets = boto3.client("secretsmanager")
state = dynamodb.Table(os.environ["RELAY_STATE_TABLE"])
journal = dynamodb.Table(os.environ["RELAY_JOURNAL_TABLE"])
persistence = DynamoDBPersistenceLayer(table_name=os.environ["RELAY_IDEMPOTENCY_TABLE"])
config = IdempotencyConfig(event_key_jmespath="event_id", expires_after_seconds=30 * 86_400)
processor = BatchProcessor(event_type=EventType.SQS)
http = httpx.Client(timeout=15)


class Address(BaseModel):
    """A postal address as Shopify sends it."""

    model_config = ConfigDict(extra="ignore")
    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    zip: str | None = None
    country_code: str | None = None


class Customer(BaseModel):
    """A customer as Shopify sends one."""

    model_config = ConfigDict(extra="ignore")
    id: int
    email: str | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    note: str | None = None
    updated_at: str
    default_address: Address | None = None


class Message(BaseModel):
    """What travels through the queue."""

    event_id: str
    connection: str
    customer: Customer


class Store(BaseModel):
    """A store on its way to be linked."""

    event_id: str
    connection: str
    shop_id: str
    name: str = ""


@metrics.log_metrics
def ingest(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Verify, validate, enqueue."""
    request = APIGatewayProxyEventV2(event)
    body = (request.decoded_body or "").encode()
    name = request.path_parameters["connection"]
    secret = _connection(name)["source"]["secrets"][0]["value"]
    expected = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
    if not hmac.compare_digest(expected, request.headers.get("x-shopify-hmac-sha256", "")):
        return {"statusCode": 401}
    message = Message(
        event_id=hashlib.sha256(body).hexdigest(), connection=name, customer=Customer.model_validate_json(body)
    )
    sqs.send_message(QueueUrl=os.environ["RELAY_QUEUE_REGISTER"], MessageBody=message.model_dump_json())
    metrics.add_metric(name="Deliveries", unit=MetricUnit.Count, value=1)
    logger.info("accepted", extra={"connection": name})
    return {"statusCode": 200, "body": ""}


@metrics.log_metrics
def register(event: dict[str, Any], context: Any) -> Any:
    """Return the queue's records, one after the other."""
    config.register_lambda_context(context)
    return process_partial_response(event=event, record_handler=_record, processor=processor, context=context)


@metrics.log_metrics
def crm_patch(event: dict[str, Any], context: Any) -> Any:
    """Patch the CRM fields of the queue's customers."""
    config.register_lambda_context(context)
    return process_partial_response(event=event, record_handler=_patch_record, processor=processor, context=context)


@metrics.log_metrics
def link_store(event: dict[str, Any], context: Any) -> Any:
    """Link the queue's stores."""
    config.register_lambda_context(context)
    return process_partial_response(event=event, record_handler=_link_record, processor=processor, context=context)


@metrics.log_metrics
def hydrate(event: dict[str, Any], context: Any) -> Any:
    """Fetch what the queue's messages name, and send it on."""
    return process_partial_response(event=event, record_handler=_fetch_record, processor=processor, context=context)


def authorize(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Compare the key's digest with those of the connection."""
    given = hashlib.sha256(event["headers"]["x-api-key"].encode()).hexdigest()
    known = _connection(event["pathParameters"]["connection"])["api_keys"]
    return {"isAuthorized": any(hmac.compare_digest(key["sha256"], given) for key in known)}


def _patch_record(record: SQSRecord) -> None:
    message = Message.model_validate_json(record.body)
    _patch(message=message.model_dump())
    metrics.add_metric(name="Applied", unit=MetricUnit.Count, value=1)
    logger.info("applied", extra={"connection": message.connection})


def _link_record(record: SQSRecord) -> None:
    store = Store.model_validate_json(record.body)
    _link(store=store.model_dump())
    metrics.add_metric(name="Applied", unit=MetricUnit.Count, value=1)
    logger.info("applied", extra={"connection": store.connection})


def _fetch_record(record: SQSRecord) -> None:
    thin = Store.model_validate_json(record.body)
    source = _connection(thin.connection)["source"]
    headers = {"Authorization": f"Bearer {source['api_credentials']['access_token']}"}
    answer = http.get(f"{source['api_host']}/v2/locations/{thin.shop_id}", headers=headers)
    answer.raise_for_status()
    location = answer.json()["location"]
    store = thin.model_copy(update={"name": location.get("name") or ""})
    sqs.send_message(QueueUrl=os.environ["RELAY_QUEUE_LINK_STORE"], MessageBody=store.model_dump_json())
    logger.info("fetched", extra={"connection": thin.connection})


def _kangaroo(connection: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the destination, and the headers of a new token."""
    destination = _connection(connection)["destination"]
    given = {name: value for name, value in destination["credentials"].items() if name != "type"}
    application = {"X-Application-Key": given["application_key"]}
    form = {"grant_type": "password", "scope": "admin", **given}
    answer = http.post(f"{destination['host']}/oauth/token", data=form, headers=application)
    answer.raise_for_status()
    return destination, {**application, "Authorization": f"Bearer {answer.json()['access_token']}", **_ACCEPT}


_ACCEPT = {"Accept": "application/vnd.kangaroorewards.api.v1+json"}


@idempotent_function(  # type: ignore[untyped-decorator]
    data_keyword_argument="message", persistence_store=persistence, config=config
)
def _patch(message: dict[str, Any]) -> dict[str, Any]:
    given = Message.model_validate(message)
    customer = given.customer
    destination, headers = _kangaroo(given.connection)
    known = http.get(f"{destination['host']}/customers", params={"email": f"eq|{customer.email}"}, headers=headers)
    known.raise_for_status()
    fields = {
        "email": customer.email,
        "phone": (customer.phone or "")[2:],
        "country_code": "US",
        "first_name": customer.first_name,
        "last_name": customer.last_name,
    }
    if not (found := known.json()["data"]):
        created = http.post(f"{destination['host']}/customers", json=fields, headers=headers)
        created.raise_for_status()
        found = [created.json()["data"]]
    answer = http.patch(f"{destination['host']}/customers/{found[0]['id']}/crm-fields", json=fields, headers=headers)
    answer.raise_for_status()
    key = {"pk": f"plain#{given.connection}#{customer.id}"}
    state.put_item(Item={**key, "version": customer.updated_at, "loyalty_id": found[0]["id"]})
    _journal(given.connection, given.event_id)
    return {"outcome": "applied"}


@idempotent_function(  # type: ignore[untyped-decorator]
    data_keyword_argument="store", persistence_store=persistence, config=config
)
def _link(store: dict[str, Any]) -> dict[str, Any]:
    given = Store.model_validate(store)
    destination, headers = _kangaroo(given.connection)
    api = f"{destination['integrations_host']}/api/v1"
    branches = http.get(f"{api}/branches", params={"per_page": 100}, headers=headers | {"Accept": "application/json"})
    branches.raise_for_status()
    made = http.post(f"{api}/integrations", json={"name": "Plain", "type": 1}, headers=headers)
    made.raise_for_status()
    link = {
        "shop_id": given.shop_id,
        "branch_id": next(one["id"] for one in branches.json()["data"] if one["virtual_branch_flag"]),
        "account_id": "acme",
        "integration_id": made.json()["id"],
        "store_name": given.name,
        "store_domain": "https://acme.example.com",
    }
    http.post(f"{api}/branch-links", json=link, headers=headers).raise_for_status()
    state.put_item(Item={"pk": f"plain#{given.connection}#{given.shop_id}", "version": "", "loyalty_id": "linked"})
    _journal(given.connection, given.event_id)
    return {"outcome": "applied"}


def _record(record: SQSRecord) -> None:
    message = Message.model_validate_json(record.body)
    _apply(message=message.model_dump())
    metrics.add_metric(name="Applied", unit=MetricUnit.Count, value=1)
    logger.info("applied", extra={"connection": message.connection})


@idempotent_function(  # type: ignore[untyped-decorator]
    data_keyword_argument="message", persistence_store=persistence, config=config
)
def _apply(message: dict[str, Any]) -> dict[str, Any]:
    given = Message.model_validate(message)
    customer = given.customer
    key = {"pk": f"plain#{given.connection}#{customer.id}"}
    known = state.get_item(Key=key, ConsistentRead=True).get("Item")
    if known is not None and known["version"] >= customer.updated_at:
        return {"outcome": "stale"}
    destination = _connection(given.connection)["destination"]
    user, password = (destination["credentials"][name] for name in ("username", "password"))
    # Capillary docs: Basic authentication takes the password's MD5.
    token = base64.b64encode(f"{user}:{hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()}".encode())
    profile = {"firstName": customer.first_name, "lastName": customer.last_name, "source": destination["source"]}
    headers = {"Authorization": f"Basic {token.decode()}"}
    if known is None:
        named = (("mobile", (customer.phone or "").lstrip("+")), ("email", customer.email))
        profile["identifiers"] = [{"type": kind, "value": value} for kind, value in named if value]
        answer = http.post(f"{destination['host']}/v2/customers", json={"profiles": [profile]}, headers=headers)
    else:
        url = f"{destination['host']}/v2/customers/{known['loyalty_id']}?source={destination['source']}"
        answer = http.put(url, json={"profiles": [profile]}, headers=headers)
    answer.raise_for_status()
    created = answer.json().get("createdId")
    loyalty_id = str(created) if created else str((known or {}).get("loyalty_id"))
    state.put_item(Item={**key, "version": customer.updated_at, "loyalty_id": loyalty_id})
    _journal(given.connection, given.event_id)
    return {"outcome": "applied"}


def _journal(connection: str, event_id: str) -> None:
    journal.put_item(
        Item={
            "delivery_id": event_id,
            "position": 0,
            "connection_day": f"{connection}#{time.strftime('%Y-%m-%d')}",
            "sort": event_id,
            "result": "applied",
        }
    )


def _connection(name: str) -> dict[str, Any]:
    text = parameters.get_secret(f"{os.environ['RELAY_SECRETS_PREFIX']}/connections/{name}", max_age=300)
    connection: dict[str, Any] = json.loads(text)
    return connection
