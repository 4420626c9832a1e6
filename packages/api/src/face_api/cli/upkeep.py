"""face-api migrate, rotate, reencode, purge, compact: what a store needs from time to time."""

from contextlib import closing
from pathlib import Path

import click

from face_api.cli.common import (
    EXIT_INCOMPLETE,
    data_dir_option,
    fail,
    opened_store,
    operator,
    plain_errors,
    progress,
    read_settings,
)
from face_api.inference import EngineConfig
from face_api.services.reencoding import reencode
from face_api.services.retention import purge
from face_api.store import HEAD, REVISIONS, Database, Vault, location, migrate_database, open_configured

_LOST = {
    "0001": "Templates will lie open on disk; chips, events, API keys and the audit trail are dropped.",
    "0002": "Answers that are kept for an Idempotency-Key, and what 0003 has no place for, are dropped.",
    "0003": "Applied tolerances, and of each enrollment its way, by whom and its quality, are dropped. Where a "
    "tolerance was applied, a newer version analyses no photo until another one is, or it is withdrawn.",
    "0004": "Nothing is lost.",
}


@click.command("migrate")
@click.option("--to", "revision", type=click.Choice(REVISIONS), default=HEAD, show_default=True, help="Revision.")
@click.option("--yes", is_flag=True, help="Do not ask before going back to an older revision.")
@data_dir_option
def migrate_command(revision: str, yes: bool, data_dir: Path | None) -> None:
    """Bring the database's schema up to date, or back.

    The embedded SQLite database is brought up to date at every start; for PostgreSQL this command does it, while no
    service of another version runs. Going back drops what the older schema has no place for: 0004 has one for all;
    0003 has none for applied tolerances, nor for the way, by whom and the quality of an enrollment; 0002 none for
    answers that are kept for an Idempotency-Key; 0001 none for chips, events, API keys and the audit trail, and its
    templates lie open.
    """
    settings = read_settings(data_dir=data_dir)
    if revision == HEAD:
        with plain_errors():
            open_configured(settings, patient=True, migrate=True).close()
        click.echo(f"the schema is {HEAD}")
        return
    if not yes:
        click.confirm(f"{_LOST[revision]} Go on?", abort=True)
    with plain_errors():
        url, keys = location(settings)
        with closing(Database(url, patient=True)) as database:
            before = migrate_database(database, Vault(keys), revision)
    click.echo(f"the schema is {revision}; it was {before}")


@click.command("rotate")
@data_dir_option
def rotate_command(data_dir: Path | None) -> None:
    """Seal everything again with a new key, while the service serves.

    A key file is given a new first key. Keys in FACE_API_KEYS are their owner's business: put the new one in front,
    restart the services, then run this. Interrupted at any time, it is finished by running it again.
    """
    with opened_store(data_dir) as store:
        before = store.vault.keys.current()
        rotation = store.resealer.begin(operator())
        done = progress(store.resealer.run(rotation), rotation.references, "sealing again")
        if former := store.resealer.former_keys(rotation.key_id):
            fail(
                f"{done} references are sealed again, and some are still sealed with {', '.join(former)}: they were "
                "written meanwhile, or another rotation is at work, then run this again; or they do not open, then "
                "the lines above name them",
                EXIT_INCOMPLETE,
            )
    click.echo(f"{done} references are sealed again; everything is sealed with the key {rotation.key_id}")
    if rotation.key_id == before and not done:
        click.echo("Nothing had to be done. For a new key, put one in front of the others in FACE_API_KEYS.")
        return
    if rotation.key_id != before:
        click.echo("Copy the key file again: earlier copies do not open what is sealed from now on.")
    click.echo("Former keys are needed for backups from before; take them away when those are gone.")


@click.command("reencode")
@data_dir_option
def reencode_command(data_dir: Path | None) -> None:
    """Encode the kept chips again, after a change of encoder.

    Needed after a new version's notes say so, or when FACE_API_EXACT changes. Interrupted at any time, it is finished
    by running it again.
    """
    settings = read_settings(data_dir=data_dir)
    with opened_store(data_dir) as store:
        engine = EngineConfig.from_settings(settings).create_engine()
        outdated = store.reencoder.count(engine.encoder_id)
        done = progress(reencode(store, engine, operator()), outdated.with_chip, "encoding again")
    click.echo(f"{done} references are encoded again, by {engine.encoder_id}")
    if outdated.without_chip:
        click.echo(f"{outdated.without_chip} references have no chip: their users have to be enrolled again")


@click.command("purge")
@data_dir_option
def purge_command(data_dir: Path | None) -> None:
    """Remove old events now.

    Those from before the last FACE_API_KEEP_EVENTS_DAYS days, and answers kept for an Idempotency-Key for more than a
    day; the service does so every hour.
    """
    settings = read_settings(data_dir=data_dir)
    with opened_store(data_dir) as store:
        removed = purge(store, operator(), settings.keep_events_days)
    click.echo(f"{removed} events from before the last {settings.keep_events_days} days are removed")


@click.command("compact")
@data_dir_option
def compact_command(data_dir: Path | None) -> None:
    """Write the files anew, without what was erased.

    Everybody else waits meanwhile.
    """
    with opened_store(data_dir) as store:
        is_clean, is_sqlite = store.database.compact(), store.database.is_sqlite
    click.echo("the database is compact")
    if not is_clean:
        hint = "somebody was reading; run this again" if is_sqlite else "ask PostgreSQL's administrator"
        click.echo(f"Its log may hold traces still: {hint}.", err=True)
