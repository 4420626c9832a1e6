"""Where converted models are kept, so that they are made once for a user."""

import hashlib
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path

from face_engine.files import replace_file
from face_engine.weights import WeightFile

CONVERTER_VERSION = 1
"""Part of a cached model's name. Raise it with every change of what is written."""

logger = logging.getLogger(__name__)


def cache_folder() -> Path | None:
    """Return the user's folder of converted models; None where the user has no home."""
    try:
        return user_cache_path("face-engine") / "networks"
    except RuntimeError:
        return None


def cached(weights: WeightFile, part: str, convert: Callable[[], bytes], cache: Path | None) -> bytes:
    """Return a model from the cache, or convert and keep it.

    Beside each model lies its SHA-256: what does not fit it is damaged, or half of what another process is writing, and
    is converted again. Both files are replaced in one step each, and their content is always the same, so it does not
    matter which of several processes comes last.
    """
    folder = cache or cache_folder()
    if folder is None:
        return convert()
    path = folder / f"{Path(weights.name).stem}-{weights.sha256[:12]}-{part}-v{CONVERTER_VERSION}.onnx"
    digest_path = path.with_suffix(".onnx.sha256")
    try:
        model = path.read_bytes()
        if _is_ours(path) and digest_path.read_text() == hashlib.sha256(model).hexdigest():
            return model
        logger.warning("%s is damaged, or others may write it, and is made again", path)
    except (OSError, UnicodeDecodeError):
        pass
    model = convert()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, model)
        replace_file(digest_path, hashlib.sha256(model).hexdigest().encode())
    except OSError as error:
        logger.warning("%s cannot be kept, and is made again at every start: %s", path, error.strerror)
    return model


def _is_ours(path: Path) -> bool:
    """Whether nobody else could have written the file: a model decides who matches."""
    if not hasattr(os, "geteuid"):
        return True
    status = path.stat()
    return status.st_uid in (os.geteuid(), 0) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
