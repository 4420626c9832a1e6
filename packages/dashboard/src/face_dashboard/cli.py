"""face-dashboard: serves the pages; makes the administrator's password."""

import sys
from pathlib import Path

import click

from face_dashboard import __version__
from face_dashboard.settings import API_URL_VARIABLE, Settings, SettingsError, give
from face_dashboard.signing_in.passwords import PasswordFileError, make_password

EXIT_STARTUP = 3


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="face-dashboard")
@click.option("--host", help="Address to listen on; 127.0.0.1 by default.")
@click.option("--port", type=click.IntRange(1, 65535), help="8501 by default.")
@click.option("--api-url", help=f"The API's address, as {API_URL_VARIABLE}.")
@click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Folder of the password and reports."
)
@click.pass_context
def main(
    context: click.Context, host: str | None, port: int | None, api_url: str | None, data_dir: Path | None
) -> None:
    """Serve the administrators' dashboard until Ctrl-C.

    The first start makes the administrator's password and prints it, this once.
    """
    try:
        settings = give(host=host, port=port, api_url=api_url, data_dir=data_dir)
        settings.read_api_key()
    except SettingsError as error:
        _fail(error)
    context.obj = settings
    if context.invoked_subcommand is not None:
        return
    if not settings.password_file.exists():
        _print_new_password(settings)
    from face_dashboard.server import serve  # noqa: PLC0415 - --help and password need no Streamlit

    print(f"The dashboard is on http://{settings.host}:{settings.port}", flush=True)
    serve(settings, str(Path(__file__).with_name("app.py")))


@main.command()
@click.pass_obj
def password(settings: Settings) -> None:
    """Make a new password for the administrator, in the place of the old one, and print it.

    Who is signed in stays so until the session ends; restarting the dashboard ends them all.
    """
    _print_new_password(settings)


def _print_new_password(settings: Settings) -> None:
    try:
        made = make_password(settings.password_file)
    except PasswordFileError as error:
        _fail(error)
    print(f"The dashboard's password, shown this once: {made}", flush=True)


def _fail(error: Exception) -> None:
    print(error, file=sys.stderr)
    sys.exit(EXIT_STARTUP)
