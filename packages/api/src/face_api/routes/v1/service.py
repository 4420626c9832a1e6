"""The service itself: how much is registered, and what it runs with."""

import platform
from collections.abc import Iterator

from anyio.to_thread import run_sync
from pydantic import SecretStr
from starlette.responses import Response

from face_api import __version__
from face_api.access import require_company
from face_api.inference import Analyser
from face_api.responses import json_answer
from face_api.routes.door import Call
from face_api.routes.v1 import schemas
from face_api.routes.v1.endpoints import PREFIX, Endpoint, query_of
from face_api.settings import PREFIX as VARIABLE_PREFIX
from face_api.settings import Settings
from face_api.store import Store

TAG = "service"


def service_endpoints(store: Store, settings: Settings, analyser: Analyser) -> list[Endpoint]:
    async def count_registered(call: Call) -> Response:
        company = query_of(call, schemas.CountsQuery).company or call.identity.company
        if company is not None:
            require_company(call.identity, company)
        counts = await run_sync(store.registry.count, analyser.encoder_id, company)
        return json_answer(schemas.Registered.model_validate(counts))

    async def view_settings(_call: Call) -> Response:
        return json_answer(
            schemas.ServiceSettings(
                version=__version__,
                python=platform.python_version(),
                platform=platform.platform(),
                database="sqlite" if store.database.is_sqlite else "postgresql",
                encoder_id=analyser.encoder_id,
                runtime=analyser.runtime,
                device=settings.device,
                settings=list(_told(settings)),
            )
        )

    return [
        Endpoint(
            "GET",
            PREFIX + "/counts",
            count_registered,
            TAG,
            "How much is registered; with a company's key, of that company",
            {200: schemas.Registered},
            ("company_forbidden",),
            query=schemas.CountsQuery,
        ),
        Endpoint(
            "GET",
            PREFIX + "/settings",
            view_settings,
            TAG,
            "What the service runs with: versions, and every setting that is no secret",
            {200: schemas.ServiceSettings},
            admin=True,
        ),
    ]


def _told(settings: Settings) -> Iterator[schemas.Setting]:
    for name, field in Settings.model_fields.items():
        is_secret = SecretStr in getattr(field.annotation, "__args__", (field.annotation,))
        yield schemas.Setting(
            name=VARIABLE_PREFIX + name.upper(),
            value=None if is_secret else _text(getattr(settings, name)),
            is_default=name not in settings.model_fields_set,
            is_secret=is_secret,
        )


def _text(value: object) -> str | None:
    """Return a setting's value as it would be written into the environment; None for none."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
