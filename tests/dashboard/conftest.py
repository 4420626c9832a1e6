import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import face_dashboard
from face_dashboard import access, settings
from face_dashboard.settings import PREFIX
from support.dashboard import OpenPage

APP = Path(face_dashboard.__file__).with_name("app.py")


LOGGERS = ("uvicorn", "uvicorn.access", "uvicorn.asgi", "uvicorn.error", "websockets")


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    """Undo what Streamlit does to the server's loggers where a page runs: other tests read them, too."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.propagate, logger.handlers[:]) for logger in loggers]
    yield
    for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers


@pytest.fixture
def dashboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenPage]:
    """Yield what opens a page of the dashboard, signed in: `dashboard(api_url, "views/people.py")`."""

    def open_page(api_url: str, page: str | None = None, *, signed_in: bool = True, **session_state: object) -> AppTest:
        monkeypatch.setenv(f"{PREFIX}API_URL", api_url)
        monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(tmp_path / "dashboard"))
        _forget()
        token = access.sessions().begin("admin") if signed_in else None
        monkeypatch.setattr(access, "session_cookie", lambda: token)
        app = AppTest.from_file(str(APP), default_timeout=60)
        for name, value in session_state.items():
            app.session_state[name] = value
        app.run()
        if page is not None:
            app.switch_page(page).run()
        assert not app.exception
        return app

    yield open_page
    _forget()


def _forget() -> None:
    """Let the next page begin anew, with the settings of its own."""
    if access._client.cache_info().currsize:
        access._client()._http.close()
    for cached in (settings.settings, access.sessions, access._client):
        cached.cache_clear()
