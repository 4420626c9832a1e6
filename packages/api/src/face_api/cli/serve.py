"""face-api serve."""

import logging
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import click

from face_api import logs
from face_api.access import check_keys, check_reach
from face_api.app import create_app
from face_api.cli.common import EXIT_STARTUP, data_dir_option, plain_errors, read_settings
from face_api.inference import EngineConfig
from face_api.limits import AttemptLimits
from face_api.server import bound_sockets, run, tls_context
from face_api.services.decision import Decision
from face_api.settings import PREFIX
from face_api.store import Store, StoreDamagedError, open_configured
from face_engine.runtimes import check_runtime

logger = logging.getLogger(__name__)


@click.command("serve")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [default: 8000]")
@click.option("--workers", type=int, help="Server processes, each with inference workers of its own.  [default: 1]")
@data_dir_option
def serve_command(host: str | None, port: int | None, workers: int | None, data_dir: Path | None) -> None:
    """Serve until Ctrl-C or SIGTERM; requests that were accepted are finished.

    Every other setting is an environment variable FACE_API_*; these options win over theirs.
    """
    settings = read_settings(host=host, port=port, workers=workers, data_dir=data_dir)
    logs.configure(settings.log_format)
    with plain_errors():
        check_reach(settings)
        AttemptLimits.from_settings(settings, b"")  # whether the URL can be used
        check_runtime(settings.runtime, settings.device, settings.gpu_memory_mb)
        decision = Decision.from_settings(settings)
        encoder_id = EngineConfig.from_settings(settings).encoder_id
        decision.check(encoder_id)
        # Whether it can be listened there: a service that already does must not find its schema changed.
        for probe in bound_sockets(settings.host, settings.port):
            probe.close()
        tls_context(settings)
        # Once, before there are several processes: what is wrong is told once, and one alone brings the schema up.
        with closing(open_configured(settings)) as store:
            check_keys(settings, store)
            tell_tolerance(store, decision, encoder_id)
        # The calibration file is read once: of several processes none may have another tolerance.
        started = run(partial(create_app, settings, decision=decision), settings)
    if not started:
        sys.exit(EXIT_STARTUP)


def tell_tolerance(store: Store, decision: Decision, encoder_id: str) -> None:
    """Log which tolerance holds, and why not one that was applied, where there is such a one. Raises StoreError."""
    try:
        found, encoders = store.decisions.find(encoder_id), store.decisions.encoders()
    except StoreDamagedError:
        return  # which was told when the store was opened
    if found is not None:
        _, applied = found
        if decision.is_fixed:
            logger.warning(
                "the tolerance %g, which was applied, is not used: %sTOLERANCE outranks it", applied.tolerance, PREFIX
            )
        decision = decision.with_applied(applied)
    elif encoders:
        others = ", ".join(sorted(encoders))
        logger.warning("a tolerance was applied for %s, and is not used: this service has %s", others, encoder_id)
    logger.info("the tolerance is %g, from %s", decision.tolerance, decision.origin)
