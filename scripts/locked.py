"""Which packages a runtime installation takes on some machine, by the lock."""

import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).resolve().parents[1]
EXPORT = (".uv/bin/uv", "export", "--quiet", "--frozen", "--offline", "--format", "pylock.toml", "--no-emit-workspace")
RUNTIME = ("--all-packages", "--all-extras", "--no-default-groups", "--group", "cuda")

MACHINES: Sequence[Mapping[str, str]] = [
    {
        "implementation_name": "cpython",
        "os_name": "nt" if system == "win32" else "posix",
        "platform_machine": "arm64" if system == "darwin" else "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[system],
        "python_full_version": f"{version}.{micro}",
        "python_version": version,
        "sys_platform": system,
    }
    for system in ("linux", "darwin", "win32")
    for version, micro in (("3.11", 2), ("3.11", 9), ("3.12", 9), ("3.13", 9), ("3.14", 9))
]
"""Where the product runs. 3.11.2 is Debian's, and older than what some markers ask for."""


@dataclass(frozen=True, slots=True)
class Package:
    """A version of a package that the lock has, and on which machines (None: on all)."""

    name: str
    version: str
    marker: str | None = None

    @property
    def is_everywhere(self) -> bool:
        return all(self._applies())

    @property
    def is_somewhere(self) -> bool:
        return any(self._applies())

    def _applies(self) -> Iterator[bool]:
        return (self.marker is None or Marker(self.marker).evaluate(machine) for machine in MACHINES)


def export() -> str:
    """Return what the lock has for all packages of the product, all extras and GPUs, as a pylock.toml."""
    return subprocess.run([*EXPORT, *RUNTIME], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def locked(pylock: str) -> list[Package]:
    """Return the packages of a pylock.toml (PEP 751) that some machine takes."""
    found = [
        Package(entry["name"], entry["version"], entry.get("marker")) for entry in tomllib.loads(pylock)["packages"]
    ]
    return [package for package in found if package.is_somewhere]
