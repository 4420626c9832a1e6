"""Rotation: everything is sealed again with a new key, while others go on; stopped anywhere, it can go on."""

import base64
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import URL

from face_api.store import (
    Applied,
    Caller,
    GivenKeys,
    KeyFile,
    KeysError,
    Outcome,
    Store,
    open_store,
    utc_now,
)
from support.store import CALLER, QUALITY, chip_png, enroll, photo, references_of, rows, template


def rotate(store: Store) -> list[int]:
    return list(store.resealer.run(store.resealer.begin(CALLER)))


def key_ids(store: Store) -> set[str]:
    """Return the ids of the keys in every sealed value, by the values themselves."""
    found: set[str] = set()
    for key_id, *values in rows(store, "SELECT key_id, template, photo_digest, chip, quality FROM face_references"):
        for value in values:
            if value is not None:
                assert bytes(value)[2 : 2 + value[1]] == key_id.encode()
        found.add(key_id)
    return found


def secret_key_ids(store: Store) -> set[str]:
    found = rows(store, "SELECT key_id, value FROM secrets")
    assert found
    assert all(bytes(value)[2 : 2 + value[1]] == key_id.encode() for key_id, value in found)
    return {key_id for key_id, _ in found}


def fill(store: Store, users: int) -> None:
    for number in range(users):
        chip = chip_png(number) if number % 3 == 0 else None
        enroll(store, number, user=f"user{number}", company=f"company{number % 2}", chip=chip)


def check_all(store: Store, users: int) -> None:
    for number in range(users):
        company, user = f"company{number % 2}", f"user{number}"
        (found,) = references_of(store, company, user)
        assert found.vector.tolist() == template(number).vector.tolist()
        assert store.enrollments.note_repetition(CALLER, photo(number, user, company), "e1")
        details = store.directory.user(CALLER, company, user)
        assert details is not None
        (reference,) = details.references
        chip = store.directory.chip(CALLER, company, user, reference.id)
        assert chip == (chip_png(number) if number % 3 == 0 else None)
        assert reference.quality == QUALITY


def forget_former_keys(keys_file: Path) -> None:
    """Keep the first key alone."""
    lines = keys_file.read_text().splitlines()
    first = next(line for line in lines if not line.startswith("#"))
    keys_file.write_text(first + "\n")


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "face.keys"


def test_after_a_rotation_the_former_key_is_not_needed(
    store: Store, database_url: URL, keys: KeyFile, keys_file: Path
) -> None:
    fill(store, 7)
    former = keys.current()
    assert key_ids(store) == secret_key_ids(store) == {former}
    assert rotate(store) == [7]
    current = keys.current()
    assert current != former
    assert key_ids(store) == secret_key_ids(store) == {current}
    assert store.resealer.former_keys(current) == []
    check_all(store, 7)
    forget_former_keys(keys_file)
    with closing(open_store(database_url, KeyFile(keys_file))) as reopened:
        check_all(reopened, 7)
        assert enroll(reopened, 99, user="new") == "enrolled"
        reopened.audit.verify()


def test_each_rotation_makes_a_new_key_and_an_entry(store: Store, keys: KeyFile) -> None:
    fill(store, 2)
    used = [keys.current()]
    for _ in range(2):
        rotation = store.resealer.begin(Caller("cli:root", "request-3"))
        assert list(store.resealer.run(rotation)) == [2]
        used.append(rotation.key_id)
    assert len(set(used)) == 3
    entries = [entry for entry in store.audit.entries() if entry.action == "rotate"]
    assert [(entry.actor, entry.request_id) for entry in entries] == [("cli:root", "request-3")] * 2
    assert [entry.details for entry in entries] == [{"key": key} for key in used[1:]]
    store.audit.verify()


def test_the_applied_tolerance_is_sealed_again(store: Store, database_url: URL, keys: KeyFile, keys_file: Path) -> None:
    store.decisions.apply(CALLER, Applied(0.5, "e1", "", None, utc_now(), "test"), 0.6)
    before, former = store.decisions.find("e1"), keys.current()
    assert rotate(store) == []
    ((key_id, value),) = rows(store, "SELECT key_id, value FROM applied_decisions")
    assert bytes(value)[2 : 2 + value[1]] == key_id.encode() == keys.current().encode() != former.encode()
    assert store.decisions.find("e1") == before is not None
    forget_former_keys(keys_file)
    with closing(open_store(database_url, KeyFile(keys_file))) as reopened:
        assert reopened.decisions.find("e1") == before


def test_of_several_encoders_each_tolerance_is_sealed_again(store: Store, keys: KeyFile) -> None:
    for encoder_id in ("e1", "e2"):
        store.decisions.apply(CALLER, Applied(0.5, encoder_id, "", None, utc_now(), "test"), 0.6)
    before = [store.decisions.find(encoder_id) for encoder_id in ("e1", "e2")]
    rotate(store)
    assert rows(store, "SELECT DISTINCT key_id FROM applied_decisions") == [(keys.current(),)]
    assert [store.decisions.find(encoder_id) for encoder_id in ("e1", "e2")] == before
    store.audit.verify()


def test_a_quality_that_does_not_open_keeps_no_reference_with_the_former_key(
    store: Store, database_url: URL, keys: KeyFile, keys_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    enroll(store, 1)
    enroll(store, 2)
    ((damaged,),) = rows(store, "SELECT min(id) FROM face_references")
    rows(store, "UPDATE face_references SET quality = template WHERE id = :it", it=damaged)
    assert rotate(store) == [2]
    assert f"the quality of reference {damaged} is left out: " in caplog.text
    assert store.resealer.former_keys(keys.current()) == []
    forget_former_keys(keys_file)
    with closing(open_store(database_url, KeyFile(keys_file))) as reopened:
        assert len(references_of(reopened, "withmind", "tamy")) == 2
        details = reopened.directory.user(CALLER, "withmind", "tamy")
        assert details is not None
        assert [reference.quality for reference in details.references] == [None, QUALITY]


def test_what_is_applied_with_the_former_key_is_sealed_again_by_the_next_rotation(
    store: Store, database_url: URL, keys: KeyFile
) -> None:
    """A process with keys in its environment knows the former one alone until it starts again."""
    former = keys.current()
    late = GivenKeys(f"{former}:{base64.b64encode(keys.key(former)).decode()}")
    with closing(open_store(database_url, late)) as other:
        rotate(store)
        store.decisions.withdraw(CALLER, "e1", 0.6)
        other.vault.approve()
        other.decisions.apply(CALLER, Applied(0.5, "e1", "", None, utc_now(), "test"), 0.6)
    current = keys.current()
    assert store.resealer.former_keys(current) == [former]
    rotate(store)
    assert keys.current() == current
    assert store.resealer.former_keys(current) == []
    assert store.decisions.find("e1") is not None


def test_an_applied_tolerance_that_does_not_open_is_left(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.decisions.apply(CALLER, Applied(0.5, "e1", "", None, utc_now(), "test"), 0.6)
    rows(store, "UPDATE applied_decisions SET token = 'other'")
    before = rows(store, "SELECT * FROM applied_decisions")
    enroll(store, 1)
    assert rotate(store) == [1]
    assert rows(store, "SELECT * FROM applied_decisions") == before
    assert "the applied tolerance is left as it is" in caplog.text


def test_an_empty_store_can_be_rotated(store: Store, keys: KeyFile) -> None:
    former = keys.current()
    assert rotate(store) == []
    assert secret_key_ids(store) == {keys.current()} != {former}


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_an_interrupted_rotation_goes_on_where_it_stopped(
    store: Store, database_url: URL, keys: KeyFile, keys_file: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    monkeypatch.setattr("face_api.store.resealing._BATCH", 3)
    fill(store, 8)
    former = keys.current()
    rotation = store.resealer.begin(CALLER)
    run = store.resealer.run(rotation)
    assert [next(run) for _ in range(batches)] == [3] * batches
    del run
    assert store.resealer.former_keys(rotation.key_id) == [former]
    check_all(store, 8)
    with closing(open_store(database_url, KeyFile(keys_file))) as later:
        again = later.resealer.begin(CALLER)
        assert (again.key_id, again.references) == (rotation.key_id, 8 - 3 * batches)
        assert sum(later.resealer.run(again)) == 8 - 3 * batches
    forget_former_keys(keys_file)
    with closing(open_store(database_url, KeyFile(keys_file))) as later:
        check_all(later, 8)
    assert key_ids(store) == {rotation.key_id}


def test_what_does_not_open_is_named_and_left(
    store: Store, keys: KeyFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("face_api.store.resealing._BATCH", 3)
    fill(store, 6)
    former = keys.current()
    rows(store, "UPDATE face_references SET photo_digest = template WHERE id = (SELECT max(id) FROM face_references)")
    rotation = store.resealer.begin(CALLER)
    run = store.resealer.run(rotation)
    assert list(run) == [3, 2]
    ((damaged,),) = rows(store, "SELECT max(id) FROM face_references")
    assert f"reference {damaged} is left as it is: " in caplog.text
    assert "withmind" not in caplog.text
    found = rows(store, "SELECT key_id FROM face_references ORDER BY id")
    assert [key_id for (key_id,) in found] == [rotation.key_id] * 5 + [former]
    assert store.resealer.former_keys(rotation.key_id) == [former]


def test_keys_that_were_given_are_used_in_their_order(database_url: URL) -> None:
    old, new = (f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}" for name in ("old", "new"))
    with closing(open_store(database_url, GivenKeys(old), migrate=True)) as store:
        fill(store, 3)
        # There is no other key: nothing is to be done, and that is no entry.
        before = store.audit.verify()
        rotation = store.resealer.begin(CALLER)
        assert (rotation.key_id, list(store.resealer.run(rotation))) == ("old", [])
        assert store.audit.verify() == before
    with closing(open_store(database_url, GivenKeys(f"{new},{old}"))) as store:
        enroll(store, 50, user="between")
        assert key_ids(store) == {"old", "new"}
        assert rotate(store) == [3]
        assert key_ids(store) == secret_key_ids(store) == {"new"}
    with closing(open_store(database_url, GivenKeys(new))) as store:
        check_all(store, 3)
        store.audit.verify()
    with pytest.raises(KeysError):
        open_store(database_url, GivenKeys(old))


def test_rotating_while_others_enroll_analyse_and_erase(
    store: Store, database_url: URL, keys: KeyFile, keys_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face_api.store.resealing._BATCH", 10)
    fill(store, 20)
    stop = threading.Event()
    # A service of its own, which must notice by itself that there is a new key.
    with closing(open_store(database_url, KeyFile(keys_file))) as service:

        def until_stopped(work: Callable[[int], object]) -> int:
            number = 0
            while not stop.is_set():
                work(number)
                number += 1
            return number

        def enroll_one(number: int) -> None:
            enroll(service, 1000 + number, user=f"new{number % 5}", company="company0", chip=b"c" * 500, limit=3)

        def analyse(number: int) -> None:
            (found,) = references_of(service, f"company{number % 2}", f"user{number % 20}")
            assert found.vector.tolist() == template(number % 20).vector.tolist()
            outcome = Outcome("analyse", "no_face")
            service.events.record(CALLER, f"company{number % 2}", f"user{number % 20}", outcome)

        def erase(number: int) -> None:
            enroll(service, number, user="gone", company="gone")
            enroll(service, number + 1, user="gone", company="gone")
            assert service.eraser.erase_company(CALLER, "gone")

        with ThreadPoolExecutor(3) as pool:
            works = [pool.submit(until_stopped, work) for work in (enroll_one, analyse, erase)]
            try:
                for _ in range(6):
                    rotate(store)
            finally:
                stop.set()
            enrolled, *others = [work.result() for work in works]
            assert enrolled > 0
            assert min(others) > 0
        rotate(store)
        check_all(service, 20)
    assert key_ids(store) == secret_key_ids(store) == {keys.current()}
    forget_former_keys(keys_file)
    with closing(open_store(database_url, KeyFile(keys_file))) as reopened:
        check_all(reopened, 20)
        for number in range(min(5, enrolled)):
            assert references_of(reopened, "company0", f"new{number}")
        reopened.audit.verify()
