"""Fill the store that FACE_API_* names with users who look like nobody, to see how it does with many.

`python scripts/fill_store.py --users 1000000` takes a minute or two. `face-api erase load` takes them away again.
"""

import hashlib
import sys
from collections.abc import Iterator
from datetime import timedelta

import click
import numpy as np
from sqlalchemy import insert, select
from sqlmodel import col
from tqdm import tqdm

from face_api.settings import SettingsError, load_settings
from face_api.store import Store, StoreError, open_configured
from face_api.store.enrollments import pack
from face_api.store.events import STAGES
from face_api.store.people import find_or_make_user
from face_api.store.sealing import key_id_of
from face_api.store.tables import AnalysisEvent, Reference, User, new_token, table_of, utc_now
from face_engine.types import TEMPLATE_SIZE, Template

COMPANY = "load"
BATCH = 10_000
MATCHING = 0.85
"""Of the faces that were compared."""

EVENT_DAYS = 90
CALLERS = 10_000
"""How many of the users have events."""


def key_of(number: int) -> str:
    """Return the id of the user of that number: they sort as their numbers do."""
    return f"user{number:09d}"


def fill(store: Store, users: int, encoder_id: str) -> Iterator[int]:
    """Enroll users of COMPANY, from number 0 on, each with one sealed reference and no chip; yield how many came."""
    with store.database.writing() as session:
        company_id = find_or_make_user(session, COMPANY, key_of(0)).company_id
    for first in range(0, users, BATCH):
        last = min(first + BATCH, users)
        now = utc_now()
        with store.database.writing() as session:
            mine = select(col(User.id), col(User.key)).where(
                col(User.company_id) == company_id, col(User.key).between(key_of(first), key_of(last - 1))
            )
            there = {key for _, key in session.execute(mine)}
            new = [key for key in map(key_of, range(first, last)) if key not in there]
            rows = [{"company_id": company_id, "key": key, "token": new_token(), "created_at": now} for key in new]
            if rows:
                session.connection().execute(insert(table_of(User)), rows)
            references = [_reference(store, user_id, key, encoder_id) for user_id, key in session.execute(mine)]
            session.connection().execute(insert(table_of(Reference)), references)
        yield last - first


def _reference(store: Store, user_id: int, key: str, encoder_id: str) -> dict[str, object]:
    vector = np.random.default_rng(int(key[4:])).normal(0.0, 0.09, TEMPLATE_SIZE).astype(np.float32)
    place = COMPANY, key, encoder_id
    template = store.vault.seal(pack(Template(vector, encoder_id)), "template", *place)
    return {
        "user_id": user_id,
        "encoder_id": encoder_id,
        "key_id": key_id_of(template),
        "template": template,
        "photo_digest": store.vault.seal(hashlib.sha256(key.encode()).digest(), "photo_digest", *place),
        "chip": None,
        "created_at": utc_now(),
    }


def fill_events(store: Store, events: int) -> Iterator[int]:
    """Let users of COMPANY have been analysed, evenly over the last EVENT_DAYS; yield how many events came."""
    choose = np.random.default_rng(events)
    first = utc_now() - timedelta(days=EVENT_DAYS)
    with store.database.writing() as session:
        company_id = find_or_make_user(session, COMPANY, key_of(0)).company_id
        theirs = select(col(User.id)).where(col(User.company_id) == company_id).order_by(col(User.key)).limit(CALLERS)
        user_ids = session.scalars(theirs).all()
    for start in range(0, events, BATCH):
        numbers = range(start, min(start + BATCH, events))
        users = choose.integers(0, len(user_ids), len(numbers))
        timings_ms = choose.lognormal(3.0, 0.5, (len(numbers), len(STAGES)))
        matches = choose.random(len(numbers)) < MATCHING
        rows = [
            {
                "at": first + timedelta(days=EVENT_DAYS) * (number / events),
                "operation": "enroll" if number % 5 == 0 else "analyse",
                "company_id": company_id,
                "user_id": user_ids[user],
                "request_id": "load",
                "reason": _reason(number),
                "matches": int(_reason(number) == "compared" and bool(is_match)),
                "dismatches": int(_reason(number) == "compared" and not is_match),
                **{f"{stage}_ms": ms for stage, ms in zip(STAGES, timings.tolist(), strict=True)},
            }
            for number, user, timings, is_match in zip(numbers, users, timings_ms, matches, strict=True)
        ]
        with store.database.writing() as session:
            session.connection().execute(insert(table_of(AnalysisEvent)), rows)
        yield len(rows)


def _reason(number: int) -> str:
    if number % 17 == 0:
        return "no_face"
    return "enrolled" if number % 5 == 0 else "compared"


@click.command()
@click.option("--users", type=click.IntRange(1), default=1_000_000, show_default=True, help="How many.")
@click.option("--encoder-id", default="load/1", show_default=True, help="What their references say that made them.")
@click.option("--events", type=click.IntRange(0), default=0, show_default=True, help="How many analyses of theirs.")
def main(users: int, encoder_id: str, events: int) -> None:
    """Enroll many users of the company `load`, whose templates are random."""
    try:
        store = open_configured(load_settings(), patient=True)
    except (SettingsError, StoreError) as error:
        sys.exit(str(error))
    try:
        with tqdm(total=users, unit=" users", disable=None) as bar:
            for count in fill(store, users, encoder_id):
                bar.update(count)
        with tqdm(total=events, unit=" events", disable=None) as bar:
            for count in fill_events(store, events):
                bar.update(count)
    finally:
        store.close()


if __name__ == "__main__":
    main()
