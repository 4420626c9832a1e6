"""/openapi.json, and /docs: the same for people, by Swagger UI, from this machine alone."""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from face_api.responses import is_known

_ASSETS = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript", "favicon-32x32.png": "image/png"}

_START = "SwaggerUIBundle({url: 'openapi.json', dom_id: '#docs', deepLinking: true, validatorUrl: null})"

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Face verification: the API</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

_POLICY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def docs_routes(document: Callable[[], Mapping[str, Any]]) -> list[Route]:
    """Return the routes of the document and of its page. They need no key: nothing there is secret.

    Args:
        document: makes it, a tenth of a second long, when it is first asked for.
    """
    assets = files("swagger_ui") / "static"

    @cache
    def content() -> tuple[bytes, str]:
        made = json.dumps(document(), ensure_ascii=False, indent=1).encode()
        return made, f'"{hashlib.sha256(made).hexdigest()[:32]}"'

    def openapi(request: Request) -> Response:  # not async: Starlette has a thread run it
        made, tag = content()
        if is_known(request, tag):
            return Response(status_code=304, headers={"ETag": tag})
        return Response(made, media_type="application/json", headers={"ETag": tag, "Cache-Control": "no-cache"})

    async def page(_request: Request) -> Response:
        return HTMLResponse(_PAGE, headers=_POLICY)

    async def start(_request: Request) -> Response:
        return Response(_START, media_type="text/javascript", headers=_POLICY)

    async def asset(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return FileResponse(str(assets / name), media_type=_ASSETS[name], headers=_POLICY)

    return [
        Route("/openapi.json", openapi, methods=["GET"]),
        Route("/docs", page, methods=["GET"]),
        Route("/docs/start.js", start, methods=["GET"]),
        *(Route(f"/docs/{name}", asset, methods=["GET"]) for name in _ASSETS),
    ]
