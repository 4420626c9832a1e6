"""Reencoding: kept chips make the templates of a new encoder; everything else of a reference stays."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from face_api.services.reencoding import reencode
from face_api.store import Caller, Store
from face_engine.errors import InferenceError
from face_engine.images import decode, encode_png
from face_engine.pipeline import FaceEngine
from face_engine.types import Chip
from support.fakes import FakeRuntime
from support.store import CALLER, QUALITY, enroll, photo, references_of, rows, template


def grey(level: int) -> bytes:
    """Return a chip which FakeRuntime encodes as its grey level."""
    return encode_png(np.full((150, 150, 3), level, np.uint8))


@pytest.fixture
def engine() -> FaceEngine:
    return FaceEngine(FakeRuntime())


def by_user(store: Store, user: str) -> list[tuple[str, float]]:
    return [(found.encoder_id, float(found.vector[0])) for found in references_of(store, "withmind", user)]


def chips_of(store: Store, user: str) -> list[bytes | None]:
    details = store.directory.user(CALLER, "withmind", user)
    assert details is not None
    return [store.directory.chip(CALLER, "withmind", user, reference.id) for reference in details.references]


def entries(store: Store) -> list[dict[str, object]]:
    return [dict(entry.details) for entry in store.audit.entries() if entry.action == "reencode"]


def test_templates_are_made_anew_from_the_chips(store: Store, engine: FaceEngine) -> None:
    for level in (10, 20):
        enroll(store, level, chip=grey(level))
    enroll(store, 30, user="joe", chip=grey(30))
    caller = Caller("cli:root", "request-2")
    assert list(reencode(store, engine, caller)) == [3]
    assert engine.encoder_id == "fake/diagonal4/1"
    assert by_user(store, "tamy") == [(engine.encoder_id, 10.0), (engine.encoder_id, 20.0)]
    assert by_user(store, "joe") == [(engine.encoder_id, 30.0)]
    assert [np.unique(decode(chip or b"")).tolist() for chip in chips_of(store, "tamy")] == [[10], [20]]
    details = store.directory.user(CALLER, "withmind", "tamy")
    assert details is not None
    assert [(one.quality, one.via, one.enrolled_by) for one in details.references] == [(QUALITY, "v1", "test")] * 2
    *_, entry = [entry for entry in store.audit.entries() if entry.action == "reencode"]
    assert (entry.actor, entry.request_id, entry.company, entry.user) == ("cli:root", "request-2", None, None)
    assert entry.details == {"encoder": engine.encoder_id, "references": 3}
    assert list(reencode(store, engine, CALLER)) == []
    assert len(entries(store)) == 1
    store.audit.verify()


def test_a_reference_from_before_quality_was_kept_is_encoded_again(store: Store, engine: FaceEngine) -> None:
    enroll(store, 10, chip=grey(10))
    rows(store, "UPDATE face_references SET quality = NULL")
    assert list(reencode(store, engine, CALLER)) == [1]
    assert rows(store, "SELECT encoder_id, quality FROM face_references") == [(engine.encoder_id, None)]


def test_a_reference_whose_quality_does_not_open_is_encoded_again_without(
    store: Store, engine: FaceEngine, caplog: pytest.LogCaptureFixture
) -> None:
    enroll(store, 10, chip=grey(10))
    rows(store, "UPDATE face_references SET quality = template")
    assert list(reencode(store, engine, CALLER)) == [1]
    assert rows(store, "SELECT encoder_id, quality FROM face_references") == [(engine.encoder_id, None)]
    assert "the quality of reference 1 is left out: " in caplog.text


def test_the_same_photo_is_known_again(store: Store, engine: FaceEngine) -> None:
    enroll(store, 10, chip=grey(10))
    assert not store.enrollments.note_repetition(CALLER, photo(10), engine.encoder_id)
    list(reencode(store, engine, CALLER))
    assert store.enrollments.note_repetition(CALLER, photo(10), engine.encoder_id)
    assert not store.enrollments.note_repetition(CALLER, photo(11), engine.encoder_id)


def test_what_has_no_chip_is_counted_and_left(store: Store, engine: FaceEngine) -> None:
    enroll(store, 10, chip=grey(10))
    enroll(store, 20)
    enroll(store, 30, user="joe")
    enroll(store, 40, user="joe", encoder_id=engine.encoder_id)
    outdated = store.reencoder.count(engine.encoder_id)
    assert (outdated.with_chip, outdated.without_chip) == (1, 2)
    assert list(reencode(store, engine, CALLER)) == [1]
    outdated = store.reencoder.count(engine.encoder_id)
    assert (outdated.with_chip, outdated.without_chip) == (0, 2)
    assert [encoder for encoder, _ in by_user(store, "tamy")] == [engine.encoder_id, "e1"]
    (left, current) = references_of(store, "withmind", "joe")
    assert left.vector.tolist() == template(30).vector.tolist()
    assert current.vector.tolist() == template(40).vector.tolist()


def test_a_photo_that_was_enrolled_again_meanwhile_is_not_kept_twice(store: Store, engine: FaceEngine) -> None:
    enroll(store, 10, chip=grey(10))
    (chips,) = store.reencoder.chips(engine.encoder_id)
    # Both references of one photo: the old service added its own behind the new one's.
    enroll(store, 10, encoder_id=engine.encoder_id)
    enroll(store, 10, chip=grey(10))
    ((old_id,),) = rows(store, "SELECT id FROM face_references")
    rows(store, "UPDATE face_references SET id = 1000 WHERE id = :old", old=old_id)
    enroll(store, 11, encoder_id=engine.encoder_id)
    digest, place = photo(10).photo_sha256, ("withmind", "tamy", engine.encoder_id)
    sealed = store.vault.seal(digest, "photo_digest", *place)
    rows(store, "UPDATE face_references SET photo_digest = :sealed WHERE id <> 1000", sealed=sealed)
    assert list(reencode(store, engine, CALLER)) == [1]
    (left,) = references_of(store, "withmind", "tamy")
    assert left.vector.tolist() == template(11).vector.tolist()
    assert len(chips) == 1


def test_who_was_erased_meanwhile_stays_erased(store: Store, engine: FaceEngine) -> None:
    enroll(store, 10, chip=grey(10))
    enroll(store, 20, user="joe", chip=grey(20))
    (chips,) = store.reencoder.chips(engine.encoder_id)
    store.eraser.erase_user(CALLER, "withmind", "tamy")
    made = engine.encode([decode(chip.chip_png) for chip in chips])
    assert store.reencoder.replace(CALLER, list(zip(chips, made, strict=True))) == 1
    assert by_user(store, "tamy") == []
    assert by_user(store, "joe") == [(engine.encoder_id, 20.0)]


def test_who_was_erased_and_enrolled_again_meanwhile_is_not_given_the_erased_face(
    store: Store, engine: FaceEngine
) -> None:
    """SQLite gives the new reference the number of the erased one."""
    enroll(store, 10, chip=grey(10))
    (chips,) = store.reencoder.chips(engine.encoder_id)
    store.eraser.erase_user(CALLER, "withmind", "tamy")
    enroll(store, 77, chip=grey(77))
    (made,) = engine.encode([decode(chip.chip_png) for chip in chips])
    assert store.reencoder.replace(CALLER, [(chips[0], made)]) == 0
    (found,) = references_of(store, "withmind", "tamy")
    assert found.vector.tolist() == template(77).vector.tolist()
    assert chips_of(store, "tamy") == [grey(77)]
    assert list(reencode(store, engine, CALLER)) == [1]
    assert by_user(store, "tamy") == [(engine.encoder_id, 77.0)]


def test_what_was_reencoded_or_retired_meanwhile_is_skipped(store: Store, engine: FaceEngine) -> None:
    enroll(store, 10, chip=grey(10))
    enroll(store, 20, user="joe", chip=grey(20))
    (chips,) = store.reencoder.chips(engine.encoder_id)
    list(reencode(store, engine, CALLER))
    enroll(store, 30, user="joe", limit=1)
    made = engine.encode([decode(chip.chip_png) for chip in chips])
    assert store.reencoder.replace(CALLER, list(zip(chips, made, strict=True))) == 0
    assert by_user(store, "tamy") == [(engine.encoder_id, 10.0)]
    assert [encoder for encoder, _ in by_user(store, "joe")] == ["e1"]


def test_stopped_it_goes_on_where_it_was(store: Store, engine: FaceEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face_api.store.reencoding._BATCH", 3)
    for level in range(10, 18):
        enroll(store, level, user=f"user{level}", chip=grey(level))
    run = reencode(store, engine, CALLER)
    assert next(run) == 3
    run.close()  # type: ignore[attr-defined] # a generator
    assert store.reencoder.count(engine.encoder_id).with_chip == 5
    assert list(reencode(store, engine, CALLER)) == [3, 2]
    for level in range(10, 18):
        assert by_user(store, f"user{level}") == [(engine.encoder_id, float(level))]
    assert [entry["references"] for entry in entries(store)] == [3, 3, 2]


def test_a_rotation_meanwhile_is_no_hindrance(store: Store, engine: FaceEngine) -> None:
    enroll(store, 10, chip=grey(10))
    (chips,) = store.reencoder.chips(engine.encoder_id)
    list(store.resealer.run(store.resealer.begin(CALLER)))
    (made,) = engine.encode([decode(chip.chip_png) for chip in chips])
    assert store.reencoder.replace(CALLER, [(chips[0], made)]) == 1
    assert by_user(store, "tamy") == [(engine.encoder_id, 10.0)]
    assert rows(store, "SELECT DISTINCT key_id FROM face_references") == [(store.vault.keys.current(),)]


class FailingRuntime(FakeRuntime):
    """Runs out of memory at its second call."""

    calls = 0

    def encode(self, chips: Sequence[Chip]) -> npt.NDArray[np.float32]:
        self.calls += 1
        if self.calls == 2:
            raise MemoryError
        return super().encode(chips)


def test_what_was_done_before_a_failure_is_in_the_audit_trail(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face_api.store.reencoding._BATCH", 2)
    for level in range(10, 14):
        enroll(store, level, user=f"user{level}", chip=grey(level))
    with pytest.raises(InferenceError):
        list(reencode(store, FaceEngine(FailingRuntime()), CALLER))
    assert [entry["references"] for entry in entries(store)] == [2]


def test_a_reference_that_does_not_open_is_left(
    store: Store, engine: FaceEngine, caplog: pytest.LogCaptureFixture
) -> None:
    for level in (10, 20, 30):
        enroll(store, level, user=f"user{level}", chip=grey(level))
    rows(store, "UPDATE face_references SET photo_digest = template WHERE id = (SELECT max(id) FROM face_references)")
    assert list(reencode(store, engine, CALLER)) == [2]
    assert rows(store, "SELECT count(*) FROM face_references WHERE encoder_id <> 'e1'") == [(2,)]
    assert [entry["references"] for entry in entries(store)] == [2]
    assert "does not open" in caplog.text
    assert "user30" not in caplog.text and "withmind" not in caplog.text
