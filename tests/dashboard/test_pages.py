"""Overview, activity, keys and settings: what they show of a service, and what they say where they cannot."""

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Element

from face_dashboard import access
from support.command import face_api
from support.dashboard import OpenPage
from support.light_server import light_photo
from support.server import LIGHT, Server, running_server

NOWHERE = "http://127.0.0.1:9"
PAGES = {
    "views/overview.py": "Overview",
    "views/people.py": "Companies and users",
    "views/attempt.py": "Try an analysis",
    "views/accuracy.py": "Accuracy",
    "views/activity.py": "Activity and latency",
    "views/service.py": "Keys and settings",
}

AUDIT, LOG = "Audit trail", "Log of analyses"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_server(tmp_path_factory.mktemp("empty"), LIGHT) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with one user, who matched once, was taken for another once, and was not seen once."""
    with running_server(tmp_path_factory.mktemp("filled"), LIGHT) as server:
        fill(server)
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that asks for keys."""
    folder = tmp_path_factory.mktemp("locked")
    face_api("keys", "create", "--admin", "--data-dir", folder).expect()
    with running_server(folder, LIGHT, auth="keys") as server:
        yield f"http://127.0.0.1:{server.port}"


def fill(server: Server) -> None:
    server.enroll(light_photo(1, 0))
    for photo in (light_photo(1, 1), light_photo(2, 0), b"\xff\xd8\xff".ljust(300_000, b"\0")):
        server.analyse(photo)


def shown(page: AppTest) -> str:
    """Return all texts of a page."""
    kinds = ("title", "subheader", "markdown", "caption", "error", "warning", "success", "info")
    elements = (element for kind in kinds for element in page.get(kind) if isinstance(element, Element))
    return "\n".join(str(element.value) for element in elements)


def metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


@pytest.mark.parametrize(("page", "title"), PAGES.items())
def test_a_page_says_what_to_do_when_the_api_is_down(dashboard: OpenPage, page: str, title: str) -> None:
    opened = dashboard(NOWHERE, page)
    assert [one.value for one in opened.title] == [title]
    if page != "views/accuracy.py":  # which measures by itself
        assert "Nothing answers at http://127.0.0.1:9." in shown(opened)
        assert "make run" in shown(opened)


@pytest.mark.parametrize(("page", "title"), PAGES.items())
def test_a_page_of_an_empty_service_is_whole(dashboard: OpenPage, empty: str, page: str, title: str) -> None:
    opened = dashboard(empty, page)
    assert [one.value for one in opened.title] == [title]
    assert not opened.error


@pytest.mark.parametrize("page", [page for page in PAGES if page != "views/accuracy.py"])
def test_a_page_says_when_the_api_does_not_take_the_key(
    dashboard: OpenPage, locked: str, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_DASHBOARD_API_KEY", "fk_000000000000_wrong")
    opened = dashboard(locked, page)
    assert "The API key is not valid, or was revoked." in shown(opened)
    assert "FACE_DASHBOARD_API_KEY_FILE" in shown(opened)
    assert "fk_000000000000_wrong" not in shown(opened)


def test_a_page_says_when_the_api_asks_for_a_key_and_there_is_none(dashboard: OpenPage, locked: str) -> None:
    assert "The service asks for an API key." in shown(dashboard(locked))


def test_nobody_sees_a_page_who_is_not_signed_in(dashboard: OpenPage, filled: str) -> None:
    opened = dashboard(filled, signed_in=False)
    assert [one.value for one in opened.title] == ["Sign in"]
    assert "withmind" not in shown(opened)
    assert not opened.sidebar.button


def test_a_session_that_has_ended_shows_the_sign_in(dashboard: OpenPage, filled: str) -> None:
    opened = dashboard(filled, "views/activity.py")
    access.sessions().end(access.session_cookie())
    opened.run()
    assert [one.value for one in opened.title] == ["Sign in"]
    assert "your session has ended" in shown(opened)
    assert not opened.dataframe


def test_the_overview_tells_what_is_held_and_what_happened(dashboard: OpenPage, filled: str) -> None:
    told = metrics(dashboard(filled))
    assert {
        name: told[name] for name in ("Companies", "Users", "Enrollments", "Analyses today", "Enrollments today")
    } == {
        "Companies": "1",
        "Users": "1",
        "Enrollments": "1",
        "Analyses today": "3",
        "Enrollments today": "1",
    }
    assert (told["Match"], told["Dismatch"], told["Fail"]) == ("50.0%", "50.0%", "33.3%")
    assert told["Analysis, 95 %"].endswith(" ms")


def test_the_overview_of_an_empty_service_says_what_to_do_next(dashboard: OpenPage, empty: str) -> None:
    opened = dashboard(empty)
    assert "Nobody is enrolled yet" in shown(opened)
    assert "all is well" in shown(opened)
    assert metrics(opened)["Match"] == "\N{EN DASH}"


def test_the_activity_tells_shares_and_percentiles(dashboard: OpenPage, filled: str) -> None:
    opened = dashboard(filled, "views/activity.py")
    told = metrics(opened)
    assert (told["Requests"], told["Failed"], told["Match"]) == ("3", "33.3%", "50.0%")
    assert list(opened.dataframe[0].value["stage"])[-1] == "in all"
    assert len(opened.get("plotly_chart")) == 5


def test_the_log_is_filtered(dashboard: OpenPage, filled: str) -> None:
    opened = dashboard(filled, "views/activity.py", activity_tab=LOG)
    assert len(opened.dataframe[0].value) == 4
    opened.selectbox(key="activity_log_operation").select("enroll").run()
    assert list(opened.dataframe[0].value["company"]) == ["withmind"]
    opened.text_input(key="activity_log_company").input("elsewhere").run()
    assert not opened.dataframe
    assert "No request is like that" in shown(opened)
    opened.text_input(key="activity_log_company").input("With Mind").run()
    assert "lower-case letters and digits" in opened.warning[0].value
    assert not opened.exception


def test_the_audit_trail_is_shown_and_checked(dashboard: OpenPage, filled: str) -> None:
    opened = dashboard(filled, "views/activity.py", activity_tab=AUDIT)
    assert "Not checked yet" in shown(opened)
    assert {"enroll", "analyse"} <= set(opened.dataframe[0].value["action"])
    opened.button(key="activity_audit_check").click().run()
    assert "Intact" in opened.success[0].value
    assert opened.code, "the checkpoint"


def test_settings_are_told_and_what_was_set_stands_out(dashboard: OpenPage, filled: str) -> None:
    opened = dashboard(filled, "views/service.py", service_tab="Settings and health")
    settings = opened.dataframe[0].value.set_index("name")
    assert settings.loc["FACE_API_TOLERANCE", "value"] == "0.6"
    assert metrics(opened)["A face matches up to the distance"] == "0.6"
    opened.toggle(key="service_settings_changed").set_value(True).run()
    assert set(opened.dataframe[0].value["origin"]) == {"set"}


def test_the_language_is_switched_and_kept(dashboard: OpenPage, empty: str) -> None:
    opened = dashboard(empty)
    opened.sidebar.segmented_control(key="language").set_value("ko").run()
    assert [one.value for one in opened.title] == ["개요"]
    opened.switch_page("views/service.py").run()
    assert [one.value for one in opened.title] == ["키와 설정"]


def test_who_signs_out_sees_the_sign_in(dashboard: OpenPage, empty: str) -> None:
    opened = dashboard(empty)
    opened.sidebar.button(key="sign_out").click().run()
    assert [one.value for one in opened.title] == ["Sign in"]
