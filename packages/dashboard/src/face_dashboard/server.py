"""The web server: Streamlit's, behind the gate."""

import logging
from importlib import import_module

import streamlit as st
from starlette.middleware import Middleware
from streamlit import App

from face_dashboard import access
from face_dashboard.front import front_routes
from face_dashboard.settings import Settings
from face_dashboard.signing_in.gate import Gate, gate_routes
from face_dashboard.theme import THEME

MAX_UPLOAD_MB = 500

FIRST_USED_LATE = ("pandas", "plotly.graph_objects", "pyarrow")
"""What is imported when a table or a chart is drawn: else somebody's first look takes half a second longer."""


def serve(settings: Settings, script: str) -> None:
    """Serve the pages until Ctrl-C or SIGTERM."""
    # The addresses of calls hold the names of companies and users.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    logging.getLogger("httpcore2").setLevel(logging.WARNING)
    options: dict[str, object] = {
        "server.address": settings.host,
        "server.port": settings.port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.maxUploadSize": MAX_UPLOAD_MB,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "none",
        "client.showSidebarNavigation": True,
        "logger.hideWelcomeMessage": True,
        "runner.magicEnabled": False,
        **THEME,
    }
    if settings.secrets_file is not None:
        options["secrets.files"] = [str(settings.secrets_file)]
    for name in FIRST_USED_LATE:
        import_module(name)
    app = App(
        script,
        routes=[*front_routes(), *gate_routes(settings, access.sessions())],
        middleware=[Middleware(Gate, session_of=access.session_of_request, is_oidc=access.is_oidc)],
        on_script_error=_say_plainly,
    )
    app.run(config=options)


def _say_plainly(_error: Exception) -> bool:
    """Tell a user no traceback. Streamlit has written it into the log."""
    st.error("Something went wrong on this page. The log of the dashboard has more.", icon=":material/error:")
    return True
