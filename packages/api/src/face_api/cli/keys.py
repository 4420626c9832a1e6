"""face-api keys: make, list and revoke API keys. Each leaves an entry in the audit trail."""

import re
from pathlib import Path

import click

from face_api.cli.common import EXIT_NOT_FOUND, data_dir_option, fail, moment, opened_store, operator
from face_api.requests import NAME_PATTERN
from face_api.store import MAX_LABEL, MAX_PAGE, KeySummary, is_label


class _Company(click.ParamType[str]):
    name = "NAME"

    def convert(self, value: str, _param: click.Parameter | None, _context: click.Context | None) -> str:
        if not re.fullmatch(NAME_PATTERN, value):
            self.fail("a company's name has up to 128 lower-case letters and digits")
        return value


class _Label(click.ParamType[str]):
    name = "TEXT"

    def convert(self, value: str, _param: click.Parameter | None, _context: click.Context | None) -> str:
        if not is_label(value):
            self.fail(f"a label has up to {MAX_LABEL} printable characters")
        return value


@click.group("keys")
def keys_command() -> None:
    """Who may ask: make, list and revoke API keys."""


@keys_command.command()
@click.option(
    "--company", type=_Company(), help="The company that the key reaches, and no other; made where it is new."
)
@click.option("--admin", is_flag=True, help="An administrator's key, which reaches everything.")
@click.option("--label", type=_Label(), default="", help="What the key is for; lists show it.")
@data_dir_option
def create(company: str | None, admin: bool, label: str, data_dir: Path | None) -> None:
    """Make a key, and print its secret, this once.

    The embedded database is made where it is missing: run this as the user that the service runs as.
    """
    if (company is None) is not admin:
        raise click.UsageError("either --company NAME or --admin")
    with opened_store(data_dir, make=True) as store:
        new = store.api_keys.create(operator(), company, label)
    click.echo(f"{_describe(new.summary)}. Its secret is shown this once:", err=True)
    click.echo(new.secret)


@keys_command.command("list")
@click.option("--company", type=_Company(), help="Only this company's.")
@click.option("--after", default="", metavar="KEY_ID", help="Begin behind this key.")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=100, show_default=True, help="How many.")
@data_dir_option
def list_keys(company: str | None, after: str, limit: int, data_dir: Path | None) -> None:
    """List the keys, never their secrets: nobody has them but their owners."""
    with opened_store(data_dir) as store:
        page = store.api_keys.page(operator(), after, limit, company)
    for key in page.items:
        click.echo(_describe(key))
    if page.next_after is not None:
        click.echo(f"There are more: --after {page.next_after}", err=True)


@keys_command.command()
@click.argument("key_id")
@data_dir_option
def revoke(key_id: str, data_dir: Path | None) -> None:
    """Revoke the key KEY_ID: it is refused from the next request on."""
    with opened_store(data_dir) as store:
        key = store.api_keys.revoke(operator(), key_id)
    if key is None:
        fail(f"there is no key {key_id}", EXIT_NOT_FOUND)
    click.echo(_describe(key))


def _describe(key: KeySummary) -> str:
    owner = "an administrator's" if key.company is None else f"of {key.company}"
    label = f", {key.label!r}" if key.label else ""
    revoked = "" if key.revoked_at is None else f", revoked {moment(key.revoked_at)}"
    return f"{key.key_id}  {owner}{label}, since {moment(key.created_at)}{revoked}"
