"""Makes the checkout importable from its own environment, and adds the `relay` command to it.

Run by the environment's interpreter. Neither the devkit nor the layer is installed as a package: the layer is
deployed by SAM, and the devkit never is, so a path file is all that is needed and no build tool is involved.
"""

import sys
import sysconfig
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

RELAY = """#!/bin/sh
exec "{python}" -m devkit "$@"
"""


def main() -> None:
    """Write the path file and the command into the running interpreter's environment."""
    site = Path(sysconfig.get_path("purelib"))
    (site / "loyalty_relay_checkout.pth").write_text(f"{CHECKOUT}\n{CHECKOUT / 'layers' / 'relay'}\n")
    command = Path(sys.executable).parent / "relay"
    command.write_text(RELAY.format(python=sys.executable))
    command.chmod(0o755)


if __name__ == "__main__":
    main()
