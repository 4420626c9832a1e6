"""create_app: the wiring, readable as documentation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import create_task_group
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from face_api.inference import Analyser, EngineConfig, InferencePool
from face_api.middleware import InFlightLimitMiddleware, RequestMiddleware
from face_api.responses import FAIL, details
from face_api.routes.health import health_routes
from face_api.routes.spec import spec_routes
from face_api.services.analysis import AnalysisService
from face_api.services.enrollment import EnrollmentService
from face_api.services.photos import PhotoLimits
from face_api.services.retention import purge_regularly
from face_api.settings import Settings
from face_api.store import open_configured


def create_app(settings: Settings, analyser: Analyser | None = None) -> Starlette:
    """Build the service. Without an `analyser` it starts worker processes with the engine that the settings name.

    Raises:
        SettingsError, StoreError: the database, or the keys that it is sealed with, cannot be used.
    """
    store = open_configured(settings)
    pool = None
    if analyser is None:
        analyser = pool = InferencePool(EngineConfig.from_settings(settings), settings.inference_workers)
    photo_limits = PhotoLimits.from_settings(settings)
    enrollment = EnrollmentService(store, analyser, photo_limits, settings.references_per_user, settings.keep_images)
    analysis = AnalysisService(store, analyser, photo_limits, settings.tolerance)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            if pool is not None:
                await pool.start()
            async with create_task_group() as group:
                group.start_soon(purge_regularly, store, settings.keep_events_days)
                yield
                group.cancel_scope.cancel()
        finally:
            if pool is not None:
                pool.close()
            store.close()

    app = Starlette(
        routes=[*spec_routes(settings, enrollment, analysis), *health_routes(settings, analyser)],
        middleware=[
            Middleware(RequestMiddleware),
            Middleware(InFlightLimitMiddleware, limit=settings.max_in_flight),
        ],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )
    # Both spellings of a path are routes: a redirect would lose the form.
    app.router.redirect_slashes = False
    return app


async def _http_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    reason = {404: "path_unknown", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    return JSONResponse(FAIL, error.status_code, dict(error.headers or {}) | details(reason))
