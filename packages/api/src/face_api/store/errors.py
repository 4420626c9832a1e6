"""What can go wrong in the store.

StoreError
  StoreUnavailableError   the database cannot be read or written now
  StoreDamagedError       a sealed value does not open: changed, moved to another row, or sealed with another key
  SchemaError             the database is of another version, or none of ours, or has another encoding
  KeysError               the sealing keys cannot be used as they are given
    KeyMissingError       something is sealed with a key that is not among them
  BackupError             a file is no backup, or a damaged one
StatementRefusedError     no StoreError: a bug

Every StoreError has a `reason`: a stable token for machines. No message holds a key, a template, or a password.
"""

import logging
from typing import ClassVar

logger = logging.getLogger(__name__)

KEY_REMEDY = "give it in FACE_API_KEYS, or put the key file back"


class StoreError(Exception):
    """Base of all errors of the store."""

    reason: ClassVar[str] = "store_error"


class StoreUnavailableError(StoreError):
    """The database cannot be read or written now.

    Nothing was changed; unless the connection broke while a change was being committed, which may then have happened or
    not. All that the store does may be done again.
    """

    reason = "store_unavailable"


class StoreDamagedError(StoreError):
    """A sealed value does not open: somebody changed it, or moved it to another row. Never a verdict."""

    reason = "store_damaged"


class SchemaError(StoreError):
    """The database is of another version of the service, or none of ours, or has another encoding than UTF8."""

    reason = "store_schema"


class KeysError(StoreError):
    """The sealing keys cannot be used as they are given."""

    reason = "store_keys"


class KeyMissingError(KeysError):
    """Something is sealed with a key that is not among those that were given."""

    reason = "store_key_missing"

    def __init__(self, key_id: str, known: tuple[str, ...]) -> None:
        super().__init__(key_id, known)
        self.key_id, self.known = key_id, known

    def __str__(self) -> str:
        known = f"only {', '.join(self.known)}" if self.known else "none at all"
        return f"the sealing key {self.key_id} is needed, and there is {known}: {KEY_REMEDY}"


class BackupError(StoreError):
    """A file is no backup that this version can read, or it was changed or cut off."""

    reason = "store_backup"


class StatementRefusedError(Exception):
    """The database does not take a statement, nor ever will: a bug, or a schema that somebody changed.

    No StoreError: those who ask are not told to try again, and the log has the traceback.
    """


def log_damage(reference_id: int, error: StoreDamagedError) -> None:
    """Name a reference that maintenance leaves as it is, so that the others do not wait for it."""
    logger.error("reference %d is left as it is: %s", reference_id, error)
