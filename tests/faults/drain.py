"""A backlog and the executions that drain it at a rate limit."""

from __future__ import annotations

import heapq
import random

from loyalty_relay.model.errors import RateLimited
from loyalty_relay.reliability import retry_policy
from loyalty_relay.reliability.sliding_window import Ledger, Rate


class Queue:
    """A queue and the executions that empty it, as far as pacing sees them: batches of ten, each of which is busy until
    its last request is answered, and messages that come back when their wait is over by the retry policy.
    """

    def __init__(self, *, per_minute: float, executions: int, seed: int) -> None:
        self.rate = Rate.of(per_minute)
        self.executions = executions
        self.random = random.Random(seed).random
        self.ledger = Ledger()
        self.sent: list[float] = []
        self.receives = 0

    def drain(self, messages: int, began: float) -> None:
        """Everything was sent while the destination was down; from ``began`` on it answers."""
        waiting = [(began, number, 1) for number in range(messages)]
        idle = [(began, number) for number in range(self.executions)]
        while waiting:
            free_at, execution = heapq.heappop(idle)
            now = max(free_at, waiting[0][0])
            batch: list[tuple[float, int, int]] = []
            while waiting and waiting[0][0] <= now and len(batch) < 10:
                batch.append(heapq.heappop(waiting))
            self.receives += len(batch)
            self.ledger, granted = self.ledger.grant(self.rate, len(batch), now)
            self.sent += granted.slots
            for (_, number, receives), wait in zip(batch[len(granted.slots) :], granted.waits, strict=True):
                hidden = max(1, round(retry_policy.delay(RateLimited(retry_after=wait), receives, self.random())))
                heapq.heappush(waiting, (now + hidden, number, receives + 1))
            busy = max((slot - now for slot in granted.slots), default=0.0) + 0.2
            heapq.heappush(idle, (now + busy, execution))
