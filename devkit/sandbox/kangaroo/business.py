"""One Kangaroo business with everything it has; both of the vendor's hosts serve it."""

from __future__ import annotations

import random

from devkit.sandbox.kangaroo.crm import CrmModule
from devkit.sandbox.kangaroo.customers import CustomerBook
from devkit.sandbox.kangaroo.oauth import TokenDesk
from devkit.sandbox.kangaroo.settings import Settings
from devkit.sandbox.kangaroo.stores import StoreDesk
from devkit.sandbox.kangaroo.transactions import TransactionBook
from devkit.sandbox.vendor import JSON, Clock

BUSINESS_ID = "11eb0c2a5d3f4e10a7c1b42e99312ac8"
USER_ID = "11eb0c2a5d3f4e11a7c1b42e99312ac8"

_MEMBERS = (
    {
        "email": "existing.member@example.com",
        "phone": "+15145550142",
        "country_code": "CA",
        "first_name": "Erin",
        "last_name": "Existing",
    },
    {"phone": "+442079460018", "country_code": "GB", "first_name": "Pat", "last_name": "Phoneonly"},
)


class Business:
    """The state, and `settings`, which the hosts keep up to date."""

    def __init__(self, clock: Clock) -> None:
        self.settings = Settings()
        self.tokens = TokenDesk(clock)
        self.customers = CustomerBook(clock, random.Random("kangaroo customers"))
        self.crm = CrmModule(self.customers)
        self.stores = StoreDesk(clock)
        self.transactions = TransactionBook(clock, self.customers)
        self.reset()

    def reset(self) -> None:
        """Go back to the demo data: two customers, no tokens, no integrations, no links."""
        self.tokens.reset()
        self.customers.clear()
        self.stores.clear()
        self.transactions.clear()
        for member in _MEMBERS:
            self.customers.create(member, Settings())

    def me(self) -> dict[str, JSON]:
        """Return the account that GET /me shows."""
        return {
            "id": USER_ID,
            "profile": {
                "id": USER_ID,
                "username": self.settings.username,
                "email": self.settings.username,
                "first_name": "Demo",
                "last_name": "User",
            },
            "business": {
                "id": BUSINESS_ID,
                "name": "Demo Business",
                "loyalty_type": "points",
                "about": "",
                "logo": None,
                "cover": None,
            },
        }

    def state(self) -> JSON:
        """Return everything, for oracles; token values are left out."""
        return {
            "customers": self.customers.state(),
            **self.stores.state(self.settings),
            "transactions": self.transactions.state(),
            "welcomed": [*self.transactions.welcomed],
            "tokens": self.tokens.state(),
        }
