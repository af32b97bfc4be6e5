"""The platforms' APIs: what hydrate and imports read, and webhook subscriptions.

Each serves demo entities; `PUT /_sandbox/settings/{platform}` with `{"entities": {PATH: OBJECT or null}}`
creates, changes and deletes them. docs/sandbox-kangaroo.md lists paths and responses.
"""

from devkit.sandbox.platforms.adobe import Adobe
from devkit.sandbox.platforms.base import Platform
from devkit.sandbox.platforms.bigcommerce import BigCommerce
from devkit.sandbox.platforms.clover import Clover
from devkit.sandbox.platforms.lightspeed import Lightspeed
from devkit.sandbox.platforms.shopify import Shopify
from devkit.sandbox.platforms.square import Square
from devkit.sandbox.platforms.woocommerce import WooCommerce
from devkit.sandbox.vendor import Clock

__all__ = ["VENDOR", "Adobe", "BigCommerce", "Clover", "Lightspeed", "Platform", "Shopify", "Square", "WooCommerce"]


def VENDOR(clock: Clock) -> list[Platform]:  # noqa: N802 - the name that the sandbox looks for
    """Return every platform."""
    platforms = (Adobe, BigCommerce, Clover, Lightspeed, Shopify, Square, WooCommerce)
    return [platform(clock) for platform in platforms]
