"""face-api: the service, and what its operators do with its store."""

from importlib import import_module

import click

from face_api import __version__

_MODULES = {
    "serve": "serve",
    "keys": "keys",
    "migrate": "upkeep",
    "rotate": "upkeep",
    "reencode": "upkeep",
    "purge": "upkeep",
    "compact": "upkeep",
    "backup": "backup",
    "restore": "backup",
    "list": "people",
    "view": "people",
    "erase": "people",
    "audit": "audit",
}


class _Commands(click.Group):
    """Loads a command's module when it is asked for: worker processes import this package, and need none of them."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _MODULES:
            return None
        command: click.Command = getattr(import_module(f"face_api.cli.{_MODULES[name]}"), f"{name}_command")
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="face-api")
def main() -> None:
    """The face verification service, and what its operators do with its store.

    Every setting is an environment variable FACE_API_*. All commands work while the service serves.
    """
