"""create_app: the wiring, readable as documentation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from anyio import create_task_group
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from face_api import __version__
from face_api.access import Access
from face_api.errors import RoutingError
from face_api.inference import Analyser, EngineConfig, InferencePool
from face_api.limits import AttemptLimits
from face_api.metrics import Metrics
from face_api.middleware import RequestMiddleware
from face_api.responses import answer_of
from face_api.routes.docs import docs_routes
from face_api.routes.door import Door
from face_api.routes.health import health_routes
from face_api.routes.openapi import openapi_document
from face_api.routes.spec import spec_routes
from face_api.routes.v1 import routes_of, v1_endpoints
from face_api.services.analysis import AnalysisService
from face_api.services.decision import Decision, Decisions
from face_api.services.enrollment import EnrollmentService
from face_api.services.photos import PhotoLimits
from face_api.services.retention import purge_regularly
from face_api.settings import Settings
from face_api.store import Outcome, open_configured


def create_app(settings: Settings, analyser: Analyser | None = None, decision: Decision | None = None) -> Starlette:
    """Build the service. Without an `analyser` it starts worker processes with the engine that the settings name.

    Raises:
        SettingsError, StoreError: the database, or the keys that it is sealed with, cannot be used.
        CalibrationError: the calibration file is none.
    """
    decision = decision or Decision.from_settings(settings)
    store = open_configured(settings)
    limits = AttemptLimits.from_settings(settings, store.pseudonym_key)
    pool = None
    if analyser is None:
        config = EngineConfig.from_settings(settings)
        analyser = pool = InferencePool(config, settings.inference_workers, settings.max_queue, settings.deadline_s)
    metrics = Metrics()
    door = Door(settings, Access(settings, store), limits, analyser)

    def observe(outcome: Outcome) -> None:
        matches = sum(comparison.is_match for comparison in outcome.comparisons)
        metrics.verdicts(outcome.operation, matches, len(outcome.comparisons) - matches)
        metrics.stages(outcome.operation, outcome.timings_ms)

    enrollment = EnrollmentService(
        store, analyser, settings.references_per_user, settings.keep_images, settings.quality_gate, observe
    )
    decisions = Decisions(decision, store, analyser)
    analysis = AnalysisService(store, analyser, limits, decisions, observe)
    v1 = v1_endpoints(store, enrollment, analysis, decisions, PhotoLimits.of_v1(settings), settings, analyser)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            if pool is not None:
                await pool.start()
            decision.check(analyser.encoder_id)
            metrics.info(__version__, analyser.runtime, settings.device, analyser.encoder_id)
            metrics.queue(lambda: analyser.waiting)
            metrics.workers(lambda: analyser.ready_workers)
            metrics.in_flight(lambda: door.in_flight)
            async with create_task_group() as group:
                group.start_soon(purge_regularly, store, settings.keep_events_days)
                group.start_soon(metrics.sample_regularly)
                if pool is not None:
                    group.start_soon(pool.replace_dead_workers)
                yield
                group.cancel_scope.cancel()
        finally:
            if pool is not None:
                pool.close()
            store.close()

    app = Starlette(
        routes=[
            *spec_routes(door, enrollment, analysis, PhotoLimits.of_contract(settings)),
            *routes_of(v1, door),
            *health_routes(settings, store, analyser, metrics, door),
            *docs_routes(partial(openapi_document, v1, settings)),
        ],
        middleware=[Middleware(RequestMiddleware, metrics=metrics)],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )
    app.state.metrics = metrics
    # Both spellings of a path are routes: a redirect would lose the form.
    app.router.redirect_slashes = False
    return app


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    reason = {404: "path_unknown", 405: "method_not_allowed"}[error.status_code]  # the router raises no others
    answer = answer_of(request.url.path, request.state.request_id, RoutingError(reason, error.status_code))
    answer.headers.update(error.headers or {})
    return answer
