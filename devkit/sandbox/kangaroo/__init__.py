"""Kangaroo Rewards in the sandbox: the business host at /kangaroo, the integrations host at
/kangaroo-integrations, and one business behind both. docs/sandbox-kangaroo.md says what is fact and what is
a stand on something that the vendor does not document.
"""

from devkit.sandbox.kangaroo.hosts import KangarooHost, kangaroo

__all__ = ["VENDOR", "KangarooHost"]

VENDOR = kangaroo
