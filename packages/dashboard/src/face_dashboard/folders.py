"""Folders within a folder, by names that lead nowhere else."""

import re
import secrets
import shutil
from pathlib import Path

UNPACKING, REMOVING = ".unpacking-", ".removing-"
"""How the names of folders begin that are not there yet, or not any more."""

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


def is_name(text: str) -> bool:
    """Return whether a text may name a folder: 1 to 64 letters, digits, dots, dashes; no dot at the beginning."""
    return NAME.fullmatch(text) is not None


def subfolder(root: Path, name: str) -> Path | None:
    """Return the folder of this name in another; None where there is none. A symbolic link is none."""
    path = root / name
    return path if is_name(name) and path.is_dir() and not path.is_symlink() else None


def subfolders(root: Path) -> list[Path]:
    """Return all folders in a folder that `subfolder` finds, by their names; none where it is not there, or is shut."""
    try:
        names = sorted(path.name for path in root.iterdir())
    except OSError:
        return []
    return [path for name in names if (path := subfolder(root, name)) is not None]


def remove(folder: Path) -> None:
    """Remove a folder with all that it holds: it is gone at once, or as it was. Raises OSError."""
    removed = folder.with_name(f"{REMOVING}{secrets.token_hex(8)}")
    folder.rename(removed)
    shutil.rmtree(removed)


def remove_leftovers(root: Path) -> None:
    """Remove what a process that was killed had begun to unpack or to remove in a folder."""
    for prefix in (UNPACKING, REMOVING):
        for path in root.glob(f"{prefix}*"):
            shutil.rmtree(path, ignore_errors=True)


def is_within(path: Path, folder: Path) -> bool:
    """Return whether a path, all links followed, lies in a folder."""
    return path.resolve().is_relative_to(folder.resolve())
