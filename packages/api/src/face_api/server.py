"""Runs an application by uvicorn, as this service needs it."""

from contextlib import suppress

import uvicorn
from starlette.applications import Starlette

from face_api.protocol import Protocol
from face_api.settings import Settings


def run(app: Starlette, settings: Settings) -> bool:
    """Serve until Ctrl-C or SIGTERM, and tell whether it could start."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # the service writes its own line for each request; uvicorn's has no request id
        server_header=False,
    )
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # handed on by uvicorn after it shut down in order
        server.run()
    return server.started
