"""Whether the service is alive and ready, what it runs, and its figures for Prometheus."""

from anyio import CapacityLimiter, fail_after
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from face_api import __version__
from face_api.access import require_admin
from face_api.inference import Analyser
from face_api.metrics import Metrics
from face_api.middleware import ALIVE_PATH, METRICS_PATH, READY_PATH
from face_api.responses import RETRY_AFTER_S, problem_answer
from face_api.routes.door import Call, Door
from face_api.settings import Settings
from face_api.store import Store, StoreError

PING_S = 3.0
"""Which who asks whether the service is ready will wait."""


def health_routes(settings: Settings, store: Store, analyser: Analyser, metrics: Metrics, door: Door) -> list[Route]:
    """Return /healthz and /readyz, which ask for no key, and /metrics, which asks for an administrator's."""

    pings = CapacityLimiter(1)  # a database that says nothing must not hold up more

    async def healthz(_request: Request) -> Response:
        """Answers as soon as, and as long as, requests are served."""
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

    async def readyz(_request: Request) -> Response:
        """200 where a photo could be analysed and recorded now, else 503."""
        checks = {"model": analyser.ready_workers > 0, "database": True}
        try:
            with fail_after(PING_S):
                await run_sync(store.database.ping, abandon_on_cancel=True, limiter=pings)
        except (StoreError, TimeoutError):
            checks["database"] = False
        if all(checks.values()):
            return JSONResponse({"status": "ready", **checks})
        return JSONResponse({"status": "not ready", **checks}, 503, {"Retry-After": str(RETRY_AFTER_S)})

    async def figures(call: Call) -> Response:
        require_admin(call.identity)
        content, media_type = await run_sync(metrics.render)
        return Response(content, media_type=media_type)

    async def render(request: Request) -> Response:
        return await door.answer(request, "nothing", figures, problem_answer)

    return [
        Route(ALIVE_PATH, healthz, methods=["GET"]),
        Route(READY_PATH, readyz, methods=["GET"]),
        Route(METRICS_PATH, render, methods=["GET"]),
    ]
