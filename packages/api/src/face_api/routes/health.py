"""Whether the service is alive, and what it runs."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from face_api import __version__
from face_api.inference import Analyser
from face_api.middleware import HEALTH_PATH
from face_api.settings import Settings


def health_routes(settings: Settings, analyser: Analyser) -> list[Route]:
    """Return /healthz. It answers once the networks are loaded."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse(
            {
                "status": "ok",
                "version": __version__,
                "runtime": analyser.runtime,
                "device": settings.device,
                "encoder_id": analyser.encoder_id,
                "inference_workers": settings.inference_workers,
            }
        )

    return [Route(HEALTH_PATH, healthz, methods=["GET"])]
