"""``python -m tests.faults.storm --seed 7``: one storm, and what was seen."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from tests.faults.storm.broken import PARTS
from tests.faults.storm.run import Storm, Weather


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storm", description=__doc__)
    parser.add_argument("--seed", type=int, nargs="*", default=[1], help="one or more")
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--customers", type=int, default=300)
    parser.add_argument("--orders", type=int, default=400)
    parser.add_argument("--speed", type=float, default=Weather.speed, help="of the clock; slower on a busy machine")
    parser.add_argument("--broken", choices=("", *PARTS), default="", help="break a part, to see that it is noticed")
    given = parser.parse_args()
    weather = Weather(
        events=given.events, customers=given.customers, orders=given.orders, speed=given.speed, broken=given.broken
    )
    failed = 0
    for seed in given.seed:
        report = Storm(replace(weather, seed=seed)).run()
        sys.stdout.write(f"{report}\n")
        sys.stdout.flush()
        failed += bool(report.problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
