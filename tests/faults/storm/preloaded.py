"""What every worker needs, loaded once in the process that they are forked from: killing one then costs little."""

import aws_lambda_powertools.utilities.idempotency
import botocore.session
import httpx
import phonenumbers

import loyalty_relay.customers.ledger
import loyalty_relay.destinations.capillary.client
import loyalty_relay.destinations.kangaroo.client
import loyalty_relay.reliability.circuit_breaker
import loyalty_relay.reliability.idempotency
import loyalty_relay.reliability.rate_limiter
import loyalty_relay.runtime.wiring
import loyalty_relay.triggers.hydrate
import loyalty_relay.triggers.queue
import loyalty_relay.triggers.webhook
import tests.faults.storm.worker

LOADED = (
    aws_lambda_powertools,
    botocore,
    httpx,
    phonenumbers,
    loyalty_relay,
    tests,
)
