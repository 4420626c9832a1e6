"""face-api list, view, erase: who is enrolled. Each leaves an entry in the audit trail."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from face_api.cli.common import EXIT_NOT_FOUND, data_dir_option, fail, moment, opened_store, operator
from face_api.store import MAX_PAGE, Profile, Receipt, ReferenceSummary, UserFilter
from face_engine.files import replace_file


@click.command("list")
@click.argument("company", required=False)
@click.option("--after", default="", metavar="NAME", help="Begin behind this company, or this user.")
@click.option("--prefix", default="", help="Only users whose id begins so.")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=100, show_default=True, help="How many.")
@data_dir_option
def list_command(company: str | None, after: str, prefix: str, limit: int, data_dir: Path | None) -> None:
    """List the companies, or the users of COMPANY."""
    if company is None and prefix:
        raise click.UsageError("--prefix needs a COMPANY")
    with opened_store(data_dir) as store:
        if company is None:
            companies = store.directory.companies(operator(), after, limit)
            for item in companies.items:
                click.echo(f"{item.name}  since {moment(item.created_at)}")
            next_after = companies.next_after
        else:
            users = store.directory.users(operator(), company, after, limit, UserFilter(prefix))
            if users is None:
                fail(f"there is no company {company}", EXIT_NOT_FOUND)
            for user in users.items:
                references = f"{user.references} reference{'s' if user.references != 1 else ''}"
                click.echo(f"{user.key}  {references}{_describe(user.profile)}, since {moment(user.created_at)}")
            next_after = users.next_after
    if next_after is not None:
        click.echo(f"There are more: --after {next_after}", err=True)


@click.command("view")
@click.argument("company")
@click.argument("user")
@click.option("--chips", type=click.Path(file_okay=False, path_type=Path), help="Write the kept chips to this folder.")
@data_dir_option
def view_command(company: str, user: str, chips: Path | None, data_dir: Path | None) -> None:
    """Show USER of COMPANY: what is known, and each reference."""
    if chips is not None:
        try:
            chips.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            fail(f"{chips} cannot be made: {error.strerror}")
    with opened_store(data_dir) as store:
        details = store.directory.user(operator(), company, user)
        if details is None:
            fail(f"there is no user {user} of {company}", EXIT_NOT_FOUND)
        click.echo(f"{user} of {company}{_describe(details.profile)}, since {moment(details.created_at)}")
        for reference in details.references:
            kept = "with chip" if reference.has_chip else "no chip kept"
            click.echo(
                f"  reference {reference.id}, {kept}, since {moment(reference.created_at)}, by {reference.encoder_id}"
                f"{_provenance(reference)}"
            )
            if chips is not None and reference.has_chip:
                chip_png = store.directory.chip(operator(), company, user, reference.id)
                if chip_png is not None:
                    path = chips / f"{company}-{user}-{reference.id}.png"
                    try:
                        replace_file(path, chip_png)
                    except OSError as error:
                        fail(f"{path} cannot be written: {error.strerror}")
                    click.echo(f"    {path}")


@click.command("erase")
@click.argument("company")
@click.argument("user", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_dir_option
def erase_command(company: str, user: str | None, yes: bool, data_dir: Path | None) -> None:
    """Erase a user or a company, and print a receipt.

    Every row goes, and every byte that was derived from the photos. The audit trail keeps one entry, of the erasure;
    its older entries no longer tell whom they are about.
    """
    what = f"user {user} of {company}" if user is not None else f"company {company}"
    if not yes:
        click.confirm(
            f"Erase the {what}{'' if user is not None else ' with all its users'}? This cannot be undone.",
            abort=True,
            err=True,
        )
    with opened_store(data_dir) as store:
        if user is None:
            receipt = store.eraser.erase_company(operator(), company)
        else:
            receipt = store.eraser.erase_user(operator(), company, user)
    if receipt is None:
        fail(f"there is no {what}", EXIT_NOT_FOUND)
    click.echo(json.dumps(_to_json(receipt), indent=2))
    if not receipt.overwritten:
        click.echo("Traces may be left in the database's files: `face-api compact` removes them.", err=True)


def _to_json(receipt: Receipt) -> dict[str, object]:
    return {
        "company": receipt.company,
        "user": receipt.user,
        "removed": asdict(receipt.removed),
        "at": receipt.at.isoformat(timespec="seconds"),
        "audit_entry": str(receipt.audit_entry),
        "overwritten": receipt.overwritten,
    }


def _provenance(reference: ReferenceSummary) -> str:
    told = [f"through {reference.via}"] if reference.via is not None else []
    if reference.quality is not None:
        told.append("good" if not reference.quality.reasons else ", ".join(reference.quality.reasons))
    return "".join(f", {item}" for item in told)


def _describe(profile: Profile) -> str:
    gender = {0: ", female", 1: ", male"}.get(-1 if profile.gender is None else profile.gender, "")
    return gender + ("" if profile.age is None else f", {profile.age} years")
