from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LAYER = Path(__file__).parents[2] / "layers" / "relay"


PACKAGES = ("storage", "reliability", "customers", "stores")


def test_importing_the_packages_of_the_state_loads_no_aws_client_powertools_or_pydantic() -> None:
    code = (
        "import importlib, pkgutil, sys\n"
        "import loyalty_relay.connections.store\n"
        f"for package in {PACKAGES}:\n"
        "    path = importlib.import_module('loyalty_relay.' + package).__path__\n"
        "    for module in pkgutil.iter_modules(path):\n"
        "        importlib.import_module(f'loyalty_relay.{package}.{module.name}')\n"
        "heavy = {'botocore', 'boto3', 'aws_lambda_powertools', 'pydantic', 'httpx', 'jmespath'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(LAYER)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
