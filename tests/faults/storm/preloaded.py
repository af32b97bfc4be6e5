"""What every worker needs, loaded once in the process that they are forked from: killing one then costs little."""

import aws_lambda_powertools.utilities.idempotency
import botocore.session
import httpx
import phonenumbers

import loyalty_relay.clients.capillary
import loyalty_relay.clients.kangaroo.client
import loyalty_relay.services
import loyalty_relay.state.circuit
import loyalty_relay.state.customers
import loyalty_relay.state.idempotency
import loyalty_relay.state.pacing
import loyalty_relay.triggers.hydrate
import loyalty_relay.triggers.sqs
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
