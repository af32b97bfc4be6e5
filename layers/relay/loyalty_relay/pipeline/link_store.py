"""link-store: one integration per connection, one branch link per shop, whatever crashes in between.

Every step is checkpointed, and looked up at the vendor before it is repeated:

    1. the link is known and enabled          ──► unchanged
    2. lease on (connection, shop)
    3. the virtual branch: requested, configured, or the only one there is
    4. lease on (connection, integration): saved ──► by name at the vendor ──► create, save
    5. the vendor's links of that integration: this shop's ──► save it; another branch's ──► conflict
    6. create the link, save it

Where the vendor does not list integrations or links, the steps that look there are left out: the vendor refuses a
second link of a shop, and an attempt that was cut off in step 4 or 6 is ambiguous.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from loyalty_relay.destinations.base import Branch, StoreLink, StoreLinkCrm
from loyalty_relay.model import effects
from loyalty_relay.model.commands import LinkStore
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    FieldProblem,
    InvalidCommand,
    StoreConflict,
    UnsupportedByDestination,
    UpstreamTimeout,
    after_effect,
)
from loyalty_relay.model.outcomes import Notice, Outcome, Result
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
        self.notices: list[Notice] = []

    def run(self) -> Outcome:
        known = self.links.get(self.connection, self.command.shop_id)
        if known is not None and (known.enabled or self._elsewhere(known)):
            return self._settled(known)
        lease = self.links.take_shop(self.connection, self.command.shop_id)
        with self._held(lease):
            branch = self._branch()
            integration_id, is_new = (known.integration_id, False) if known else self._integration()
            link = None if is_new else self._existing(integration_id, known)
            created = link is None
            if link is None:
                link = self._linked(lease, branch, integration_id)
            elif link.branch_id.casefold() != branch.id.casefold():
                raise _conflict("the shop is linked to another branch", link)
            elif not link.enabled:
                raise _conflict("the shop's link is disabled; enable it at the vendor", link)
            else:
                self.links.save_link(lease, link)
        return self._done(Result.APPLIED if created else Result.UNCHANGED, link)

    def _linked(self, lease: Checkpoint, branch: Branch, integration_id: int) -> StoreLink:
        """Create the link and save it."""
        try:
            with self._intended(lease):
                link = self.crm.create_link(self.command, branch.id, integration_id, self.context.deadline)
        except StoreConflict as conflict:
            if lease.interrupted and "branch_link_id" not in conflict.existing:
                raise AmbiguousOutcome(
                    "the shop is linked already, perhaps by an earlier attempt, and the destination does not list its"
                    " links; compare the link at the vendor"
                ) from None
            raise
        asked = replace(
            link, shop_id=self.command.shop_id, account_id=self.command.account_id, integration_id=integration_id
        )
        if asked != link or link.branch_id.casefold() != branch.id.casefold():
            self.notices.append(Notice("link_differs", "the response shows another link than was asked for"))
        with after_effect():
            self.links.save_link(lease, asked)
        return asked

    @contextmanager
    def _intended(self, lease: Checkpoint) -> Iterator[None]:
        """Keep an intent stored as long as it is unknown whether the block created something."""
        self.links.intend(lease)
        since = effects.begun()
        try:
            yield
        except Exception as error:
            # An earlier attempt's intent stays: this attempt proves nothing about that one.
            if not effects.may_have_acted(error, since) and not lease.interrupted:
                self.links.withdraw(lease)
            raise

    @contextmanager
    def _held(self, lease: Checkpoint) -> Iterator[None]:
        """Hold a lease while the block runs.

        After a time-out the vendor may still be at work: then the lease is left to run out, so that nothing looks at
        the vendor before the result can be seen.
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
        if self._elsewhere(link):
            raise _conflict("the shop is linked to another branch or through another integration", link)
        return self._done(Result.UNCHANGED, link)

    def _elsewhere(self, link: StoreLink) -> bool:
        branch, integration = self.command.branch_id, self.command.integration_id
        return (branch is not None and branch.casefold() != link.branch_id.casefold()) or (
            integration is not None and integration != link.integration_id
        )

    def _done(self, result: Result, link: StoreLink) -> Outcome:
        if not link.enabled:
            self.notices.append(Notice("link_disabled", "the link is there and disabled; enable it at the vendor"))
        outcome = Outcome(
            result=result,
            created=result is Result.APPLIED,
            notices=tuple(self.notices),
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
        name = self.command.integration_name or str(options.get("integration_name") or "Loyalty Relay")
        lease = self.links.take_integration(self.connection, name)
        with self._held(lease):
            if lease.integration_id is not None:
                return lease.integration_id, False
            found = self._find_integration(name, interrupted=lease.interrupted)
            if found is not None:
                self.links.save_integration(lease, found)
                return found, False
            with self._intended(lease):
                created = self.crm.create_integration(name, self.context.deadline)
            with after_effect():
                self.links.save_integration(lease, created)
            return created, True

    def _find_integration(self, name: str, *, interrupted: bool) -> int | None:
        try:
            return self.crm.find_integration(name, self.context.deadline)
        except AmbiguousOutcome:
            if interrupted:
                raise
            return None  # No list route, and no attempt before this one: there can be none of ours.

    def _existing(self, integration_id: int, known: StoreLink | None) -> StoreLink | None:
        """Return the shop's link as the vendor lists it; ``known`` where the vendor has no list."""
        try:
            links = self.crm.links(integration_id, self.context.deadline)
        except AmbiguousOutcome:
            return known
        return next((link for link in links if link.shop_id == self.command.shop_id), None)


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
