"""Enrollments that last, sealed, and what was done with them. Only this package knows the database."""

from face_api.store.api_keys import MAX_LABEL, Identity, KeySummary, NewKey, is_label
from face_api.store.audit import AuditTrailBrokenError, Caller, Checkpoint
from face_api.store.database import Database, parse_url, sqlite_url
from face_api.store.directory import CompanyDetails, CompanySummary, ReferenceSummary, UserDetails, UserSummary
from face_api.store.enrollments import Added, Enrolled, Enrollment, Profile
from face_api.store.erasure import Receipt
from face_api.store.errors import (
    KeysError,
    StatementRefusedError,
    StoreDamagedError,
    StoreError,
    StoreUnavailableError,
)
from face_api.store.events import Event, EventFilter, Operation, Outcome
from face_api.store.idempotency import Claim, IdempotencyError, StoredAnswer
from face_api.store.keys import GivenKeys, KeyFile, Keys
from face_api.store.migrations import HEAD, REVISIONS
from face_api.store.pages import DEFAULT_PAGE, MAX_PAGE, Page
from face_api.store.people import References
from face_api.store.sealing import Vault
from face_api.store.statistics import Bucket, Percentiles
from face_api.store.store import Store, location, migrate_database, open_configured, open_store, sqlite_file
from face_api.store.tables import utc_now

__all__ = [
    "DEFAULT_PAGE",
    "HEAD",
    "MAX_LABEL",
    "MAX_PAGE",
    "REVISIONS",
    "Added",
    "AuditTrailBrokenError",
    "Bucket",
    "Caller",
    "Checkpoint",
    "Claim",
    "CompanyDetails",
    "CompanySummary",
    "Database",
    "Enrolled",
    "Enrollment",
    "Event",
    "EventFilter",
    "GivenKeys",
    "IdempotencyError",
    "Identity",
    "KeyFile",
    "KeySummary",
    "Keys",
    "KeysError",
    "NewKey",
    "Operation",
    "Outcome",
    "Page",
    "Percentiles",
    "Profile",
    "Receipt",
    "ReferenceSummary",
    "References",
    "StatementRefusedError",
    "Store",
    "StoreDamagedError",
    "StoreError",
    "StoreUnavailableError",
    "StoredAnswer",
    "UserDetails",
    "UserSummary",
    "Vault",
    "is_label",
    "location",
    "migrate_database",
    "open_configured",
    "open_store",
    "parse_url",
    "sqlite_file",
    "sqlite_url",
    "utc_now",
]
