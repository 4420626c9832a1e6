"""face-api audit: list and verify the audit trail."""

import json
from pathlib import Path

import click

from face_api.cli.common import EXIT_NOT_FOUND, data_dir_option, fail, opened_store, plain_errors
from face_api.store import AuditTrailBrokenError, Checkpoint


@click.group("audit")
def audit_command() -> None:
    """Who did what: list the audit trail, and verify that it is whole."""


class _Checkpoint(click.ParamType[Checkpoint]):
    name = "SEQUENCE:HASH"

    def convert(self, value: str, _param: click.Parameter | None, _context: click.Context | None) -> Checkpoint:
        try:
            return Checkpoint.parse(value)
        except ValueError:
            self.fail("not sequence:hash, as `face-api audit verify` prints it")


@audit_command.command()
@click.option("--expect", type=_Checkpoint(), help="Also look for this entry, printed by an earlier verification.")
@data_dir_option
def verify(expect: Checkpoint | None, data_dir: Path | None) -> None:
    """Check every entry; print the last one as sequence:hash. Exit status 1: the trail is broken.

    Keep what it prints somewhere else: with --expect, a later verification also finds that the whole database was put
    back to an earlier state.
    """
    with opened_store(data_dir) as store:
        try:
            last = store.audit.verify(expect)
        except AuditTrailBrokenError as error:
            fail(str(error), EXIT_NOT_FOUND)
    click.echo(f"{last.sequence} entries, each as it was appended", err=True)
    click.echo(str(last))


@audit_command.command("list")
@click.option("--after", type=click.IntRange(0), metavar="SEQUENCE", help="Begin behind this entry.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many.")
@data_dir_option
def list_entries(after: int | None, limit: int, data_dir: Path | None) -> None:
    """Print the latest entries, or those behind SEQUENCE, a line of JSON each.

    Company and user are names, or tokens once they are erased.
    """
    with opened_store(data_dir) as store:
        if after is None:
            with plain_errors():
                after = max(0, store.audit.end().sequence - limit)
        for entry in store.audit.entries(after, limit):
            click.echo(
                json.dumps(
                    {
                        "sequence": entry.sequence,
                        "at": entry.at.isoformat(),
                        "actor": entry.actor,
                        "action": entry.action,
                        "company": entry.company,
                        "user": entry.user,
                        "request_id": entry.request_id,
                        **entry.details,
                    }
                )
            )
