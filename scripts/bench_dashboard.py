"""`make bench`, its last part: how long a page of the dashboard takes until it can be used, with much in the database.

A real API without networks, a real dashboard and a real browser, all on this machine; a SQLite database in a temporary
folder, or one that --data-dir names (FACE_API_DATA_DIR of `fill_store.py`).
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import click
from playwright.sync_api import TimeoutError  # noqa: A004 - Playwright's own
from tqdm import tqdm

from face_api.settings import Settings
from face_api.store import open_configured
from fill_store import COMPANY, fill, fill_events
from support.browser import Window, chromium
from support.dashboard import running_dashboard
from support.light_server import ENCODER_ID
from support.server import LIGHT, running_server

ROUNDS = 5

BEGIN_MS = 150
"""By when Streamlit has begun with what was asked. What is over before that is seen takes so much longer here."""

TARGET_S = 1.5

PAGES = (
    "Overview",
    "Companies and users",
    "Try an analysis",
    "Accuracy",
    "Activity and latency",
    "Keys and settings",
)


@click.command()
@click.option("--users", type=click.IntRange(1), default=100_000, show_default=True)
@click.option("--events", type=click.IntRange(0), default=1_000_000, show_default=True)
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="A database that is filled already.")
def main(users: int, events: int, data_dir: Path | None) -> None:
    """Measure the time from a click until the page has settled, and of some steps on it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if data_dir is None:
            data_dir = folder / "api"
            fill_database(data_dir, users, events)
        api = stack.enter_context(running_server(data_dir, LIGHT))
        dashboard = stack.enter_context(running_dashboard(folder / "dashboard", f"http://127.0.0.1:{api.port}"))
        window = Window(stack.enter_context(chromium()), dashboard.url)
        window.sign_in(dashboard.password)
        print(f"\ndashboard: {users:,} users, {events:,} events; seconds until a page can be used, {ROUNDS} rounds\n")
        print(f"{'':42}{'first':>8}{'median':>8}{'most':>8}")
        for name in PAGES:
            report(name, [seconds(window, partial(window.open, name)) for _ in range(ROUNDS)])
        window.open("Activity and latency")
        for days in ("Today", "30 days", "90 days"):
            choice = window.page.get_by_test_id("stMain").get_by_role("radio", name=days)
            report(f"  {days}", [seconds(window, choice.click)])
            window.open("Activity and latency")
        window.picture("many-activity")
        for tab in ("Log of analyses", "Audit trail"):
            report(f"  {tab}", [seconds(window, window.page.get_by_role("tab", name=tab).click)])
        window.open("Companies and users")
        report(f"  the company {COMPANY}", [seconds(window, lambda: open_first_row(window))])
        for _ in range(2):
            report("  its next page", [seconds(window, window.page.get_by_role("button", name="Next").click)])
        report("  a search", [seconds(window, lambda: search(window, "99"))])
        report("  a user", [seconds(window, lambda: open_first_row(window))])
        window.open("Overview")
        window.picture("many-overview")
        if window.complaints:
            print("\nthe browser complains:", *window.complaints, sep="\n")


def open_first_row(window: Window) -> None:
    """Click the first row of the table that is shown: it is drawn, so by its place."""
    table = window.page.get_by_test_id("stDataFrame").first
    table.click(position={"x": 120, "y": 52})


def search(window: Window, text: str) -> None:
    field = window.page.locator(".st-key-people_search input")
    field.fill(text)
    field.press("Enter")


def fill_database(data_dir: Path, users: int, events: int) -> None:
    """Fill a database as `fill_store.py` does."""
    store = open_configured(Settings(data_dir=data_dir), patient=True)
    try:
        for title, total, counts in (
            ("users", users, fill(store, users, ENCODER_ID)),
            ("events", events, fill_events(store, events)),
        ):
            with tqdm(total=total, unit=f" {title}", disable=None) as bar:
                for count in counts:
                    bar.update(count)
    finally:
        store.close()


def seconds(window: Window, act: Callable[[], object]) -> float:
    """Return how long it takes from an act until the page has settled."""
    start = time.perf_counter()
    act()
    with suppress(TimeoutError):  # so fast that it is over
        window.page.wait_for_selector("[data-testid=stApp][data-test-script-state=running]", timeout=BEGIN_MS)
    window.settle()
    return time.perf_counter() - start


def report(name: str, times: list[float]) -> None:
    late = "" if max(times) <= TARGET_S else f"  over {TARGET_S:g} s"
    print(f"{name:42}{times[0]:8.2f}{statistics.median(times):8.2f}{max(times):8.2f}{late}")


if __name__ == "__main__":
    main()
