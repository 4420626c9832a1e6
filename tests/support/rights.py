"""The rights of somebody who may not read everything."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

UNPRIVILEGED_USER = "nobody"


@contextmanager
def without_rights() -> Iterator[None]:
    """Give up root's rights meanwhile, where the tests have them."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(pwd.getpwnam(UNPRIVILEGED_USER).pw_uid)
    try:
        yield
    finally:
        os.seteuid(user)
