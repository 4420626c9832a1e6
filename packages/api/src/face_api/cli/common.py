"""What the commands share: the settings and the store that they name, who is asking, and errors in plain words."""

import logging
import os
import pwd
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from tqdm import tqdm

from face_api.settings import Settings, SettingsError, load_settings
from face_api.store import Caller, StatementRefusedError, Store, StoreError, open_configured, sqlite_file
from face_engine.errors import FaceEngineError

EXIT_NOT_FOUND = EXIT_INCOMPLETE = 1
EXIT_STARTUP = 3

_MAX_ACTOR = 64

_Function = TypeVar("_Function", bound=Callable[..., Any])


def data_dir_option(function: _Function) -> _Function:
    option = click.option(
        "--data-dir", type=click.Path(path_type=Path), help="Folder of the database, made where it is missing."
    )
    return option(function)


def read_settings(**given: object) -> Settings:
    """Read the settings; options that were given win over the environment. Ends the program where one is wrong."""
    with plain_errors():
        return load_settings({name: value for name, value in given.items() if value is not None})


@contextmanager
def opened_store(data_dir: Path | None, *, make: bool = False) -> Iterator[Store]:
    """Open the store for a command, which may take its time. Ends the program, in plain words, where that fails.

    Args:
        make: make the embedded database where it is missing, as the service does when it starts.
    """
    settings = read_settings(data_dir=data_dir)
    hush_drivers()
    with plain_errors():
        if not make and (path := sqlite_file(settings)) is not None and not path.is_file():
            fail(f"there is no database {path}: name its folder, --data-dir or FACE_API_DATA_DIR")
        store = open_configured(settings, patient=True)
        try:
            yield store
        finally:
            store.close()


def hush_drivers() -> None:
    """Have the drivers log nothing of a session that ends: it is Ctrl-C, or what the command tells in plain words."""
    for name in ("sqlalchemy.pool", "psycopg"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def plain_errors() -> Iterator[None]:
    try:
        yield
    except (SettingsError, StoreError, FaceEngineError) as error:
        fail(str(error))
    except StatementRefusedError as error:
        fail(f"{error}: somebody changed the database, or this is a bug")


def operator() -> Caller:
    """Return who runs this program, for the audit trail."""
    # Not by LOGNAME and the like, which anybody may set.
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return Caller(f"cli:{user}"[:_MAX_ACTOR])


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def bar_of(total: int, what: str, unit: str) -> "tqdm[NoReturn]":
    """Return a bar on a terminal, and elsewhere nothing to be seen."""
    return tqdm(total=total, desc=what, unit=f" {unit}", disable=None)


def progress(batches: Iterable[int], total: int, what: str) -> int:
    """Show how far the batches have come, on a terminal as a bar; return their sum."""
    done = 0
    with bar_of(total, what, "references") as bar:
        for batch in batches:
            done += batch
            bar.update(batch)
    return done


def fail(message: str, status: int = EXIT_STARTUP) -> NoReturn:
    for line in message.splitlines():
        click.echo(f"face-api: {line}", err=True)
    sys.exit(status)
