"""``relay sales``: what is known of an order, what was booked of it, and what is next.

It is the response of the API's ``GET /connections/{connection}/sales/{order_id}``, by the same reader.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from devkit.cli.connections import ConnectionId
from devkit.cli.options import AsJson, StackName, group
from devkit.cli.output import note, show_json, show_pairs, show_table
from devkit.queries.hints import meaning
from devkit.queries.order import STEPS, show_order
from devkit.stacks.connection_store import store_of
from devkit.stacks.services import services_of
from devkit.stacks.stack import find_stack

app = group("See what was booked of orders.")


@app.command()
def show(
    id: ConnectionId,
    order: Annotated[
        str, typer.Argument(metavar="ORDER", help="The order's id at the source, or an alias.", show_default=False)
    ],
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Show an order's ledger: money, bookings, the difference, what is next and why."""
    found = find_stack(stack)
    services, connection = services_of(found), store_of(found).read(id)
    view = show_order(services, connection.id, order)
    if json:
        show_json(view.as_json())
    else:
        _show(view.as_json())


def _show(known: dict[str, Any]) -> None:
    paid = known["paid_currency"]
    reason = known.get("reason", "")
    show_pairs(
        [
            ("order", known["order_id"]),
            ("aliases", ", ".join(known["aliases"])),
            ("sale", "known" if known["sale_known"] else "not known yet"),
            ("total", f"{known['total']} {paid}" if "total" in known else ""),
            ("captured", f"{known['captured']} {paid}"),
            ("refunded", f"{known['refunded']} {paid}"),
            ("refunds", ", ".join(f"{refund} {amount}" for refund, amount in known["refunds"].items())),
            ("target", f"{known['target']} {known['currency']}"),
            ("booked", f"{known['booked']} {known['currency']}"),
            ("difference", f"{known['difference']} {known['currency']}"),
            ("next", STEPS[known["next"]]),
            ("reason", reason),
            ("means", meaning(reason, "") if reason else ""),
            ("loyalty id", known.get("loyalty_id", "guest" if known["guest"] else "")),
            ("kept until", known["kept_until"]),
        ]
    )
    rows = [_row(booking, "booked") for booking in known["bookings"]]
    rows += [_row(known["intent"], "under way")] if "intent" in known else []
    if rows:
        columns = ["number", "kind", "amount", "state", "bill", "refund", "transaction", "loyalty id", "at"]
        show_table(columns, rows, drop=["at", "loyalty id", "refund"])
    else:
        note("nothing was booked")


def _row(booking: dict[str, Any], state: str) -> list[str]:
    return [
        str(booking["number"]),
        booking["kind"],
        f"{booking['amount']} {booking['currency']}",
        state,
        booking["bill"],
        booking.get("refund_id", ""),
        booking.get("transaction_id", ""),
        booking.get("loyalty_id", ""),
        booking["at"],
    ]
