from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from support.dashboard import OpenPage
from support.light_server import light_photo, marked_jpeg
from support.photos import IN_BAND, jpeg, noise
from support.server import LIGHT, Server, running_server

PAGE = "views/attempt.py"
TAMY, OTHER = 1, 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("api"), LIGHT) as running:
        enroll(running, "tamy", TAMY)
        enroll(running, "other", OTHER)
        yield running


def enroll(server: Server, user: str, person: int) -> None:
    path = f"/v1/companies/withmind/users/{user}/enrollments"
    assert server.client.post(path, files={"image": ("photo", light_photo(person, 0))}).status_code == 201


def photo(*faces: tuple[int, int], size: int | None = IN_BAND) -> bytes:
    """Return a photo of 640 x 480 pixels, a JPEG, that shows persons; in so many bytes."""
    return marked_jpeg(jpeg(noise(640, 480), size), *faces)


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def attempted(
    dashboard: OpenPage, server: Server, image: bytes, user: str = "tamy", *, analyse: bool = True
) -> AppTest:
    """Open the page, choose the user and the photo, and analyse it."""
    page = dashboard(address(server), PAGE)
    page.selectbox(key="attempt_user").select(user)
    page.file_uploader[0].set_value(("whom.jpg", image, "image/jpeg"))
    page.run()
    if analyse:
        page.button(key="attempt_analyse").click().run()
    assert not page.exception
    return page


def said(page: AppTest) -> str:
    kinds = page.markdown, page.caption, page.subheader, page.warning, page.info, page.success, page.error
    return "\n".join(str(one.value) for kind in kinds for one in kind)


def badges(page: AppTest) -> list[str]:
    return [one.value for one in page.markdown if "-badge[" in one.value]


def test_where_nobody_is_enrolled_the_page_says_where_to_begin(dashboard: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path / "api", LIGHT) as empty:
        page = dashboard(address(empty), PAGE)
        assert "Nobody is enrolled yet" in said(page)
        assert [link.label for link in page.page_link] == ["Enroll somebody"]
        assert not page.button(key="sign_out").disabled
        assert not page.selectbox


def test_before_a_photo_is_chosen_the_page_says_what_to_do(dashboard: OpenPage, server: Server) -> None:
    page = dashboard(address(server), PAGE)
    assert page.selectbox(key="attempt_company").value == "withmind"
    assert page.selectbox(key="attempt_user").options == ["other", "tamy"]
    assert "Choose a user and a photo" in said(page)
    assert "Analyse" not in [button.label for button in page.button]


def test_a_match_is_shown_with_all_that_both_endpoints_answer(dashboard: OpenPage, server: Server) -> None:
    page = attempted(dashboard, server, photo((TAMY, 7)))
    assert "The face matches" in said(page)
    assert any("match" in badge for badge in badges(page))
    assert page.code[0].value == '{"result":{"person_1":"match"}}'
    assert "HTTP 200" in said(page)
    assert "X-Face-Reason: compared" in said(page)
    # The photo, the face in it, and the reference's kept face.
    assert len(page.image) == 3
    assert len(page.get("plotly_chart")) == 2
    assert "the service has no calibration for its encoder" in said(page)
    assert "in all, within the specification's 1,000 ms" in said(page)
    assert [toast.value for toast in page.toast] == ["The photo was analysed."]


def test_a_photo_may_come_from_the_camera(dashboard: OpenPage, server: Server) -> None:
    page = dashboard(address(server), PAGE)
    page.selectbox(key="attempt_user").select("tamy")
    page.segmented_control(key="attempt_source").set_value("camera").run()
    page.camera_input[0].set_value(("shot.jpg", photo((TAMY, 9)), "image/jpeg")).run()
    page.button(key="attempt_analyse").click().run()
    assert "The face matches" in said(page)


def test_each_face_of_a_group_has_its_verdict(dashboard: OpenPage, server: Server) -> None:
    page = attempted(dashboard, server, photo((OTHER, 0), (TAMY, 110), (OTHER, 220)))
    assert "1 of 3 faces match" in said(page)
    assert [("dismatch" in badge, "match" in badge) for badge in badges(page)[:3]] == [
        (True, True),
        (False, True),
        (True, True),
    ]
    assert page.code[0].value == '{"result":{"person_1":"dismatch","person_2":"match","person_3":"dismatch"}}'
    page.pills(key="attempt_selected").set_value(2).run()
    assert [one.value for one in page.markdown if one.value.startswith("**Face")] == ["**Face 2**"]


def test_both_requests_are_in_the_log_and_a_rerun_makes_none(dashboard: OpenPage, server: Server) -> None:
    def events() -> int:
        return len(server.client.get("/v1/events?limit=1000").json()["items"])

    before = events()
    page = attempted(dashboard, server, photo((TAMY, 8)))
    assert events() == before + 2
    page.run()
    page.slider(key="attempt_what_if").set_value(0.7).run()
    assert events() == before + 2
    assert "Both count towards the limits of this user" in said(page)


def test_a_what_if_tolerance_changes_verdicts_and_is_marked_as_such(dashboard: OpenPage, server: Server) -> None:
    page = attempted(dashboard, server, photo((TAMY, 0), (OTHER, 110)))
    assert "1 of 2 faces match" in said(page)
    assert page.button(key="attempt_reset").disabled
    page.slider(key="attempt_what_if").set_value(0.3).run()
    assert "What if: 0.3 instead of 0.6" in said(page)
    assert "1 of 2 faces would match" in said(page)
    assert any("would match" in badge for badge in badges(page))
    assert page.code[0].value == '{"result":{"person_1":"match","person_2":"dismatch"}}'
    page.button(key="attempt_reset").click().run()
    assert page.slider(key="attempt_what_if").value == 0.6
    assert "1 of 2 faces match" in said(page)


def test_a_photo_outside_the_band_is_said_to_be_so_and_may_be_re_encoded(dashboard: OpenPage, server: Server) -> None:
    page = attempted(dashboard, server, photo((TAMY, 7), size=None))
    assert "will refuse it as `img_size_err`" in said(page)
    assert "v1 takes it" in said(page)
    assert page.code[0].value == '{"result":{"message":"Fail","reason":"img_size_err"}}'
    assert "The face matches" in said(page)  # v1's answer

    page.button(key="attempt_reencode").click().run()
    assert "What is sent is not the file itself" in said(page)
    assert "JPEG of quality 100" in said(page)
    assert "The face matches" not in said(page), "what was answered was of another photo"

    page.button(key="attempt_analyse").click().run()
    # The comment that names the persons went with the camera's data.
    assert "No verdict." in said(page)
    assert page.code[0].value == '{"result":"Fail"}'
    page.button(key="attempt_as_it_is").click().run()
    assert "will refuse it" in said(page)


def test_too_large_for_both_is_said_before_it_is_sent(dashboard: OpenPage, server: Server) -> None:
    page = attempted(dashboard, server, photo((TAMY, 7), size=1_100_000), analyse=False)
    assert "It is too large for v1, too: a message has 1,024 KB at most." in said(page)


def test_a_damaged_photo_is_not_re_encoded_and_the_page_says_why(dashboard: OpenPage, server: Server) -> None:
    page = attempted(dashboard, server, jpeg(noise())[:-100], analyse=False)
    page.button(key="attempt_reencode").click().run()
    assert len(page.error) == 1
    assert "cut off" in page.error[0].value


def test_a_photo_that_only_the_service_can_open_has_a_verdict_all_the_same(dashboard: OpenPage, server: Server) -> None:
    page = attempted(dashboard, server, light_photo(TAMY, 3))
    assert "The face matches" in said(page)
    assert "it cannot be shown here" in said(page)
    assert len(page.image) == 1  # the reference's


def test_without_a_face_there_is_no_verdict(dashboard: OpenPage, server: Server) -> None:
    page = attempted(dashboard, server, jpeg(noise(), IN_BAND))
    assert "No verdict." in said(page)
    assert "X-Face-Reason: no_face" in said(page)
    assert page.code[0].value == '{"result":"Fail"}'
    assert len(page.image) == 1


def test_who_is_no_longer_registered_is_told_so_with_what_to_do(dashboard: OpenPage, server: Server) -> None:
    enroll(server, "leaver", 3)
    page = attempted(dashboard, server, photo((3, 1)), "leaver", analyse=False)
    server.client.delete("/v1/companies/withmind/users/leaver")
    page.button(key="attempt_analyse").click().run()
    assert "No verdict." in said(page)
    assert page.code[0].value == '{"result":{"result":"unregistered user"}}'
    assert [link.label for link in page.page_link] == ["Enroll somebody"]


def test_what_was_answered_goes_when_something_else_is_chosen(dashboard: OpenPage, server: Server) -> None:
    page = attempted(dashboard, server, photo((TAMY, 7)))
    page.selectbox(key="attempt_user").select("other").run()
    assert not page.code
    page.button(key="attempt_analyse").click().run()
    assert "The face does not match" in said(page)
    page.file_uploader[0].clear().run()
    assert not page.code


def test_an_api_that_is_down_is_told_in_plain_words(dashboard: OpenPage) -> None:
    page = dashboard("http://127.0.0.1:9", PAGE)
    assert "Nothing answers at" in said(page)
    assert "face-api serve" in said(page)


def test_an_api_that_goes_down_meanwhile_leaves_the_page_usable(dashboard: OpenPage, tmp_path: Path) -> None:
    with running_server(tmp_path / "api", LIGHT) as short_lived:
        enroll(short_lived, "tamy", TAMY)
        page = attempted(dashboard, short_lived, photo((TAMY, 7)), analyse=False)
    page.button(key="attempt_analyse").click().run()
    assert not page.exception
    assert "Nothing answers at" in said(page)
    assert not page.code
