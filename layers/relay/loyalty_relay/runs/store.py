"""Where runs are kept: the latest of each connection in the state table, reports in the journal's table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from loyalty_relay.model.errors import StoreUnavailable
from loyalty_relay.runs.run import Run
from loyalty_relay.storage import keys
from loyalty_relay.storage.table import Contended, Refused, Table

KEPT_DAYS = 400
"""How long reports are kept: a year, and the one to compare with."""


ROSTER_DAYS = 28
"""How long a list of ids is kept."""
BATCH = 100
"""Items read with one request: what BatchGetItem takes."""


class RunChanged(Exception):
    """Another execution, or an operator, changed the run meanwhile; nothing was written."""


class Runs:
    """The runs of all connections. Every method may raise StoreUnavailable. ``clock``: epoch seconds."""

    def __init__(self, dynamodb: Any, state_table: str, journal_table: str, *, clock: Callable[[], float]) -> None:
        self._state = Table(dynamodb, state_table)
        self._journal = Table(dynamodb, journal_table)
        self._clock = clock

    def get(self, connection: str) -> tuple[Run, int] | None:
        """Return the latest run and the revision of its item; None when there was none."""
        item = self._state.get({"pk": keys.run(connection)})
        return None if item is None else (Run.from_json(item["run"]), int(item["revision"]))

    def begin(self, run: Run) -> bool:
        """Store a new run unless another one of the connection is running; return whether it was stored."""
        found = self.get(run.connection)
        if found is not None and found[0].status == "running":
            return False
        try:
            self._put(run, None if found is None else found[1])
        except RunChanged:
            return False
        return True

    def save(self, run: Run, revision: int) -> int:
        """Store where the run is and return the new revision. Raises RunChanged."""
        return self._put(run, revision)

    def change(self, connection: str, **members: Any) -> Run | None:
        """Change members of the latest run, whatever it does meanwhile; None when there is none."""
        for _ in range(10):
            found = self.get(connection)
            if found is None:
                return None
            run = replace(found[0], **members)
            try:
                self._put(run, found[1])
            except RunChanged:
                continue
            return run
        raise StoreUnavailable("the run's item is being written by other executions")

    def _put(self, run: Run, revision: int | None) -> int:
        item = {"pk": keys.run(run.connection), "run": run.to_json(), "revision": (revision or 0) + 1}
        try:
            self._state.put(
                item,
                condition="attribute_not_exists(pk)" if revision is None else "revision = :revision",
                values=None if revision is None else {":revision": revision},
            )
        except (Refused, Contended):
            raise RunChanged from None
        return (revision or 0) + 1

    # -- who is listed ------------------------------------------------------------------------------------------------

    def keep_page(self, connection: str, run_id: str, page: int, names: Iterable[str]) -> None:
        """Keep the names of one page of the list that a run makes; the same page again replaces it."""
        item = {"pk": keys.roster_page(connection, run_id, page), "names": "\n".join(sorted(set(names)))}
        self._state.put(item | {"expires_at": int(self._clock()) + ROSTER_DAYS * 86_400})

    def listed(self, connection: str, run_id: str, pages: int) -> set[str]:
        """Return the names of a run's list."""
        pks = [keys.roster_page(connection, run_id, page) for page in range(pages)]
        found: set[str] = set()
        for start in range(0, pages, BATCH):
            for item in self._state.get_many([{"pk": pk} for pk in pks[start : start + BATCH]]):
                found.update(filter(None, item["names"].split("\n")))
        return found

    def roster(self, connection: str) -> tuple[str, int] | None:
        """Return the run and the number of pages of the list that the next one is compared with; None for none."""
        item = self._state.get({"pk": keys.roster(connection)})
        return None if item is None else (item["run_id"], int(item["pages"]))

    def adopt(self, run: Run) -> None:
        """Make a run's list the one that the next one is compared with."""
        item = {"pk": keys.roster(run.connection), "run_id": run.id, "pages": run.pages}
        self._state.put(item | {"expires_at": int(self._clock()) + ROSTER_DAYS * 86_400})

    # -- reports ------------------------------------------------------------------------------------------------------

    def report(self, run: Run) -> None:
        """Keep the report of a run that has ended, without the names of customers; once more has no effect."""
        run = replace(run, absent=())
        self._journal.put(
            {
                "delivery_id": keys.reports(run.connection),
                "position": int(run.started_at),
                "report": run.to_json(),
                "expires_at": int(self._clock()) + KEPT_DAYS * 86_400,
            }
        )

    def reports(self, connection: str, *, limit: int = 20) -> list[Run]:
        """Return the reports of a connection, the newest first."""
        items = self._journal.query(None, "delivery_id", keys.reports(connection), limit=limit, newest_first=True)
        return [Run.from_json(item["report"]) for item in items]
