"""How much is registered: what the database counts is what was done before."""

from face_api.store import Registered, Store
from support.store import CALLER, enroll, rows

NONE = Registered(0, 0, 0, 0, 0, 0)


def test_an_empty_store_has_nothing(store: Store) -> None:
    assert store.registry.count("e1") == NONE
    assert store.registry.count("e1", "withmind") == NONE


def test_all_that_is_registered_is_counted_and_each_company_apart(store: Store) -> None:
    enroll(store, 1)
    enroll(store, 2)
    enroll(store, 3, encoder_id="e2")
    enroll(store, 4, user="joe")
    enroll(store, 5, user="ann", encoder_id="e2")
    enroll(store, 6, company="other", encoder_id="e2")
    for company, label in (("withmind", "shop"), ("withmind", "old"), ("third", "new"), (None, "admin")):
        key = store.api_keys.create(CALLER, company, label)
        if label == "old":
            store.api_keys.revoke(CALLER, key.summary.key_id)
    ((ann,),) = rows(store, "SELECT r.id FROM face_references r JOIN users u ON u.id = user_id WHERE u.key = 'ann'")
    assert store.enrollments.remove(CALLER, "withmind", "ann", ann)
    assert store.registry.count("e1") == Registered(3, 4, 5, 1, 2, 3)
    assert store.registry.count("e2") == Registered(3, 4, 5, 1, 3, 3)
    assert store.registry.count("e1", "withmind") == Registered(1, 3, 4, 1, 1, 1)
    assert store.registry.count("e1", "other") == Registered(1, 1, 1, 0, 1, 0)
    assert store.registry.count("e1", "third") == Registered(1, 0, 0, 0, 0, 1)
    assert store.registry.count("e1", "nobodys") == NONE


def test_to_count_is_no_entry_of_the_audit_trail(store: Store) -> None:
    enroll(store, 1)
    before = store.audit.end()
    store.registry.count("e1")
    store.registry.count("e1", "withmind")
    assert store.audit.end() == before
