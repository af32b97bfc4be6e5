"""A real browser on the console of one local stack, with some of the demo's events; what no test may leave is checked.

After every test: no message of the browser about the content security policy or a script, and no request to another
host.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from devkit.cli.following import follow
from devkit.cli.running import RunningRelay
from devkit.console.serve import ConsoleServer
from devkit.demo.run import Demo
from devkit.demo.scenario import steps
from devkit.samples.delivery import deliver, webhook_url
from devkit.samples.fixtures import load
from devkit.stacks.connection_store import ConnectionStore, store_of

PATIENCE = 30.0
SHOWN = ("shopify-capillary", "standard-kangaroo")
"""Connections whose demo is sent."""
STEPS = 30
"""Events of it that are sent."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDE, NARROW = (1280, 900), (390, 844)

REFUSAL = {"vendor": "capillary", "method": "POST", "status": 400, "body": {"errors": [{"code": 8014}]}}
_NUMBERS = itertools.count(10101)


class Shop:
    """One running stack: connections and events of tests."""

    def __init__(self, relay: RunningRelay) -> None:
        self.relay = relay
        self.store: ConnectionStore = store_of(relay.stack)

    def connect(self, id: str, like: str = "shopify-capillary", **changed: Any) -> str:
        """Store a connection like a sample, with some members changed."""
        self.store.write(id, {**self.store.raw(like), **changed})
        return id

    def send(
        self, connection: str, topic: str, *assignments: str, fixture: str | None = None, wait: bool = True
    ) -> tuple[str, list[str]]:
        """Send a sample of Shopify; return its delivery id and what became of it."""
        sample = load("shopify", topic, fixture).changed(None, list(assignments))
        url = webhook_url(self.relay.stack, connection, sample)
        answer = deliver(sample, self.store.read(connection), url)
        assert answer.delivery_id is not None, answer
        if not wait:
            return answer.delivery_id, []
        entries = follow(self.relay.stack, answer.delivery_id, seconds=PATIENCE, expected=1)
        return answer.delivery_id, [entry.result.value for entry in entries]

    def park(self, connection: str, count: int) -> list[str]:
        """Park registrations that the vendor refuses, and let it take them from now on; return their deliveries."""
        self.connect(connection)
        self.faults(REFUSAL)
        deliveries = []
        for _ in range(count):
            number = next(_NUMBERS)
            delivery, outcomes = self.send(
                connection,
                "customers/create",
                f"id={number}",
                f"admin_graphql_api_id=gid://shopify/Customer/{number}",
                f"email=parked{number}@example.com",
                f"phone=+4477009{number}",
            )
            assert outcomes == ["parked"]
            deliveries.append(delivery)
        self.faults()
        return deliveries

    def faults(self, *rules: dict[str, Any]) -> None:
        """Replace the sandbox's rules of faults."""
        httpx.put(f"{self.relay.state.sandbox}/_sandbox/faults", json=list(rules)).raise_for_status()


@pytest.fixture(scope="session")
def shop() -> Iterator[Shop]:
    with RunningRelay.start() as relay:
        relay.connect()
        demo = Demo(relay)
        for step in [step for step in steps(demo.connections) if step.connection in SHOWN][:STEPS]:
            demo.show(step)
        yield Shop(relay)


@pytest.fixture(scope="session")
def console(shop: Shop) -> Iterator[str]:
    """The address that opens the console."""
    server = ConsoleServer(shop.relay.stack)
    yield server.url
    server.stop()


class Page:
    """What a person does with the browser."""

    def __init__(self, driver: webdriver.Chrome, opening: str) -> None:
        self.driver = driver
        self.opening = opening
        parts = urlsplit(opening)
        self.base = f"{parts.scheme}://{parts.netloc}"

    def open(self, path: str = "/") -> None:
        """Open a page of the console."""
        self.driver.get(self.base + path)

    @property
    def path(self) -> str:
        return self.driver.current_url.removeprefix(self.base)

    @property
    def text(self) -> str:
        """What a person reads of the page; nothing while another one is being loaded."""
        try:
            return self.driver.find_element(By.TAG_NAME, "body").text
        except (NoSuchElementException, StaleElementReferenceException):
            return ""

    def find(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> Sequence[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def click(self, words: str, css: str = "a, button, summary") -> None:
        """Click the first visible link or button whose words begin so."""

        def clicked() -> bool:
            named = [e for e in self.all(css) if e.is_displayed() and e.text.strip().startswith(words)]
            if named:
                named[0].click()
            return bool(named)

        self.wait(clicked)

    def wait(self, found: Callable[[], Any]) -> None:
        """Wait until something is the case, whatever is replaced meanwhile."""
        waiting = WebDriverWait(self.driver, PATIENCE, 0.1, ignored_exceptions=[StaleElementReferenceException])
        waiting.until(lambda _: found())

    def see(self, words: str) -> None:
        """Wait until the page shows words."""
        try:
            self.wait(lambda: words in self.text)
        except TimeoutException:
            raise AssertionError(f"{words!r} is not on {self.path}:\n{self.text[:3000]}") from None

    def reload_until(self, found: Callable[[], Any]) -> None:
        """Load the page again, as a person would, until something is the case."""
        for _ in range(100):
            if found():
                return
            self.driver.refresh()
        raise AssertionError(self.text)

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def tab_to(self, words: str, most: int = 80) -> None:
        """Press Tab until the focus is on what has these words or this label."""
        for _ in range(most):
            self.press(Keys.TAB)
            focused = self.driver.switch_to.active_element
            label = focused.text.strip() or focused.get_attribute("aria-label") or focused.get_attribute("name") or ""
            if label.startswith(words):
                return
        raise AssertionError(f"{words!r} cannot be reached with Tab")

    def size(self, size: tuple[int, int]) -> None:
        """Give the page a width and a height in CSS pixels."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False},
        )

    def dark(self, on: bool) -> None:
        """Prefer dark colours, or light ones."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def script(self, on: bool) -> None:
        """Run the page's scripts, or not."""
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not on})

    def complaints(self) -> list[str]:
        """Return what the browser reported since the last call: refused by the policy, or failed."""
        lines = [entry["message"] for entry in self._log("browser")]
        return [line for line in lines if "Failed to load resource" not in line]

    def _log(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def foreign(self) -> list[str]:
        """Return the addresses of other hosts that were requested since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith((self.base, "data:", "about:", "chrome:"))]


def _started(profile: Path) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = next(
        path
        for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
        if (path := shutil.which(name))
    )
    for flag in (
        "headless=new",
        # Chromium's sandbox refuses to run as root.
        *(("no-sandbox",) if os.geteuid() == 0 else ()),
        "disable-gpu",
        "disable-dev-shm-usage",
        "no-first-run",
        "no-default-browser-check",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "hide-scrollbars",
        "force-device-scale-factor=1",
        "lang=en-GB",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    started = _started(tmp_path_factory.mktemp("profile"))
    started.set_page_load_timeout(PATIENCE)
    yield started
    started.quit()


@pytest.fixture
def page(driver: webdriver.Chrome, console: str) -> Iterator[Page]:
    made = Page(driver, console)
    made.script(True)
    made.dark(False)
    made.size(WIDE)
    driver.delete_all_cookies()
    driver.get(console)
    made.complaints()
    made.foreign()
    yield made
    assert made.complaints() == []
    assert made.foreign() == []
