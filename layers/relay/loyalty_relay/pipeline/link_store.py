"""link-store: one integration per connection, one branch link per shop, whatever crashes in between.

Every step is checkpointed, and looked up at the vendor before it is repeated:

    1. the link is known and enabled          ──► unchanged
    2. lease on (connection, shop)
    3. the virtual branch: asked for, configured, or the only one there is
    4. lease on (connection, integration): saved ──► by name at the vendor ──► create, save
    5. the vendor's links of that integration: this shop's ──► save it; another branch's ──► conflict
    6. create the link, save it
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from loyalty_relay.destinations.base import Branch, StoreLink, StoreLinkCrm
from loyalty_relay.model.commands import LinkStore
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    FieldProblem,
    InvalidCommand,
    RelayError,
    StoreConflict,
    TransientError,
    UnsupportedByDestination,
    UpstreamTimeout,
)
from loyalty_relay.model.outcomes import Outcome, Result
from loyalty_relay.pipeline.context import Context
from loyalty_relay.stores.links import Checkpoint, Links

ECOMMERCE = frozenset({"shopify", "woocommerce", "bigcommerce", "adobe"})
"""Platforms whose shops have a domain, which the vendor requires for e-commerce."""


def link_store(command: LinkStore, context: Context, crm: StoreLinkCrm, links: Links) -> Outcome:
    """Link a shop. Raise StoreConflict when it is linked to another branch or its link is disabled."""
    if "link-store" not in crm.operations:
        raise UnsupportedByDestination(f"{context.connection.destination.vendor} has no store links")
    if context.connection.source.platform in ECOMMERCE and not command.store_domain:
        raise InvalidCommand(
            "an e-commerce shop needs its domain", problems=[FieldProblem("store_domain", "is required for e-commerce")]
        )
    return _Linking(command, context, crm, links).run()


class _Linking:
    def __init__(self, command: LinkStore, context: Context, crm: StoreLinkCrm, links: Links) -> None:
        self.command = command
        self.context = context
        self.crm = crm
        self.links = links
        self.connection = context.connection.id

    def run(self) -> Outcome:
        known = self.links.get(self.connection, self.command.shop_id)
        if known is not None:
            return self._settled(known)
        lease = self.links.take_shop(self.connection, self.command.shop_id)
        with self._held(lease):
            branch = self._branch()
            integration_id, is_new = self._integration()
            link = None if is_new else self._existing(integration_id)
            created = link is None
            if link is None:
                link = self.crm.create_link(self.command, branch.id, integration_id, self.context.deadline)
            elif link.branch_id.casefold() != branch.id.casefold():
                raise _conflict("the shop is linked to another branch", link)
            elif not link.enabled:
                raise _conflict("the shop's link is disabled; enable it at the vendor", link)
            self.links.save_link(lease, link)
        return self._done(Result.APPLIED if created else Result.UNCHANGED, link)

    @contextmanager
    def _held(self, lease: Checkpoint) -> Iterator[None]:
        """Hold a lease while the block runs. After a time-out the vendor may still be at work: then the lease is left
        to run out, so that nothing looks at the vendor before the result can be seen.
        """
        running = False
        try:
            yield
        except UpstreamTimeout as error:
            running = error.reached
            raise
        finally:
            if not running:
                self.links.release(lease)

    def _settled(self, link: StoreLink) -> Outcome:
        """Return the outcome for a shop that has a link: the same is no work, another branch is a conflict."""
        wanted = self.command.branch_id
        if wanted is not None and wanted.casefold() != link.branch_id.casefold():
            raise _conflict("the shop is linked to another branch", link)
        if not link.enabled:
            raise _conflict("the shop's link is disabled; enable it at the vendor", link)
        return self._done(Result.UNCHANGED, link)

    def _done(self, result: Result, link: StoreLink) -> Outcome:
        outcome = Outcome(
            result=result,
            created=result is Result.APPLIED,
            ids={
                "branch_link_id": link.branch_link_id,
                "integration_id": link.integration_id,
                "branch_id": link.branch_id,
            },
            details={"store_link": link_to_dict(link)},
        )
        self.context.record(outcome)
        return outcome

    def _branch(self) -> Branch:
        wanted = self.command.branch_id or self.context.connection.destination.options.get("branch_id")
        virtual = [branch for branch in self.crm.branches(self.context.deadline) if branch.virtual]
        if not virtual:
            raise InvalidCommand(
                "the business has no virtual branch; check 'Virtual Branch Group' on a branch in the business portal",
                code="no_virtual_branch",
            )
        if wanted is not None:
            for branch in virtual:
                if branch.id.casefold() == str(wanted).casefold():
                    return branch
            raise InvalidCommand(
                "no such virtual branch", problems=[FieldProblem("branch_id", _choose(virtual))], code="no_such_branch"
            )
        if len(virtual) > 1:
            raise InvalidCommand(
                "the business has several virtual branches",
                problems=[FieldProblem("branch_id", _choose(virtual))],
                code="several_virtual_branches",
            )
        return virtual[0]

    def _integration(self) -> tuple[int, bool]:
        """Return the integration's id, and whether it was created just now."""
        options = self.context.connection.destination.options
        given = self.command.integration_id or options.get("integration_id")
        if given is not None:
            return int(given), False
        lease = self.links.take_integration(self.connection)
        with self._held(lease):
            if lease.integration_id is not None:
                return lease.integration_id, False
            name = self.command.integration_name or str(options.get("integration_name") or "Loyalty Relay")
            found = self._find_integration(name, interrupted=lease.interrupted)
            integration_id = found if found is not None else self._create_integration(lease, name)
            self.links.save_integration(lease, integration_id)
            return integration_id, found is None

    def _find_integration(self, name: str, *, interrupted: bool) -> int | None:
        try:
            return self.crm.find_integration(name, self.context.deadline)
        except AmbiguousOutcome:
            if interrupted:
                raise
            return None  # No list route, and no attempt before this one: there can be none of ours.

    def _create_integration(self, lease: Checkpoint, name: str) -> int:
        """Create it, with the intent stored as long as it is unknown whether it exists."""
        self.links.intend(lease)
        try:
            return self.crm.create_integration(name, self.context.deadline)
        except RelayError as error:
            if not (isinstance(error, TransientError) and error.reached):
                self.links.withdraw(lease)
            raise

    def _existing(self, integration_id: int) -> StoreLink | None:
        for link in self.crm.links(integration_id, self.context.deadline):
            if link.shop_id == self.command.shop_id:
                return link
        return None


def _choose(branches: list[Branch]) -> str:
    listed = ", ".join(f"{branch.id} ({branch.name or 'no name'})" for branch in branches)
    return f"must be one of the virtual branches: {listed}"


def _conflict(message: str, link: StoreLink) -> StoreConflict:
    return StoreConflict(message, existing=link_to_dict(link))


def link_to_dict(link: StoreLink) -> dict[str, object]:
    """Return a link as the API shows it."""
    return {
        "branch_link_id": link.branch_link_id,
        "shop_id": link.shop_id,
        "account_id": link.account_id,
        "branch_id": link.branch_id,
        "integration_id": link.integration_id,
        "store_name": link.store_name,
        "store_domain": link.store_domain,
        "enabled": link.enabled,
        "created_at": link.created_at,
    }
