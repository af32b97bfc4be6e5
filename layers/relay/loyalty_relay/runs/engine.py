"""Go on with a run: read a page, compare it with the ledger, queue what differs, save where it is. Then prove it.

    page ──► commands ──► compare ── equal ───────────────────────────► counted
                             └────── missing or different ──► queue ──► counted
    save cursor and counts (conditional on the revision)

A death anywhere repeats one page: its commands have the same keys, and only one save of a page succeeds. The proof
reads the shop once more, after the journal has a final entry of each command of the run. What the ledger then still
lacks has an entry with the reason, is on its way, or is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from loyalty_relay.connections.model import Connection
from loyalty_relay.customers.comparison import Compared, Standing
from loyalty_relay.model.commands import REVISION, Command, CustomerCommand, Envelope, Event, instant_at
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.model.errors import InvalidCommand, LeaseBusy, RunContinues, Untranslatable
from loyalty_relay.model.outcomes import Result
from loyalty_relay.runs.readback import Marks, in_sample, line_of, marks_of, member_of, missed
from loyalty_relay.runs.run import Counts, Run
from loyalty_relay.runs.store import RunChanged
from loyalty_relay.sources.base import Change, CustomerChanged, CustomerRetired, Page, PageRequest, bounded, not_later
from loyalty_relay.translation.translate import Skip, translate

if TYPE_CHECKING:
    from loyalty_relay.customers.ledger import CustomerLedger
    from loyalty_relay.reliability.journal import Journal
    from loyalty_relay.runs.store import Runs

HOT_SECONDS = 10.0
"""A row that changed so shortly before it was read may change again within the same second of the platform's clock."""
MOST_READINGS = 3
"""Of one page for this reason."""
AHEAD_MINUTES = 10
"""Minutes of the vendor's capacity that are queued at most."""
DEFAULT_RATE = 300.0
"""Requests per minute that are assumed of a vendor without a limit."""
FULL_SECONDS = 30.0
"""Wait while the queue holds enough."""
PAGE_SECONDS = 5.0
"""What has to be left of an invocation for another page."""
FIRST_PENDING_SECONDS = 5.0
PENDING_SECONDS = 60.0
"""Waits while something is on its way: each is twice as long as the one before, up to this."""
MOST_ROUNDS = 30
"""Of the proof while something is on its way: half an hour, then it is reported as it is."""
LOOKS = 3
"""Unfinished deliveries that are met before a run that wants to queue more stops looking."""
MOST_ABSENT = 0.01
"""Share of the customers listed before who may be absent now; more is rather a fault of the listing."""
FEW_ABSENT = 3
"""So many never stop a run: a shop of 50 loses more than its share with one."""
MOST_ASKED = 1_000
"""Absent customers of one run who are looked up at the platform, as its item has to hold them; the next run goes on."""
ASKED = 10
"""So many are looked up between two saves."""
MOST_PAGES = 10_000
"""Of the vendor's list of members."""
ENTRIES = 5
"""Newest journal entries of a customer in which a reason is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A run's collaborators.

    ``stores``: those that are read one after another. ``read``: reads a page of the connection's shop. ``sendable``: a
    command as the destination can take it; raises InvalidCommand. ``enqueue``: sends commands to the queue of runs.
    ``shows``: whether the platform has a customer of this store and id; raises unless it is certain. ``member`` and
    ``members``: as ``ReadableCrm`` has them. ``mark``: the keyed digest of a field's text.
    """

    runs: Runs
    customers: CustomerLedger
    journal: Journal
    clock: Callable[[], float]
    stores: Callable[[Connection], tuple[str, ...]]
    read: Callable[[PageRequest, Connection, Deadline], Page]
    sendable: Callable[[CustomerCommand, Connection, Deadline], CustomerCommand]
    enqueue: Callable[[Sequence[Envelope]], None]
    shows: Callable[[str, str, Connection, Deadline], bool]
    member: Callable[[str, str, Connection, Deadline], Mapping[str, Any] | None]
    members: Callable[[int, Connection, Deadline], Sequence[tuple[str, Mapping[str, Any]]] | None]
    mark: Callable[[str, str, str], str]
    _lists: dict[str, dict[str, Marks]] = field(default_factory=dict)
    """Lists of members that were loaded, by run."""

    def advance(self, run_id: str, connection: Connection, deadline: Deadline) -> Run:
        """Go on until the run ends; return it as it ended.

        Raises RunContinues when the time is over, or while it has to wait, and the errors of reading and of the tables.
        """
        while True:
            found = self.runs.get(connection.id)
            if found is None or found[0].id != run_id:
                raise InvalidCommand("there is no such run any more")
            run, revision = found
            if run.status != "running":
                self.runs.report(run)
                return run
            if deadline.remaining() < PAGE_SECONDS:
                raise RunContinues(retry_after=0.0)
            after, wait = self._step(run, connection, deadline)
            try:
                note = after.note if wait or after.status != "running" else ""
                self.runs.save(replace(after, updated_at=self.clock(), note=note), revision)
            except RunChanged:
                continue
            if wait:
                raise RunContinues(retry_after=wait)

    def _step(self, run: Run, connection: Connection, deadline: Deadline) -> tuple[Run, float]:
        """Return the run after its next step, and how many seconds it waits then."""
        most = AHEAD_MINUTES * rate_of(connection)
        if run.phase == "send" and run.queued >= most:
            run = self._looked(run, looks=LOOKS)
            if run.queued >= most:
                return replace(run, note="the vendor has ten minutes of work"), FULL_SECONDS
        if run.phase == "prove" and run.unfinished and not run.cursor and not run.store:
            # The shop need not be read before the run's own commands have been carried out.
            run = self._looked(run)
            if run.unfinished and run.rounds < MOST_ROUNDS:
                waiting = replace(run, rounds=run.rounds + 1, note="waiting for queued work")
                return waiting, _pending_seconds(waiting)
        if run.phase == "send" and run.kind == "reconciliation" and run.lists and not run.members_read:
            return self._read_members(run, connection, deadline), 0.0
        if run.phase == "absent":
            return self._ask(run, connection, deadline), 0.0
        after = self._page(run, connection, deadline)
        if after.again > run.again:
            return after, HOT_SECONDS
        return after, _pending_seconds(after) if after.rounds > run.rounds else 0.0

    def _looked(self, run: Run, *, looks: int | None = None) -> Run:
        """Return the run without the deliveries that were carried out meanwhile.

        ``looks``: after so many that were not, the rest counts as unfinished.
        """
        left: list[tuple[str, int]] = []
        for delivery, commands in run.unfinished:
            if len(left) == looks or self.journal.finished(delivery) < commands:
                left.append((delivery, commands))
        return replace(run, unfinished=tuple(left))

    def _page(self, run: Run, connection: Connection, deadline: Deadline) -> Run:
        """Return the run after one page."""
        stores = self.stores(connection)
        now = self.clock()
        asked = PageRequest(store=stores[run.store], cursor=run.cursor, since=run.since, read_at=instant_at(now))
        page = self.read(asked, connection, deadline)
        if run.again < MOST_READINGS and any(_hot(change, now) for change in page.changes):
            return replace(run, again=run.again + 1)
        left = run.limit - run.counts.read if run.limit else len(page.changes)
        if run.phase == "send" and run.lists:
            store = asked.store
            names = [f"{store}\t{c.source_id}" for c in page.changes if isinstance(c, CustomerChanged)]
            self.runs.keep_page(run.connection, run.id, run.pages, names)
            run = replace(run, pages=run.pages + 1)
        after = self._take(run, page.changes[: max(left, 0)], connection, deadline)
        after = replace(after, again=0, total=run.total if page.total is None else page.total)
        full = bool(run.limit) and after.counts.read >= run.limit
        if page.cursor and not full:
            return replace(after, cursor=page.cursor)
        if run.store + 1 < len(stores) and not full:
            return replace(after, cursor="", store=run.store + 1)
        return self._next_phase(replace(after, cursor="", store=0))

    def _next_phase(self, run: Run) -> Run:
        if run.phase == "send":
            return replace(run, status="done") if run.dry else replace(run, phase="prove")
        if run.proof.pending and run.rounds < MOST_ROUNDS:
            return replace(run, proof=Counts(), rounds=run.rounds + 1, note="waiting for queued work")
        return self._compare_lists(run) if run.lists else replace(run, status="done", note="")

    def _compare_lists(self, run: Run) -> Run:
        """Return the run after its list of ids was compared with the one before: done, stopped, or with absent ones."""
        before = self.runs.roster(run.connection)
        if before is not None and before[0] != run.id:
            known = self.runs.listed(run.connection, *before)
            absent = sorted(known - self.runs.listed(run.connection, run.id, run.pages))
            run = replace(run, known=len(known), unlisted=len(absent))
            if len(absent) > max(FEW_ABSENT, MOST_ABSENT * len(known)) and not run.allow_absent:
                return replace(run, status="stopped", note=f"{len(absent)} of {len(known)} customers are not listed")
            # Who is not looked up now is listed as before, and absent in the next run, too.
            for start in range(MOST_ASKED, len(absent), MOST_ASKED):
                self.runs.keep_page(run.connection, run.id, run.pages, absent[start : start + MOST_ASKED])
                run = replace(run, pages=run.pages + 1)
            if absent:
                return replace(run, phase="absent", absent=tuple(absent[:MOST_ASKED]))
        self.runs.adopt(run)
        return replace(run, status="done", note="")

    def _read_members(self, run: Run, connection: Connection, deadline: Deadline) -> Run:
        """Return the run after a page of the vendor's list of members was kept."""
        page = self.members(run.members + 1, connection, deadline) if run.members < MOST_PAGES else None
        if not page:
            return replace(run, members_read=True)
        mark = partial(self.mark, connection.id)
        lines = [line_of(loyalty_id, marks_of(shown, mark)) for loyalty_id, shown in page]
        self.runs.keep_page(connection.id, f"{run.id}#members", run.members, lines)
        return replace(run, members=run.members + 1)

    def _shown(
        self, run: Run, loyalty_id: str, profile: str, connection: Connection, deadline: Deadline
    ) -> Marks | None:
        """Return what the vendor shows of a member, by its list where the run has read that."""
        if not run.members:
            shown = self.member(loyalty_id, profile, connection, deadline)
            return None if shown is None else marks_of(shown, partial(self.mark, connection.id))
        if run.id not in self._lists:
            lines = self.runs.listed(connection.id, f"{run.id}#members", run.members)
            self._lists[run.id] = {member.casefold(): marks for member, marks in map(member_of, lines)}
        return self._lists[run.id].get(loyalty_id.casefold())

    def _lacks(
        self, run: Run, command: CustomerCommand, loyalty_id: str, connection: Connection, deadline: Deadline
    ) -> bool:
        """Return whether the vendor lacks what the ledger has as sent; the ledger has it as unknown then."""
        shown = self._shown(run, loyalty_id, command.customer.profile, connection, deadline)
        names = () if shown is None else missed(command.fields, shown, partial(self.mark, connection.id))
        if shown is not None and not names:
            return False
        try:
            return self.customers.reset(connection.id, command.customer, fields=names) is not None
        except LeaseBusy:
            # An event of the customer is being carried out.
            return False

    def _ask(self, run: Run, connection: Connection, deadline: Deadline) -> Run:
        """Look up some of those whom the platform does not list any more; delete whom it does not have."""
        asked, left = run.absent[:ASKED], run.absent[ASKED:]
        deletions: list[tuple[Command, Event]] = []
        for name in asked:
            store, _, source_id = name.partition("\t")
            if not self.shows(store, source_id, connection, deadline):
                event = Event(
                    source=connection.source.platform,
                    topic="unlisted",
                    id=f"{run.kind}-{run.id}",
                    entity_id=source_id,
                )
                gone = CustomerRetired(event=event, source_id=source_id, reason="deleted", store=store or None)
                deletions += [(command, event) for command in cast("list[Command]", translate(gone, connection))]
        run = self._sent(replace(run, absent=left, deleted=run.deleted + len(deletions)), deletions)
        if left:
            return run
        self.runs.adopt(run)
        return replace(run, status="done", note="")

    def _take(self, run: Run, changes: Sequence[Change], connection: Connection, deadline: Deadline) -> Run:
        """Return the run with a page's rows counted, after those that differ were queued."""
        counts = run.counts.plus(read=len(changes))
        commands: list[tuple[CustomerCommand, Event]] = []
        for change in changes:
            found = self._command(_of_run(change, run, self.clock()), connection, deadline)
            if isinstance(found, str):
                counts = counts.skipping(found)
            else:
                commands.append(found)
        compared = self.customers.compare(connection.id, [command for command, _ in commands])
        wanted: list[tuple[CustomerCommand, Event]] = []
        for pair, result in zip(commands, compared, strict=True):
            match result.standing:
                case Standing.EQUAL:
                    looks = self._looks(run, pair[0], deadline) and result.loyalty_id is not None
                    if looks:
                        run = replace(run, read_back=run.read_back + 1)
                    if looks and self._lacks(run, pair[0], result.loyalty_id or "", connection, deadline):
                        run = replace(run, missed=run.missed + 1)
                        counts = counts.plus(different=1)
                        wanted.append(pair)
                    else:
                        counts = counts.plus(equal=1)
                case Standing.RETIRED:
                    counts = counts.skipping("customer_deleted")
                case _ if run.phase == "prove":
                    counts, sends = self._proven(run, counts, result, pair[1])
                    if sends:
                        wanted.append(pair)
                case standing:
                    counts = counts.plus(**{standing.value: 1})
                    wanted.append(pair)
        return self._sent(run.counting(counts), wanted)

    def _looks(self, run: Run, command: CustomerCommand, deadline: Deadline) -> bool:
        """Return whether a customer whom the ledger has as sent is looked at at the vendor."""
        if run.phase != "send" or run.kind != "reconciliation" or run.dry:
            return False
        source_id = command.customer.source_id or ""
        sampled = in_sample(run.id, source_id, read=run.read_back, total=run.total)
        return bool(run.members) or (sampled and deadline.remaining() >= PAGE_SECONDS)

    def _sent(self, run: Run, wanted: Sequence[tuple[Command, Event]]) -> Run:
        """Return the run after commands were queued as one delivery of its own; as it is where it only counts."""
        if run.dry or not wanted:
            return run
        now = self.clock()
        delivery = new_delivery_id(now)
        self.enqueue(
            [
                Envelope(
                    delivery_id=delivery,
                    connection=run.connection,
                    event=event,
                    command=command,
                    position=position,
                    received_at=now,
                )
                for position, (command, event) in enumerate(wanted)
            ]
        )
        unfinished = (*run.unfinished, (delivery, len(wanted)))
        return replace(run, sent=run.sent + len(wanted), unfinished=unfinished)

    def _command(
        self, change: Change, connection: Connection, deadline: Deadline
    ) -> tuple[CustomerCommand, Event] | str:
        """Return the command of a row with its event; or the reason why there is none."""
        try:
            translated = translate(change, connection)
            if isinstance(translated, Skip):
                return translated.reason
            command = translated[0]
            if not isinstance(command, CustomerCommand):
                return "not_a_customer"
            return self.sendable(command, connection, deadline), change.event
        except (Untranslatable, InvalidCommand) as error:
            return error.reason

    def _proven(self, run: Run, counts: Counts, result: Compared, event: Event) -> tuple[Counts, bool]:
        """Return the counts with a row that the ledger still lacks, and whether it is to be sent.

        It is on its way, or has a reason, or is missing. What the run has not sent, because it is new since, is sent.
        """
        entries = self.journal.by_customer(result.customer, limit=ENTRIES)
        own = next((entry for entry in entries if entry.event_id == event.id), None)
        latest = own or next(iter(entries), None)
        if own is None and (run.unfinished or run.rounds < MOST_ROUNDS):
            return counts.plus(pending=1), not run.unfinished
        if latest is not None and latest.result is Result.RETRYING:
            return counts.plus(pending=1), False
        if result.standing is Standing.DIFFERENT:
            return counts.plus(different=1), False
        if latest is not None and latest.result in (Result.IGNORED, Result.PARKED, Result.STALE):
            return counts.skipping(latest.reason or latest.result.value), False
        return counts.plus(missing=1), False


def rate_of(connection: Connection) -> float:
    """Return how many customers a minute the destination takes at most: its lowest limit."""
    return min(connection.destination.requests_per_minute.values(), default=DEFAULT_RATE)


def _pending_seconds(run: Run) -> float:
    return min(PENDING_SECONDS, FIRST_PENDING_SECONDS * 2.0 ** (run.rounds - 1))


def _of_run(change: Change, run: Run, now: float) -> Change:
    """Return a row's change as an event of the run: another version of the row is another event."""
    change = not_later(bounded(change), now, signed=True)
    version = getattr(change, "version", None)
    seen = hashlib.sha256(repr(version.to_list()[:2] if version else "").encode()).hexdigest()[:16]
    event = replace(change.event, id=f"{run.kind}-{run.id}-{seen}")
    if not isinstance(change, CustomerChanged):
        return replace(change, event=event)
    version = version and replace(version, event_id=event.id)
    versions = {name: replace(v, event_id=event.id) for name, v in change.versions.items()}
    return replace(change, event=event, version=version, versions=versions)


def _hot(change: Change, now: float) -> bool:
    version = getattr(change, "version", None)
    return (
        version is not None
        and not version.clock.endswith(REVISION)
        and instant_at(now - HOT_SECONDS) < version.value <= instant_at(now + HOT_SECONDS)
    )
