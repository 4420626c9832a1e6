"""Enrollments that last, sealed, and what was done with them. Only this package knows the database."""

from face_api.store.api_keys import MAX_LABEL, Identity, KeySummary, NewKey, is_label
from face_api.store.audit import Action, AuditEntry, AuditTrailBrokenError, Caller, Checkpoint
from face_api.store.backup import BackupHead, Batch, Snapshot, read_backup
from face_api.store.database import Database, parse_url, sqlite_url
from face_api.store.decisions import Applied
from face_api.store.directory import (
    CompanySummary,
    ReferenceSummary,
    Sort,
    UserDetails,
    UserFilter,
    UserSummary,
)
from face_api.store.enrollments import Added, Enrolled, Enrollment, Profile, Via
from face_api.store.erasure import Receipt
from face_api.store.errors import (
    BackupError,
    KeysError,
    StatementRefusedError,
    StoreDamagedError,
    StoreError,
    StoreUnavailableError,
)
from face_api.store.events import Event, EventFilter, Operation, Outcome
from face_api.store.idempotency import Claim, IdempotencyError, StoredAnswer
from face_api.store.inspector import EntryFilter, Inspection
from face_api.store.keys import GivenKeys, KeyFile, Keys
from face_api.store.latency import Percentiles
from face_api.store.migrations import HEAD, REVISIONS
from face_api.store.pages import DEFAULT_PAGE, MAX_PAGE, Page
from face_api.store.people import References
from face_api.store.registry import Registered
from face_api.store.sealing import Vault
from face_api.store.statistics import MAX_COMPANIES, Bucket, CompanyTallies, CompanyTally
from face_api.store.store import (
    Store,
    location,
    migrate_database,
    open_configured,
    open_store,
    restore_database,
    sqlite_file,
)
from face_api.store.tables import utc_now

__all__ = [
    "DEFAULT_PAGE",
    "HEAD",
    "MAX_COMPANIES",
    "MAX_LABEL",
    "MAX_PAGE",
    "REVISIONS",
    "Action",
    "Added",
    "Applied",
    "AuditEntry",
    "AuditTrailBrokenError",
    "BackupError",
    "BackupHead",
    "Batch",
    "Bucket",
    "Caller",
    "Checkpoint",
    "Claim",
    "CompanySummary",
    "CompanyTallies",
    "CompanyTally",
    "Database",
    "Enrolled",
    "Enrollment",
    "EntryFilter",
    "Event",
    "EventFilter",
    "GivenKeys",
    "IdempotencyError",
    "Identity",
    "Inspection",
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
    "Registered",
    "Snapshot",
    "Sort",
    "StatementRefusedError",
    "Store",
    "StoreDamagedError",
    "StoreError",
    "StoreUnavailableError",
    "StoredAnswer",
    "UserDetails",
    "UserFilter",
    "UserSummary",
    "Vault",
    "Via",
    "is_label",
    "location",
    "migrate_database",
    "open_configured",
    "open_store",
    "parse_url",
    "read_backup",
    "restore_database",
    "sqlite_file",
    "sqlite_url",
    "utc_now",
]
