"""The files that were chosen for an import: in memory as the browser sent them, or unpacked from an archive."""

import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

from streamlit.runtime.uploaded_file_manager import UploadedFile

from face_dashboard.archives import unpack

FOLDER = "imports"
"""Of the data folder: holds archives' photos until their import is over."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Files by name, and `read`, which returns the bytes of the one at a place."""

    names: Sequence[str]
    read: Callable[[int], bytes]


class _Unpacked:
    """A folder that is removed when nobody refers to it any more, and at the end of the process."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(dir=parent))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def read(self, name: str) -> bytes:
        return (self.folder / "photos" / name).read_bytes()


def uploaded(files: Sequence[UploadedFile]) -> Chosen:
    """Return files as the browser sent them."""
    return Chosen([file.name for file in files], lambda index: files[index].getvalue())


def unpacked(archive: BinaryIO, data_dir: Path) -> Chosen:
    """Return the files of a zip archive. Raises ArchiveError."""
    kept = _Unpacked(_folder(data_dir))
    folder = kept.folder / "photos"
    unpack(archive, folder)
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return Chosen(names, lambda index: kept.read(names[index]))


@cache
def _folder(data_dir: Path) -> Path:
    """Return where archives are unpacked. The first call removes what a process that was killed left there."""
    folder = data_dir / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    return folder
