"""Leave in botocore's table of endpoints, which each process reads as a whole, the services that the functions call.

usage: trim_endpoints.py FILE SERVICE...
"""

import json
import sys
from pathlib import Path


def main(file: str, *services: str) -> None:
    """Rewrite the file. Partitions, regions and defaults stay as they are."""
    table = json.loads(Path(file).read_text())
    for partition in table["partitions"]:
        partition["services"] = {
            name: partition["services"][name] for name in services if name in partition["services"]
        }
    Path(file).write_text(json.dumps(table, separators=(",", ":")))


if __name__ == "__main__":
    main(*sys.argv[1:])
