"""Fetches the photos that the demo and the tests use, once, into a cache outside the repository.

They come in the source distribution of face_recognition 1.3.0, which the package index holds; the archive is fetched
by package name and accepted by its SHA-256 only. No photo is part of this repository.
"""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

PACKAGE = "face_recognition==1.3.0"
ARCHIVE_SHA256 = "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec"
PHOTOS_SHA256 = {
    "32bit.png": "44dca895a7d635a4aedddd91a4f37af9a8a5b44e66154282a24645a757b5f627",
    "biden.jpg": "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c",
    "obama.jpg": "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6",
    "obama2.jpg": "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6",
    "obama3.jpg": "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3",
    "obama_partial_face.jpg": "c2d1f09e7ef3042352b41e41286e6eb0522f64f88308be13886991b95db52117",
    "obama_partial_face2.jpg": "9a812347f97633542b8cd9992de22def11b74f79d82056bc3ee830f13878e028",
}


class SamplePhotosError(Exception):
    """The photos cannot be had; the message says why."""


def cache_directory() -> Path:
    """Return the folder of the photos, whether or not it exists."""
    return user_cache_path("face-verification") / "sample-photos"


def sample_photo(name: str) -> Path:
    """Return the path of one of PHOTOS_SHA256, fetched first where it is not in the cache.

    Raises:
        SamplePhotosError: the archive cannot be fetched, or is not the published one.
    """
    path = cache_directory() / name
    if not _is_intact(path, PHOTOS_SHA256[name]):
        _fetch_all()
    return path


def _is_intact(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def _fetch_all() -> None:
    directory = cache_directory()
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text(f"{PACKAGE} --hash=sha256:{ARCHIVE_SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += [
            "--no-binary=face_recognition",
            "--require-hashes",
            "--dest",
            scratch,
            "--requirement",
            str(requirements),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(Path(scratch).glob("*.tar.gz"))
        if result.returncode or len(archives) != 1:
            raise SamplePhotosError(f"{PACKAGE} cannot be fetched from the package index:\n{result.stderr.strip()}")
        _unpack(archives[0], directory)


def _unpack(archive: Path, directory: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            path = Path(member.name)
            if path.parent.name != "test_images" or path.name not in PHOTOS_SHA256:
                continue
            stream = tar.extractfile(member)
            data = stream.read() if stream else b""
            if hashlib.sha256(data).hexdigest() != PHOTOS_SHA256[path.name]:
                raise SamplePhotosError(f"{path.name} in the archive is not the published photo")
            # Several test processes may fetch at once: each photo appears whole or not at all.
            partial = directory / f".{path.name}.{os.getpid()}"
            partial.write_bytes(data)
            partial.replace(directory / path.name)
