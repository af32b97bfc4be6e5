"""Kangaroo Rewards in the sandbox: the hosts /kangaroo and /kangaroo-integrations over one business.

docs/sandbox-kangaroo.md separates facts from assumptions on what the vendor does not document.
"""

from devkit.sandbox.kangaroo.hosts import KangarooHost, kangaroo

__all__ = ["VENDOR", "KangarooHost"]

VENDOR = kangaroo
