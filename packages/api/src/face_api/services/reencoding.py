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
    total = 0
    try:
        for chips in store.reencoder.chips(engine.encoder_id):
            templates = engine.encode([decode(chip.chip_png) for chip in chips])
            done = sum(store.reencoder.replace(chip, template) for chip, template in zip(chips, templates, strict=True))
            total += done
            yield done
    finally:
        if total:
            store.reencoder.note(caller, engine.encoder_id, total)
