"""Encode kept chips again, with the encoder of now."""

from collections.abc import Iterator

from face_api.store import Caller, Store
from face_engine.images import decode
from face_engine.pipeline import FaceEngine


def reencode(store: Store, engine: FaceEngine, caller: Caller) -> Iterator[int]:
    """Bring references of other encoders up to date; yield after each batch how many of it were.

    Interrupted, it goes on where it stopped. What is enrolled or erased meanwhile stays as it is.

    Raises:
        StoreError, InferenceError: the rest was not changed.
    """
    for chips in store.reencoder.chips(engine.encoder_id):
        templates = engine.encode([decode(chip.chip_png) for chip in chips])
        yield store.reencoder.replace(caller, list(zip(chips, templates, strict=True)))
