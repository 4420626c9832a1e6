"""Enrollments that last, sealed, and what was done with them. Only this package knows the database."""

from face_api.store.audit import AuditTrailBrokenError, Caller, Checkpoint
from face_api.store.database import Database, parse_url, sqlite_url
from face_api.store.directory import MAX_PAGE
from face_api.store.enrollments import Enrolled, Enrollment, Profile
from face_api.store.erasure import Receipt
from face_api.store.errors import KeysError, StoreDamagedError, StoreError, StoreUnavailableError
from face_api.store.events import Operation, Outcome
from face_api.store.keys import GivenKeys, KeyFile, Keys
from face_api.store.migrations import HEAD, REVISIONS
from face_api.store.people import References
from face_api.store.sealing import Vault
from face_api.store.store import Store, location, migrate_database, open_configured, open_store, sqlite_file
from face_api.store.tables import utc_now

__all__ = [
    "HEAD",
    "MAX_PAGE",
    "REVISIONS",
    "AuditTrailBrokenError",
    "Caller",
    "Checkpoint",
    "Database",
    "Enrolled",
    "Enrollment",
    "GivenKeys",
    "KeyFile",
    "Keys",
    "KeysError",
    "Operation",
    "Outcome",
    "Profile",
    "Receipt",
    "References",
    "Store",
    "StoreDamagedError",
    "StoreError",
    "StoreUnavailableError",
    "Vault",
    "location",
    "migrate_database",
    "open_configured",
    "open_store",
    "parse_url",
    "sqlite_file",
    "sqlite_url",
    "utc_now",
]
