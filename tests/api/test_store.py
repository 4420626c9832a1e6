import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from face_api.store import Enrollment, EnrollmentStore, Profile, StoreUnavailableError
from face_api.store.database import DATABASE_NAME
from face_engine.types import Template

PROFILE = Profile(gender=1, age=30)


def template(seed: int, encoder_id: str = "e1") -> Template:
    return Template(np.random.default_rng(seed).normal(size=128).astype(np.float32), encoder_id)


def photo(number: int, user: str = "tamy", company: str = "withmind", profile: Profile = PROFILE) -> Enrollment:
    return Enrollment(company, user, profile, number.to_bytes(32, "big"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EnrollmentStore]:
    with closing(EnrollmentStore(tmp_path / "data")) as store:
        yield store


def rows(tmp_path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(tmp_path / "data" / DATABASE_NAME)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_a_template_comes_back_as_it_went_in(store: EnrollmentStore) -> None:
    store.add_reference(photo(1), template(1), limit=5)
    (found,) = store.references("withmind", "tamy")
    assert found.encoder_id == "e1"
    assert found.vector.dtype == np.float32
    assert np.array_equal(found.vector, template(1).vector)


def test_company_and_user_belong_together(store: EnrollmentStore) -> None:
    store.add_reference(photo(1), template(1), limit=5)
    assert store.references("withmind", "other") == []
    assert store.references("other", "tamy") == []
    store.add_reference(photo(1, company="other"), template(2), limit=5)
    assert np.array_equal(store.references("other", "tamy")[0].vector, template(2).vector)
    assert len(store.references("withmind", "tamy")) == 1


def test_beyond_the_limit_the_oldest_retires(store: EnrollmentStore) -> None:
    for number in range(7):
        store.add_reference(photo(number), template(number), limit=5)
    kept = store.references("withmind", "tamy")
    assert [found.vector.tolist() for found in kept] == [template(number).vector.tolist() for number in range(2, 7)]


def test_the_same_photo_again_adds_nothing(store: EnrollmentStore) -> None:
    assert store.add_reference(photo(1), template(1), limit=5)
    assert not store.add_reference(photo(1), template(9), limit=5)
    assert len(store.references("withmind", "tamy")) == 1
    store.add_reference(photo(1), template(1, "e2"), limit=5)
    assert [found.encoder_id for found in store.references("withmind", "tamy")] == ["e1", "e2"]


def test_a_repetition_is_known_and_updates_the_profile(store: EnrollmentStore, tmp_path: Path) -> None:
    assert not store.note_repetition(photo(1), "e1")
    assert store.references("withmind", "tamy") == []
    store.add_reference(photo(1), template(1), limit=5)
    assert store.note_repetition(photo(1, profile=Profile(age=31)), "e1")
    assert not store.note_repetition(photo(1), "e2")
    assert not store.note_repetition(photo(2), "e1")
    assert rows(tmp_path, "SELECT gender, age FROM users") == [(1, 31)]


def test_what_is_not_told_stays_known(store: EnrollmentStore, tmp_path: Path) -> None:
    store.add_reference(photo(1), template(1), limit=5)
    store.add_reference(photo(2, profile=Profile()), template(2), limit=5)
    assert rows(tmp_path, "SELECT gender, age FROM users") == [(1, 30)]


def test_enrollments_outlive_the_store(store: EnrollmentStore, tmp_path: Path) -> None:
    store.add_reference(photo(1), template(1), limit=5)
    store.close()
    with closing(EnrollmentStore(tmp_path / "data")) as reopened:
        assert len(reopened.references("withmind", "tamy")) == 1


def test_many_writers_in_two_stores_lose_nothing(store: EnrollmentStore, tmp_path: Path) -> None:
    def enroll(number: int) -> None:
        enrollment = photo(number, user=f"user{number % 20}", company=f"company{number % 2}")
        stores[number % 2].add_reference(enrollment, template(number), limit=50)

    with closing(EnrollmentStore(tmp_path / "data")) as second, ThreadPoolExecutor(8) as pool:
        stores = [store, second]
        list(pool.map(enroll, range(200)))
    assert rows(tmp_path, "SELECT count(*) FROM face_references") == [(200,)]
    assert rows(tmp_path, "SELECT count(*) FROM users") == [(20,)]
    assert rows(tmp_path, "SELECT count(*) FROM companies") == [(2,)]


def test_what_is_committed_is_synced_to_disk(store: EnrollmentStore, tmp_path: Path) -> None:
    assert rows(tmp_path, "PRAGMA journal_mode") == [("wal",)]
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_only_the_owner_can_read(store: EnrollmentStore, tmp_path: Path) -> None:
    store.add_reference(photo(1), template(1), limit=5)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("name", ["a?b", "a%41b", "a#b", "a?mode=memory", "데이터"])
def test_a_data_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    with closing(EnrollmentStore(tmp_path / name)) as store:
        store.add_reference(photo(1), template(1), limit=5)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / DATABASE_NAME).stat().st_size > 0


def test_a_file_that_is_no_database_is_said_so(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreUnavailableError, match="not a database"):
        EnrollmentStore(tmp_path)


def test_a_data_folder_that_is_a_file_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreUnavailableError, match="File exists"):
        EnrollmentStore(tmp_path / "data")


def test_a_write_that_fails_changes_nothing(store: EnrollmentStore, tmp_path: Path) -> None:
    store.add_reference(photo(1), template(1), limit=5)
    connection = sqlite3.connect(tmp_path / "data" / DATABASE_NAME)
    connection.execute(
        "CREATE TRIGGER full BEFORE INSERT ON face_references BEGIN SELECT RAISE(FAIL, 'disk full'); END"
    )
    connection.commit()
    with pytest.raises(StoreUnavailableError, match="disk full"):
        store.add_reference(photo(2, user="new", company="new"), template(2), limit=5)
    connection.close()
    assert rows(tmp_path, "SELECT name FROM companies") == [("withmind",)]
    assert rows(tmp_path, "SELECT key FROM users") == [("tamy",)]
