"""How good a reference's photo was, as it is kept: sealed, and an extra, without which a reference serves as well."""

import json
import logging
from dataclasses import asdict

from face_api.store.errors import StoreDamagedError
from face_api.store.sealing import Vault
from face_engine.types import Quality

logger = logging.getLogger(__name__)


def pack_quality(quality: Quality) -> bytes:
    return json.dumps(asdict(quality), separators=(",", ":")).encode()


def unpack_quality(value: bytes) -> Quality:
    """Return the quality of `pack_quality`'s bytes."""
    fields = json.loads(value)
    return Quality(**fields | {"reasons": tuple(fields["reasons"])})


def open_quality(vault: Vault, reference_id: int, sealed: bytes | None, *place: str) -> bytes | None:
    """Return what was sealed as a reference's quality; None where nothing was, or it does not open, which is logged.

    Args:
        place: company, user and encoder.

    Raises:
        KeysError: its key is not there.
    """
    if sealed is None:
        return None
    try:
        return vault.open(sealed, "quality", *place)
    except StoreDamagedError as error:
        logger.error("the quality of reference %d is left out: %s", reference_id, error)  # noqa: TRY400 - no bug
        return None
