"""The page of companies and users, against a real service whose photos tell whom they show."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from face_dashboard.client import ApiClient
from face_dashboard.people.imports import Import, desk
from face_dashboard.people.photo_list import Entry
from face_dashboard.people.place import EVERYBODY, Place, of_company, of_user
from face_dashboard.people.receipts import dismiss, kept_for
from face_dashboard.people.users import PAGE
from face_dashboard.signing_in.gate import ADMIN
from support.light_server import light_photo
from support.server import LIGHT, Server, running_server

PEOPLE = "views/people.py"
NO_API = "http://127.0.0.1:9"
BYTES = 1000
USERS = 120
WAIT_S = 60.0

Open = Callable[..., AppTest]
Show = Callable[..., AppTest]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("people"), LIGHT, min_image_bytes=BYTES) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: Server) -> Iterator[ApiClient]:
    """Return a client of a service that knows `acme`, which has many users, and `fresh`, which has none."""
    client = ApiClient(f"http://127.0.0.1:{server.port}")
    for number in range(USERS):
        client.enroll("acme", f"user{number:03}", light_photo(number, 0, BYTES))
    client.remove_enrollment("acme", "user007", client.user("acme", "user007").enrollments[0].id)
    client.enroll("acme", "zoe", light_photo(USERS, 0, BYTES), gender=0, age=28)
    client.verify("acme", "zoe", light_photo(USERS, 1, BYTES))
    client.enroll("fresh", "ann", light_photo(USERS + 1, 0, BYTES))
    client.erase_user("fresh", "ann")
    yield client
    client._http.close()


@pytest.fixture
def show(api: ApiClient, dashboard: Open) -> Show:
    """Return what opens the page at a place."""

    def open_at(place: Place = EVERYBODY, **state: object) -> AppTest:
        return dashboard(api.base_url, PEOPLE, people_place=place, **state)

    return open_at


@pytest.fixture(autouse=True)
def clear_desk() -> Iterator[None]:
    yield
    desk.cache_clear()
    for receipt in kept_for(ADMIN):
        dismiss(ADMIN, receipt)


def all_text(page: AppTest) -> str:
    shown = [
        *page.title,
        *page.subheader,
        *page.markdown,
        *page.caption,
        *page.warning,
        *page.error,
        *page.success,
        *page.info,
        *page.toast,
    ]
    return "\n".join(str(element.value) for element in shown)


def table(page: AppTest, column: str) -> Any:
    """Return the one table that has such a column."""
    (found,) = [one.value for one in page.dataframe if column in one.value.columns]
    return found


def ids(page: AppTest) -> list[str]:
    return list(table(page, "references")["id"])


def click_row(page: AppTest, key: str, row: int) -> None:
    page.session_state[key] = {"selection": {"rows": [], "columns": [], "cells": [(row, "id")]}}
    page.run()
    assert not page.exception


def place(page: AppTest) -> Place:
    found: Place = page.session_state["people_place"]
    return found


def field(page: AppTest, kind: str, ending: str) -> Any:
    """Return a field of a form, whose key begins with the form's number."""
    (found,) = [one for one in page.get(kind) if str(one.key).endswith(ending)]
    return found


def photo(person: int, number: int) -> tuple[str, bytes, str]:
    return "photo.jpg", light_photo(person, number, BYTES), "image/jpeg"


def test_companies_are_listed_and_one_is_opened(show: Show) -> None:
    page = show()
    companies = table(page, "name")
    assert list(companies["name"]) == ["acme", "fresh"]
    assert list(companies["users"]) == [USERS + 1, 0]
    click_row(page, "people_companies_table", 0)
    assert place(page) == of_company("acme")
    assert "121 users" in all_text(page)


def test_a_page_of_users_leads_to_the_next_and_back(show: Show) -> None:
    page = show(of_company("acme"))
    first = ids(page)
    assert first == [f"user{number:03}" for number in range(PAGE)]
    assert "1 to 50 of 121" in all_text(page)
    page.button("people_users_next").click().run()
    assert ids(page) == [f"user{number:03}" for number in range(PAGE, 2 * PAGE)]
    page.button("people_users_next").click().run()
    assert "101 to 121 of 121" in all_text(page)
    assert page.button("people_users_next").disabled
    page.button("people_users_back").click().run()
    page.button("people_users_back").click().run()
    assert ids(page) == first


def test_users_are_searched_filtered_and_sorted(show: Show) -> None:
    page = show(of_company("acme"))
    page.button("people_users_next").click().run()
    page.text_input("people_search").input("R11").run()
    assert ids(page) == [f"user11{number}" for number in range(10)]
    assert "1 to 10 of 10" in all_text(page)
    page.text_input("people_search").input("").run()
    page.button_group("people_enrolled").set_value("no").run()
    assert ids(page) == ["user007"]
    page.button_group("people_enrolled").set_value("yes").run()
    assert "user007" not in ids(page)
    assert "1 to 50 of the users found" in all_text(page)
    page.button_group("people_enrolled").set_value("all").run()
    page.selectbox("people_sort").set_value("newest").run()
    assert ids(page)[:2] == ["zoe", "user119"]


@pytest.mark.parametrize(
    ("text", "said"), [("nobody", "No user is like that"), ("a b!", "Ids have lower-case letters")]
)
def test_a_search_that_finds_nobody_says_so(show: Show, text: str, said: str) -> None:
    page = show(of_company("acme"))
    page.text_input("people_search").input(text).run()
    assert said in all_text(page)
    assert not page.error


def test_what_was_searched_for_is_there_after_a_look_at_a_user_but_not_in_another_company(show: Show) -> None:
    page = show(of_company("acme"))
    page.text_input("people_search").input("zoe").run()
    click_row(page, "people_users_table", 0)
    assert place(page) == of_user("acme", "zoe")
    page.button("people_path_1").click().run()
    assert ids(page) == ["zoe"]
    page.button("people_path_0").click().run()
    click_row(page, "people_companies_table", 1)
    assert page.session_state["people_search"] == ""


def test_a_company_without_users_says_what_to_do(show: Show) -> None:
    page = show(of_company("fresh"))
    assert "This company has no users" in all_text(page)
    assert page.button("people_export").disabled
    page.button("people_go_enroll").click().run()
    assert field(page, "text_input", "_company").value == "fresh"


def test_a_user_is_shown_with_their_enrollments_and_what_was_asked(show: Show) -> None:
    page = show(of_user("acme", "zoe"))
    text = all_text(page)
    assert "female, 28 years · of acme" in text
    assert "by v1" in text
    assert "sharpness 1" in text
    events = table(page, "distance")
    assert list(events["outcome"]) == ["match", "Enrolled."]
    assert len(page.image) == 1


def test_the_kept_faces_are_asked_for_once(show: Show, server: Server) -> None:
    page = show(of_user("acme", "user001"))
    count = sum("enrollments/{enrollment}/image" in line for line in server.log)
    page.run()
    assert sum("enrollments/{enrollment}/image" in line for line in server.log) == count
    assert len(page.image) == 1


def test_a_user_without_enrollment_says_what_to_do(show: Show) -> None:
    page = show(of_user("acme", "user007"))
    assert "No photo of this user is enrolled" in all_text(page)
    assert page.button("people_try").disabled


@pytest.mark.parametrize("gone", [of_company("nobody"), of_user("acme", "nobody"), of_user("nobody", "nobody")])
def test_who_is_not_there_any_more_is_told_and_the_way_back_is_there(show: Show, gone: Place) -> None:
    page = show(gone)
    assert "not registered" in page.error[0].value
    page.button("people_path_0").click().run()
    assert not page.error


def test_somebody_new_is_enrolled_and_shown(show: Show, api: ApiClient) -> None:
    page = show()
    page.button("people_go_enroll").click().run()
    assert page.button("people_enroll").disabled
    field(page, "text_input", "_company").input("Beta").run()
    assert "lower-case letters and digits only" in all_text(page)
    field(page, "text_input", "_company").input("beta").run()
    field(page, "text_input", "_user").input("ann").run()
    assert "ann is a new user of beta." in all_text(page)
    field(page, "button_group", "_gender").set_value(0).run()
    field(page, "number_input", "_age").set_value(31).run()
    field(page, "file_uploader", "_file").set_value(photo(500, 0)).run()
    page.button("people_enroll").click().run()
    assert not page.exception
    assert place(page) == of_user("beta", "ann")
    assert "The photo is enrolled, as #" in all_text(page)
    assert "a good reference" in all_text(page)
    ann = api.user("beta", "ann")
    assert (ann.gender, ann.age, len(ann.enrollments)) == (0, 31, 1)
    page.button("people_enrolled_dismiss").click().run()
    assert "The photo is enrolled, as #" not in all_text(page)


def test_somebody_known_is_told_before_a_photo_is_added(show: Show) -> None:
    page = show(Place("enroll", "acme"))
    field(page, "text_input", "_user").input("zoe").run()
    assert "zoe is registered already, with 1 enrollments" in all_text(page)


def test_a_photo_of_nobody_is_refused_in_words(show: Show) -> None:
    page = show(of_user("acme", "user002"))
    field(page, "file_uploader", "_file").set_value(("photo.jpg", b"\xff\xd8\xff".ljust(BYTES), "image/jpeg")).run()
    page.button("people_enroll").click().run()
    assert "**The photo was not enrolled.** No face was found. Use a photo that shows" in page.error[0].value


def test_the_same_photo_again_changes_nothing(show: Show, api: ApiClient) -> None:
    page = show(of_user("acme", "user003"))
    field(page, "file_uploader", "_file").set_value(photo(3, 0)).run()
    page.button("people_enroll").click().run()
    assert "This very photo was enrolled already" in all_text(page)
    assert len(api.user("acme", "user003").enrollments) == 1


def test_an_enrollment_is_deleted_when_that_is_confirmed(show: Show, api: ApiClient) -> None:
    reference = api.enroll("acme", "user004", light_photo(4, 1, BYTES)).reference_id
    page = show(of_user("acme", "user004"))
    delete = f"people_delete_{reference}"
    page.button(delete).click().run()
    assert len(api.user("acme", "user004").enrollments) == 2
    # A run of AppTest is of the whole page, which opens the dialog only where its button was clicked.
    page.button(delete).click()
    page.button("people_delete_now").click().run()
    assert [one.id for one in api.user("acme", "user004").enrollments] != [reference]
    assert len(api.user("acme", "user004").enrollments) == 1
    assert f"#{reference}" not in "\n".join(one.value for one in page.markdown)


def confirm_erasure(page: AppTest, opener: str, typed: str) -> None:
    page.button(opener).click().run()
    assert page.button("people_erase_now").disabled
    page.button(opener).click()
    page.text_input("people_erase_confirm").input(typed).run()


def test_a_user_is_erased_when_the_id_is_typed_and_the_receipt_stays(show: Show, api: ApiClient) -> None:
    page = show(of_user("acme", "user005"))
    confirm_erasure(page, "people_erase_user", "user00")
    assert page.button("people_erase_now").disabled
    confirm_erasure(page, "people_erase_user", "user005")
    page.button("people_erase_user").click()
    page.button("people_erase_now").click().run()
    assert not page.exception
    assert place(page) == of_company("acme")
    assert "user005" not in ids(page)
    assert "user005" not in {user.id for user in api.users("acme", contains="user005").items}
    page.run()
    assert "The user user005 of acme is erased" in all_text(page)
    (receipt,) = kept_for(ADMIN)
    assert json.loads(receipt.document)["removed"]["users"] == 1
    assert page.download_button("people_receipt_0").label == "Download the receipt"
    page.button("people_receipt_dismiss_0").click().run()
    assert "is erased" not in all_text(page)


def test_a_company_is_erased_when_its_name_is_typed(show: Show, api: ApiClient) -> None:
    api.enroll("gone", "ann", light_photo(600, 0, BYTES))
    page = show(of_company("gone"))
    confirm_erasure(page, "people_erase_company", "gone")
    page.button("people_erase_company").click()
    page.button("people_erase_now").click().run()
    assert place(page) == EVERYBODY
    assert "gone" not in {company.name for company in api.companies().items}
    assert "The company gone is erased" in all_text(page)
    assert "enrollments **1**" in all_text(page)


def test_the_users_are_exported_when_that_is_asked_for(show: Show, api: ApiClient) -> None:
    page = show(of_company("acme"))
    assert not page.download_button
    page.button("people_export").click().run()
    assert page.download_button("people_export_download")
    lines = page.session_state["people_export_made"].document.decode("utf-8-sig").splitlines()
    assert lines[0] == "id,gender,age,references,since"
    assert len(lines) - 1 == api.company("acme").users
    assert any(line.startswith("zoe,0,28,1,20") for line in lines)
    page.button("people_export_discard").click().run()
    assert not page.download_button


def test_a_folder_is_imported_and_the_result_is_there(show: Show, api: ApiClient) -> None:
    page = show(Place("import"))
    files = [
        ("staff/ann/1.jpg", light_photo(700, 0, BYTES), "image/jpeg"),
        ("staff/bo_1.jpg", light_photo(701, 0, BYTES), "image/jpeg"),
        ("staff/cy.jpg", b"\xff\xd8\xffnobody".ljust(BYTES), "image/jpeg"),
        ("staff/Di.jpg", light_photo(703, 0, BYTES), "image/jpeg"),
    ]
    field(page, "file_uploader", "_folder").set_value(files).run()
    assert {metric.label: metric.value for metric in page.metric} == {
        "Users": "3",
        "Photos": "3",
        "Files that are left out": "1",
    }
    assert page.button("people_import_start").disabled
    field(page, "text_input", "_company").input("imported").run()
    page.button("people_import_start").click().run()
    current = desk().current
    assert current is not None
    current.wait(WAIT_S)
    page.run()
    assert not page.exception
    assert "All 3 photos were sent for imported, and 1 of them refused." in all_text(page)
    result = table(page, "outcome")
    assert list(result["outcome"]) == ["enrolled", "enrolled", "refused"]
    assert result["reason"][2].startswith("No face was found.")
    assert {user.id for user in api.users("imported").items} == {"ann", "bo"}
    page.button("people_import_users").click().run()
    assert ids(page) == ["ann", "bo"]


def test_a_csv_file_is_imported_with_what_it_tells(show: Show, api: ApiClient) -> None:
    page = show(Place("import", "listed"))
    field(page, "button_group", "_source").set_value("csv").run()
    listing = ("users.csv", b"id,file,gender,age\nann,a.jpg,0,31\nbo,none.jpg,,\n", "text/csv")
    field(page, "file_uploader", "_csv").set_value(listing).run()
    field(page, "file_uploader", "_photos").set_value([("a.jpg", light_photo(800, 0, BYTES), "image/jpeg")]).run()
    assert list(table(page, "reason")["reason"]) == ["The CSV file lists it, but it was not chosen."]
    page.button("people_import_start").click().run()
    current = desk().current
    assert current is not None
    current.wait(WAIT_S)
    ann = api.user("listed", "ann")
    assert (ann.gender, ann.age) == (0, 31)


def test_a_csv_file_that_is_none_is_told(show: Show) -> None:
    page = show(Place("import", "listed"))
    field(page, "button_group", "_source").set_value("csv").run()
    field(page, "file_uploader", "_csv").set_value(("users.csv", b"\0\0", "text/csv")).run()
    field(page, "file_uploader", "_photos").set_value([("a.zip", b"no archive", "application/zip")]).run()
    assert "This is no zip archive" in page.error[0].value
    field(page, "file_uploader", "_photos").set_value([("a.jpg", b"", "image/jpeg")]).run()
    assert "The CSV file is no text" in page.error[0].value


def test_an_import_that_the_service_ended_says_where_and_what_to_do(dashboard: Open) -> None:
    lost = Import(ApiClient(NO_API), "acme", [Entry(0, "a.jpg", "ann"), Entry(1, "b.jpg", "bo")], lambda _entry: b"")
    desk().begin(lost)
    lost.wait(WAIT_S)
    page = dashboard(NO_API, PEOPLE, people_place=Place("import"))
    assert "Nothing answers at" in page.error[0].value
    assert "The import ended at photo 1 of 2, `a.jpg`." in page.error[1].value
    assert "Import the same files again" in all_text(page)
    page.button("people_import_more").click().run()
    assert "At most 10,000 photos at a time" in all_text(page)


def test_an_empty_service_leads_to_the_first_enrollment(dashboard: Open, tmp_path: Path) -> None:
    with running_server(tmp_path / "empty", LIGHT, min_image_bytes=BYTES) as empty:
        page = dashboard(f"http://127.0.0.1:{empty.port}", PEOPLE)
        assert "Nobody is enrolled yet" in all_text(page)
        page.button("people_go_enroll").click().run()
        assert "Enroll somebody" in all_text(page)


@pytest.mark.parametrize("where", [EVERYBODY, of_company("acme"), of_user("acme", "zoe")])
def test_a_service_that_is_down_is_told(dashboard: Open, where: Place) -> None:
    page = dashboard(NO_API, PEOPLE, people_place=where)
    assert "Nothing answers at" in page.error[0].value
    assert "Start the API" in all_text(page)


def test_nobody_sees_it_without_signing_in(dashboard: Open) -> None:
    page = dashboard(NO_API, signed_in=False, people_place=of_user("acme", "zoe"))
    assert "zoe" not in all_text(page)


def test_nobody_is_erased_whom_an_import_would_enroll_again(show: Show, api: ApiClient) -> None:
    read_on = threading.Event()

    def read(_entry: Entry) -> bytes:
        assert read_on.wait(WAIT_S)
        return light_photo(9, 1, BYTES)

    slow = Import(api, "acme", [Entry(0, "a.jpg", "user009", None, None)], read)
    assert desk().begin(slow)
    try:
        page = show(of_user("acme", "user009"))
        confirm_erasure(page, "people_erase_user", "user009")
        page.button("people_erase_user").click()
        page.button("people_erase_now").click().run()
        assert "An import of this company is under way" in all_text(page)
        assert api.user("acme", "user009").id == "user009"
    finally:
        read_on.set()
        slow.wait(WAIT_S)
