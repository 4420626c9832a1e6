"""A real browser without a window: the Chromium that the machine has."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect, sync_playwright

WAIT_MS = 60_000
"""A loaded machine is slow."""

expect.set_options(timeout=WAIT_MS)

ARTIFACTS = Path(os.environ.get("ARTIFACTS_DIR") or Path(__file__).parents[2] / "artifacts")

WIDTH, HEIGHT = 1440, 900

SCHEMES: Sequence[Literal["light", "dark"]] = ("light", "dark")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser for the block, or skip the test where the machine has none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    with sync_playwright() as playwright:
        # The sandbox needs rights that containers do not give; the pages are our own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


class Window:
    """A page of the dashboard, and what its console and its addresses told."""

    def __init__(self, browser: Browser, url: str, locale: str = "en-US") -> None:
        self.url = url
        self.context = browser.new_context(
            color_scheme=SCHEMES[0],
            locale=locale,
            timezone_id="Asia/Seoul",
            viewport={"width": WIDTH, "height": HEIGHT},
            accept_downloads=True,
        )
        self.context.set_default_timeout(WAIT_MS)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.addresses: list[str] = []
        self.received: list[bytes] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("response", self._see)
        self.page.on("websocket", lambda socket: socket.on("framereceived", self._receive))

    def sign_in(self, password: str) -> None:
        self.page.goto(self.url)
        self.page.fill("input[name=password]", password)
        self.page.click("button[type=submit]")
        self.settle()

    def open(self, name: str) -> None:
        """Open a page by its link beside the pages."""
        self.page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click()
        self.settle()

    def settle(self) -> None:
        """Wait until Streamlit's script has run to its end."""
        self.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
        self.page.wait_for_function("!document.querySelector('[data-stale=true], [data-testid=stSkeleton]')")

    def picture(self, name: str) -> None:
        """Keep pictures of the whole page in both themes, for people to look at."""
        ARTIFACTS.mkdir(exist_ok=True)
        for scheme in SCHEMES:
            self.page.emulate_media(color_scheme=scheme)
            height = self.page.evaluate(
                "(document.querySelector('[data-testid=stMain]') ?? document.documentElement).scrollHeight"
            )
            self.page.set_viewport_size({"width": WIDTH, "height": max(HEIGHT, height)})
            self.page.wait_for_timeout(700)  # charts fade in
            self.page.screenshot(path=ARTIFACTS / f"{name}-{scheme}.png")
        self.page.emulate_media(color_scheme=SCHEMES[0])
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _see(self, response: Response) -> None:
        self.addresses.append(response.url)
        if response.status >= 400:
            self.complaints.append(f"HTTP {response.status}: {response.url}")

    def _receive(self, payload: bytes | str) -> None:
        self.received.append(payload if isinstance(payload, bytes) else payload.encode())
