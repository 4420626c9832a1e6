"""The page that loads Streamlit's, under the address of each of the dashboard's pages."""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from streamlit.file_util import get_static_dir

ICON = "/icon.svg"

PAGES = ("", "people", "attempt", "accuracy", "activity", "service")
"""Their paths, which Streamlit makes of the names of their files."""

# Where the server is: else the page tries below its own path first, and a browser tells its 404 as an error.
_BASE = "<script>window.__streamlit = { BACKEND_BASE_URL: window.location.origin };</script>"
_UNUSED_FONT = re.compile(r'<link\s+rel="preload"[^>]*>')
_ICON = re.compile(r'<link rel="shortcut icon"[^>]*>')


def front_routes() -> list[Route]:
    """Return the pages' routes, and that of their icon."""

    async def page(_request: Request) -> Response:
        return HTMLResponse(_index(), headers={"Cache-Control": "no-cache"})

    async def icon(_request: Request) -> Response:
        content = files("face_dashboard").joinpath("icon.svg").read_bytes()
        return Response(content, media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})

    return [*(Route(f"/{path}", page, methods=["GET"]) for path in PAGES), Route(ICON, icon, methods=["GET"])]


@cache
def _index() -> str:
    index = Path(get_static_dir(), "index.html").read_text(encoding="utf-8")
    index = _UNUSED_FONT.sub("", index).replace("<head>", f"<head>{_BASE}", 1)
    return _ICON.sub(f'<link rel="icon" href="{ICON}" type="image/svg+xml">', index.replace('="./', '="/'))
