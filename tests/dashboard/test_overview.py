from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import face_dashboard
from face_dashboard.settings import API_URL_VARIABLE
from face_engine.runtimes import choose_runtime
from support.server import running_server

APP = Path(face_dashboard.__file__).with_name("app.py")


def open_dashboard(monkeypatch: pytest.MonkeyPatch, api_url: str) -> AppTest:
    monkeypatch.setenv(API_URL_VARIABLE, api_url)
    page = AppTest.from_file(str(APP), default_timeout=30).run()
    assert not page.exception
    assert [title.value for title in page.title] == ["Overview"]
    return page


def test_the_overview_shows_that_the_api_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_server(tmp_path, inference_workers=1) as server:
        page = open_dashboard(monkeypatch, f"http://127.0.0.1:{server.port}/")
        assert "The API is alive" in page.success[0].value
        assert {metric.label: metric.value for metric in page.metric} == {
            "Runtime": choose_runtime("cpu")[0],
            "Device": "CPU",
            "Inference workers": "1",
            "Version": face_dashboard.__version__,
        }
        assert not page.error


def test_the_overview_says_what_to_do_when_the_api_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_dashboard(monkeypatch, "http://127.0.0.1:9")
    assert "The API does not answer" in page.error[0].value
    assert any("make run" in text.value for text in page.markdown)
    assert not page.success
