"""A day of an administrator, in a real browser, with the real service, networks and photos.

Pictures of every page are written to the artifacts folder, in both themes, for people to look at.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from sample_photos import sample_photo
from support.browser import WAIT_MS, Window, chromium
from support.command import face_api
from support.dashboard import Dashboard, running_dashboard
from support.photos import IN_BAND, collage, jpeg
from support.server import Server, running_server

COMPANY, USER = "withmind", "tamy"
SET = "presidents"

PAGES = {
    "overview": "Overview",
    "people": "Companies and users",
    "attempt": "Try an analysis",
    "accuracy": "Accuracy",
    "activity": "Activity and latency",
    "service": "Keys and settings",
}


@dataclass(frozen=True, slots=True)
class Place:
    """What runs, and the administrator's key that only the dashboard's process has."""

    server: Server
    dashboard: Dashboard
    key: str
    folder: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    key = face_api("keys", "create", "--admin", "--data-dir", folder / "api").expect().strip()
    key_file = folder / "key"
    key_file.write_text(key)
    for name in ("obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"):
        person = folder / "dashboard" / "sets" / SET / name.rstrip("23.jpg")
        person.mkdir(parents=True, exist_ok=True)
        (person / name).write_bytes(sample_photo(name).read_bytes())
    with running_server(folder / "api", auth="keys", inference_workers=1, log_format="text") as server:
        address = f"http://127.0.0.1:{server.port}"
        with running_dashboard(folder / "dashboard", address, api_key_file=key_file) as dashboard:
            yield Place(server, dashboard, key, folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def window(browser: Browser, place: Place) -> Iterator[Window]:
    opened = Window(browser, place.dashboard.url)
    opened.page.goto(place.dashboard.url)
    opened.picture("sign-in")
    opened.sign_in(place.dashboard.password)
    yield opened
    opened.context.close()


def main_of(page: Page) -> Locator:
    return page.get_by_test_id("stMain")


def expect_page(window: Window, title: str) -> None:
    expect(window.page.get_by_test_id("stHeading").first).to_have_text(title)
    window.settle()


def fill(window: Window, label: str, text: str, place: Locator | None = None) -> None:
    field = (place or main_of(window.page)).get_by_label(label, exact=True)
    field.fill(text)
    field.press("Enter")
    window.settle()


def press(window: Window, key: str) -> None:
    window.page.locator(f".st-key-{key} button").click()
    window.settle()


def upload(window: Window, file: Path) -> None:
    main_of(window.page).locator("input[type=file]").first.set_input_files(file)
    expect(main_of(window.page).get_by_role("button", name=f"Remove {file.name}")).to_be_visible()
    window.settle()


def test_an_empty_service_says_what_to_do_first(window: Window) -> None:
    expect(main_of(window.page).get_by_text("Nobody is enrolled yet")).to_be_visible()
    window.picture("overview-empty")


def test_a_photo_is_enrolled(window: Window) -> None:
    window.open(PAGES["people"])
    expect_page(window, PAGES["people"])
    press(window, "people_go_enroll")
    fill(window, "Company", COMPANY)
    fill(window, "User's id", USER)
    upload(window, sample_photo("obama.jpg"))
    press(window, "people_enroll")
    expect(main_of(window.page).get_by_text("The photo is enrolled")).to_be_visible()
    expect(main_of(window.page).locator("img").first).to_be_visible()
    window.picture("people-user")


def test_another_photo_is_analysed_with_boxes_verdicts_and_the_contracts_answer(window: Window, tmp_path: Path) -> None:
    photo = tmp_path / "two.jpg"
    photo.write_bytes(jpeg(collage(["obama2.jpg", "biden.jpg"]), IN_BAND))
    press(window, "people_try")
    expect_page(window, PAGES["attempt"])
    upload(window, photo)
    press(window, "attempt_analyse")
    main = main_of(window.page)
    expect(main.get_by_text("match", exact=True).first).to_be_visible(timeout=WAIT_MS)
    expect(main.get_by_text("dismatch", exact=True).first).to_be_visible()
    code = main.get_by_test_id("stCode").first.locator("code")
    expect(code).to_contain_text("person_2")
    assert json.loads(code.inner_text()) == {"result": {"person_1": "match", "person_2": "dismatch"}}
    drawn = main.locator("img").first
    expect(drawn).to_be_visible()
    assert drawn.evaluate("image => image.naturalWidth > 200 && image.complete")
    window.picture("attempt-done")


def test_a_labelled_set_is_evaluated(window: Window) -> None:
    window.open(PAGES["accuracy"])
    expect_page(window, PAGES["accuracy"])
    main = main_of(window.page)
    main.get_by_role("button", name="Start").click()
    expect(main.locator(".st-key-accuracy_see button")).to_be_visible(timeout=3 * WAIT_MS)
    press(window, "accuracy_see")
    expect(main.locator(".js-plotly-plot").first).to_be_visible()
    expect(main.get_by_text("Distances of mated and non-mated pairs").first).to_be_attached()
    window.picture("accuracy-report")


def test_a_key_is_shown_once_and_revoked(window: Window, place: Place) -> None:
    window.open(PAGES["service"])
    expect_page(window, PAGES["service"])
    press(window, "service_key_new")
    fill(window, "Company", COMPANY, window.page.get_by_role("dialog"))
    press(window, "service_key_make")
    code = main_of(window.page).get_by_test_id("stCode")
    expect(code).to_contain_text("fk_")
    secret = code.inner_text().strip()
    assert place.server.client.get("/v1/companies", headers={"X-API-Key": secret}).is_success
    press(window, "service_key_kept")
    expect(window.page.get_by_text(secret)).to_have_count(0)


def test_every_page_is_whole(window: Window) -> None:
    for name, title in PAGES.items():
        window.open(title)
        expect_page(window, title)
        expect(window.page.get_by_test_id("stException")).to_have_count(0)
        window.picture(name)


def test_the_user_is_erased_with_a_receipt(window: Window, place: Place) -> None:
    window.open(PAGES["people"])
    expect_page(window, PAGES["people"])
    main = main_of(window.page)
    press(window, "people_erase_user")
    erase = window.page.locator(".st-key-people_erase_now button")
    expect(erase).to_be_disabled()
    field = window.page.locator(".st-key-people_erase_confirm input")
    field.fill(USER)
    field.press("Enter")
    expect(erase).to_be_enabled()
    window.picture("people-erase")
    erase.click()
    with window.page.expect_download() as download:
        main.get_by_role("button", name="Download the receipt").click()
    receipt = json.loads(Path(download.value.path()).read_text())
    assert (receipt["company"], receipt["user"], receipt["removed"]["references"]) == (COMPANY, USER, 1)
    assert USER not in download.value.suggested_filename
    key = {"X-API-Key": place.key}
    assert place.server.client.get(f"/v1/companies/{COMPANY}/users/{USER}", headers=key).status_code == 404


def test_nothing_was_wrong_and_nothing_was_told_to_whom_it_is_not_for(window: Window, place: Place) -> None:
    assert not window.complaints
    for address in window.addresses:
        assert address.startswith(place.dashboard.url), "nothing comes from elsewhere"
        assert COMPANY not in address
        assert USER not in address
    assert not any(place.key.encode() in frame for frame in window.received)
    log = "\n".join(place.dashboard.log)
    assert COMPANY not in log
    assert USER not in log


def test_who_signs_out_is_out(window: Window, place: Place) -> None:
    window.page.get_by_role("button", name="Sign out").click()
    expect(window.page.get_by_text("You are not signed in")).to_be_visible()
    expect(window.page.get_by_role("link", name="Sign in with the password")).to_be_visible()
    window.page.goto(place.dashboard.url)
    expect(window.page.locator("input[name=password]")).to_be_visible()
