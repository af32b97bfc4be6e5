"""What each reason means, and what a person does next. The words are those of the journal and of parked messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from loyalty_relay.destinations.registry import vendor as destination
from loyalty_relay.destinations.registry import vendors


@dataclass(frozen=True, slots=True)
class Hint:
    """What a reason means, and what to do about it (empty: nothing)."""

    means: str
    do: str = ""


STATUSES = {str(status.value): status.phrase for status in HTTPStatus}

GIVEN_UP = "It was tried for 72 hours without success; the last time:"

HINTS: Mapping[str, Hint] = {
    # Why a command is parked.
    "invalid": Hint(
        "The command has fields that the destination cannot take.",
        "Correct them at the source or in the connection's mapping (relay map shows them), then relay redrive.",
    ),
    "idempotency_key_reused": Hint(
        "The caller used an Idempotency-Key again with another request.",
        "Let the caller send it again with a key of its own; relay redrive executes it as it is.",
    ),
    "unsupported_by_destination": Hint(
        "This destination has no such operation or field.", "Change the connection's mapping or its destination."
    ),
    "customer_not_found": Hint(
        "The programme has no such customer, and the connection does not register missing ones.",
        "Set register_missing in the connection or register the customer, then relay redrive.",
    ),
    "customer_exists": Hint(
        "The programme has this customer already.", "Use if_exists update, or update the existing loyalty id."
    ),
    "customer_erased": Hint("The customer was deleted or erased at the source; nothing is sent for them any more."),
    "store_conflict": Hint(
        "The shop is linked to another branch, or its link is disabled.",
        "Look at the existing link with GET /connections/ID/store-links, and unlink or enable it at the vendor.",
    ),
    "rejected": Hint(
        "The destination rejected the command; the code is its own.",
        "Look the vendor code up, correct the data or the vendor's configuration, then relay redrive.",
    ),
    "ambiguous": Hint(
        "The request may have been carried out, and repeating it could credit or link twice.",
        "Check the member or the link at the vendor; if nothing was done there, relay redrive --one ID.",
    ),
    "adjustment_needed": Hint(
        "The order's bookings cannot be brought to what it earns.",
        "relay sales show has the amounts; put the difference right at the vendor.",
    ),
    "crashed": Hint(
        "The function ended again and again before it could record why.",
        "Look at relay logs for this operation; after a fix, relay redrive.",
    ),
    "unreadable": Hint(
        "The message is not one of this relay's.", "relay parked show --body prints it; find its sender."
    ),
    # Why a delivery is parked raw.
    "not_json": Hint("The signed body is not JSON.", "Check the webhook's format at the platform: it must send JSON."),
    "not_an_object": Hint("The signed body is JSON, but no object.", "Check what the platform sends for this topic."),
    "too_deep": Hint("The signed body is nested deeper than any platform sends.", "Check who sends with this secret."),
    "too_many_entities": Hint("The delivery has more entities than any platform sends.", "Check who sends with it."),
    "no_topic": Hint(
        "The request names no topic.", "Register the webhook URL with the topic after the connection's id."
    ),
    "too_long": Hint("A topic or an id of the delivery has more than 200 characters, which no real one has."),
    "topic_mismatch": Hint(
        "The body is not of the shape that its topic has.", "Compare it with relay map PLATFORM TOPIC --file."
    ),
    "no_id": Hint("The entity in the delivery has no id.", "Check the fields that the webhook is subscribed to."),
    "bad_id": Hint("The entity's id is not one.", "Check what the platform sends for this topic."),
    "bad_field": Hint("A field has a value of another kind than the platform documents.", "relay parked show --body."),
    "bad_time": Hint("A time in the delivery is not one.", "Check what the platform sends for this topic."),
    "bad_amount": Hint("An amount of the order is not one.", "Check what the platform sends for this topic."),
    "bad_currency": Hint("The order's currency is no ISO 4217 code.", "Check what the platform sends for this topic."),
    "too_many_readings": Hint("The order has more parts to read than any real one.", "Look at it at the platform."),
    "no_signed_time": Hint(
        "The signed body has no time that the event could be ordered by.",
        "Subscribe the webhook to the entity's time of change.",
    ),
    "bad_revision": Hint("The revision in the delivery is not one.", "Check what the platform sends for this topic."),
    "bad_merge": Hint("The merge names no two customers.", "Check what the platform sends for this topic."),
    "no_payload": Hint(
        "The form has no field with the entity's JSON.", "Check what the platform sends for this topic."
    ),
    "bad_envelope": Hint("The event's envelope lacks what its specification requires.", "Mend the sender."),
    "bad_update": Hint("An update in the delivery is not one.", "Check what the platform sends for this topic."),
    "error_object": Hint(
        "The platform sent an error in place of the entity.", "Check the rights of who registered the webhook."
    ),
    "no_customer_in_query": Hint(
        "The subscription's own query returns no customer.", "Add the customer's id to the query of the subscription."
    ),
    "mapping_failed": Hint(
        "An expression of the connection's mapping fails on this body.",
        "relay map PLATFORM TOPIC --file shows it; correct the mapping, apply, then relay redrive.",
    ),
    "untranslatable": Hint("The body is not what its topic promises.", "Compare it with relay map PLATFORM TOPIC."),
    # Why a delivery is refused although its signature is good.
    "unsupported_format": Hint("The body is in a format that is not understood.", "Send JSON; see docs/platforms."),
    # Why it is tried again.
    "transient": Hint("A passing fault; it is tried again by itself."),
    "connection_failed": Hint("The destination could not be reached; it is tried again by itself."),
    "timeout": Hint("The destination did not answer in time; it is tried again by itself, after looking first."),
    "unavailable": Hint("The destination cannot serve now; it is tried again by itself."),
    "rate_limited": Hint("The destination's limit is used up for now; it waits for its turn."),
    "part_not_done": Hint(
        "The destination changed a part of what was sent and reported the rest as failed; that is sent again by itself."
    ),
    "customer_unknown": Hint(
        "No event has named this customer's e-mail or phone yet; it waits for the one that does, up to 72 hours."
    ),
    "lease_busy": Hint("Another event of the same customer is being applied; it waits for it."),
    "in_progress": Hint("Another copy of the same event is being applied."),
    "circuit_open": Hint("The destination is known to be failing; nothing is sent until a probe succeeds."),
    "deadline": Hint("Too little time was left in this invocation; it is tried again by itself."),
    "store_unavailable": Hint("One of the relay's own AWS services cannot be reached; it is tried again by itself."),
    "credentials": Hint(
        "The destination refuses the connection's credentials; nothing is lost, everything waits.",
        "Apply the connection with good credentials (relay connections check ID names what is missing).",
    ),
    "running": Hint("An import or a reconciliation goes on by itself.", "relay import CONNECTION --resume follows it."),
    "run_under_way": Hint(
        "A schedule's run was not begun: another run of the connection was under way, or came after."
    ),
    "no_connection": Hint(
        "A schedule began a run of a connection that is not there.", "relay reconcile CONNECTION --every off"
    ),
    "run_superseded": Hint("A later message, or another run of the connection, took this one's place."),
    "stopped": Hint(
        "The platform refuses to list its customers, or lists over 1 % of them no more; the run's note has it.",
        "Give the access token the right that docs/import.md names; or look for the customers in the shop, and accept "
        "their absence with relay reconcile CONNECTION --all --allow-absent.",
    ),
    # Why an order earns nothing, or waits.
    "no_order": Hint("The payment belongs to no order, or the order has nothing to record."),
    "not_paid": Hint("The order is not paid yet; a later event reports its payment."),
    "not_closed": Hint("The sale is parked or still open at the till; it counts when it is closed."),
    "nothing_sold": Hint("The order has nothing that was sold."),
    "order_not_placed": Hint("The order is a draft, or was not completed."),
    "order_deleted": Hint(
        "The order was deleted at the shop; what was captured counts until a refund reports otherwise."
    ),
    "order_update_follows": Hint("The shop sends the whole order in another event, which counts."),
    "payment_not_completed": Hint("The payment is only authorised, or failed; it counts when it is completed."),
    "refund_pending": Hint("The refund is not completed yet; it counts when it is."),
    "return_order": Hint("The order only carries a return; the refund's own event counts."),
    "fields_left_out": Hint(
        "The subscription leaves out fields of the order that its amounts need.",
        "Add the named fields to the subscription at the platform, then relay redrive.",
    ),
    "sales_not_enabled": Hint("The connection records no sales.", "Set sales.enabled in the connection, if it should."),
    "sale_missing": Hint("A payment or refund came before its sale; it waits for the sale."),
    "not_earned_yet": Hint("The order is not paid yet, or not fulfilled where the connection's rules require that."),
    "test_order": Hint("It is a test order."),
    "before_start_date": Hint("The order was sold before the connection's start date for sales."),
    "below_minimum": Hint("What the order earns is below the connection's minimum."),
    "guest": Hint("It is a guest's sale.", "sales.guests in docs/connections.md has what can become of those."),
    "guest_held": Hint("It waits for the guest to register with that e-mail or phone, verified."),
    "unlinked_return": Hint("The return names no sale, and the connection books none of those."),
    "too_old": Hint("The order is older than the connection's return window."),
    "nothing_earned": Hint("Nothing of the order earns."),
    "currency": Hint(
        "The order has no amounts in the connection's currency.",
        "Compare sales.currency of the connection with the shop's currency, then relay redrive.",
    ),
    # Why nothing was needed.
    "older": Hint("A newer state of this customer was applied before; this one is out of date."),
    "customer_deleted": Hint("The customer was deleted at the source before this; older events stay without effect."),
    "customer_merged": Hint("The customer was merged into another; older events stay without effect."),
    "no_identifier": Hint(
        "The customer has no e-mail, phone or other identifier, so the programme cannot register them.",
        "Map an identifier in the connection, or collect one at the source.",
    ),
    "nothing_mapped": Hint("The event has no field that is mapped.", "Map a field of it, if the destination wants it."),
    "no_changes": Hint("The delivery names nothing that changed."),
    "topic_not_used": Hint("This topic is understood, and nothing of it is for a loyalty programme."),
    "segments_not_used": Hint("Segments are the shop's own; the event has no time, so nothing can be ordered by it."),
    "no_tags": Hint("The event names no tag."),
    "no_consent_given": Hint("The customer has given no consent, and is not opted in without it."),
    "no_tags_at_capillary": Hint("Capillary has no tags.", "Map them to a custom field, if they are wanted there."),
    "no_stores_at_capillary": Hint("Stores are linked at Kangaroo only."),
    "no_such_consent_at_kangaroo": Hint("Kangaroo keeps consent to e-mail only."),
    "data_request": Hint(
        "A customer requests their data.",
        "An operator must reply to it; relay events list --customer finds what was sent.",
    ),
    "app_uninstalled": Hint("The shop removed the app; store links are kept.", "Remove the connection if it is final."),
    "location_closed": Hint("The location is closed; its link is kept."),
    "fulfilment_service": Hint("The location is a fulfilment service's, not a store."),
    "merge_failed": Hint("The shop could not merge the two customers; both stay."),
    "merge_not_completed": Hint("The merge goes on at the shop; its end is another event."),
    "topic_not_proven": Hint(
        "The signed body does not show that it is a customer's deletion, and the topic is not signed.",
        "Give deletions of customers a secret with topics; see the platform's page.",
    ),
    "identifier_unverified": Hint(
        "A member has the customer's e-mail or phone, which the source has not verified.",
        "see verified_identifiers in docs/connections.md",
    ),
    "not_a_member": Hint("The customer is no member, and this connection registers no new members."),
    "not_the_main_address": Hint("Another address than the customer's main one changed."),
    "role_not_wanted": Hint("The user is no customer (an administrator, for instance)."),
    "no_access_token": Hint(
        "The event only names a resource, and the connection cannot read it.", "Add source.api_credentials and apply."
    ),
    "no_merchants": Hint("The delivery names no merchant."),
    "store_not_connected": Hint(
        "One of the delivery's stores is not among the connection's.", "Add it to source.stores, if it is yours."
    ),
    "ping": Hint("A test of the webhook; it has no effect."),
    "deleted_meanwhile": Hint("The resource was deleted at the source before it could be fetched."),
    "hydrated": Hint("The resource was fetched, and its command was sent on."),
    "store_erased": Hint("Everything that was held of the shop's customers and links is erased."),
    # Why a request is refused.
    "not_authentic": Hint(
        "The request does not prove who sent it: signature, secret, store or time.",
        "Compare the webhook's secret at the platform with the connection's; relay sign shows what is expected.",
    ),
    "too_large": Hint("The body is larger than any platform sends.", "Send less at once."),
    "unknown_connection": Hint("There is no such connection.", "relay connections list shows those that exist."),
    "connection_invalid": Hint("The stored connection is not valid.", "Correct the named fields and apply it again."),
}

NOTICES: Mapping[str, str] = {
    "amount_differs": "the programme shows another amount than was sent",
    "branch_refused": "the branch was refused; booked at the main branch instead",
    "credits_not_sent": "points, enrolments or referral codes were not sent",
    "customer_changed": "the order names another customer now; it stays with the member to whom it was booked",
    "email_too_long": "the programme keeps the beginning of the e-mail only",
    "gender_not_known": "the programme has no such gender; it was left out",
    "identifier_changed": "the member is found by the new identifier now",
    "identifier_not_updated": "the identifier could not be changed; another member may have it",
    "identifier_unchanged": "the member was found by this identifier already",
    "link_differs": "the vendor shows another link than was asked for",
    "link_disabled": "the link is there and disabled; enable it at the vendor",
    "merged": "the member had been merged into another one, who was updated",
    "name_too_long": "the programme keeps the beginning of the name only",
    "not_cleared": "the programme keeps its value: it cannot be emptied",
    "not_read_back": "the fields were sent; they could not be read afterwards",
    "not_updatable": "a field can be set by a registration only",
    "not_verified": "a field was left out, because the source has not verified it",
    "option_not_sent": "an option has no effect on this request",
    "points_not_done": "the sale is booked; not all of its points were given",
    "tags_differ": "the programme shows other tags than were sent",
    "unsupported_field": "the programme has no such field",
    "value_differs": "the programme shows another value than was sent",
    "value_not_taken": "a value that the programme does not take was left out",
    "value_refused": "a value that the programme would refuse was left out",
}
"""What the relay's own notices mean; NAME_invalid is written for each field."""


RESULTS: Mapping[str, Hint] = {
    "applied": Hint("The destination has it."),
    "unchanged": Hint("The destination had exactly this already; no call was needed."),
    "stale": Hint("Newer information was applied before; nothing was sent."),
    "duplicate": Hint("The same event came before; nothing was sent again."),
    "ignored": Hint("Understood, and nothing to do for the destination."),
    "recorded": Hint("Kept in the order's ledger until what it needs arrives."),
    "retrying": Hint("Not done yet; it is tried again by itself."),
    "parked": Hint(
        "It cannot succeed as it is, and waits for you.", "relay parked list shows it; after a fix, relay redrive."
    ),
}


FORMER: Mapping[str, str] = {"nothing_told": "no_changes", "gone": "deleted_meanwhile"}
"""Reasons in journal items of up to 90 days ago, and what they are called now."""


def _described(reason: str) -> Hint | None:
    return HINTS.get(FORMER.get(reason, reason))


def hint(reason: str, result: str = "") -> str:
    """Return what to do about a reason, else about a result; empty when there is nothing to do."""
    found = _described(reason)
    if found is not None and found.do:
        return found.do
    if found is not None and result != "parked":
        return ""
    return RESULTS[result].do if result in RESULTS else ""


def meaning(reason: str, result: str = "") -> str:
    """Return what happened, in a sentence; empty when nothing is known."""
    found = _described(reason) or RESULTS.get(result)
    if found is None:
        return ""
    if result == "parked" and reason in HINTS and not found.do:
        # A passing fault that did not pass: by its own sentence it is tried again.
        return f"{GIVEN_UP} {found.means.split(';')[0].rstrip('.')}."
    return found.means


def in_words(code: str, vendor: str = "") -> str:
    """Return a code of a notice or of a vendor with what it means, where that is known."""
    means = NOTICES.get(code, "")
    if not means and code.endswith("_invalid"):
        means = f"{code.removesuffix('_invalid')} is not valid and was left out"
    if not means and vendor in vendors():
        means = destination(vendor).code_text(code)
    if not means and code in STATUSES:
        means = f"HTTP {STATUSES[code]}"
    return f"{code}: {means}" if means else code


def as_markdown() -> str:
    """Return the reasons about which something is to be done, as rows of docs/cli.md."""
    return "".join(f"| {word} | {h.means} | {h.do} |\n" for word, h in HINTS.items() if h.do)
