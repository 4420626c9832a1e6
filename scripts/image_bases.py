"""Base images without a registry: a Debian root by debootstrap, and stand-ins made of it; of `prove_images.py`."""

import shutil
import subprocess
import tarfile
from pathlib import Path

from image_engine import NAMESPACE, Engine, ProofError

RELEASE = "trixie"
DEBIAN = f"{NAMESPACE}debian:{RELEASE}-slim"
STANDINS = {"postgres": "18", "redis": "8", "nginx": "1.28"}
"""Whose packages of Debian's stand for the official images of these tags."""

FOLDER = Path(__file__).resolve().parent / "standins"
APT_SETTINGS = "etc/apt/apt.conf.d/docker-clean"
"""Which the official image has, so that packages are not kept when they are installed."""

UNPACKED = "compose/usr/libexec/docker/cli-plugins/docker-compose"
"""In the work folder."""

LEFT_OUT = (
    *("./proc/", "./sys/", "./dev/"),
    *("./var/cache/apt/archives/", "./var/cache/apt/pkgcache", "./var/cache/apt/srcpkgcache", "./var/lib/apt/lists/"),
)


def make_bases(engine: Engine) -> None:
    """Make all images that the project's are built on, or run beside, and unpack Docker's compose.

    Raises:
        ProofError: debootstrap is missing, or the packages cannot be had.
    """
    if shutil.which("debootstrap") is None:
        raise ProofError("there is no debootstrap. Debian: apt-get install debootstrap")
    root = engine.work / "root"
    compose = engine.work / "compose"
    if not (root / "bin" / "sh").exists():
        _run(["debootstrap", "--variant=minbase", RELEASE, str(root)])
    if not (engine.work / UNPACKED).exists():
        # A program that needs the C library alone, so that it runs outside of that root, too.
        _run(["chroot", str(root), "sh", "-c", "cd /tmp && apt-get update -qq && apt-get download -qq docker-compose"])
        for package in (root / "tmp").glob("docker-compose_*.deb"):
            _run(["dpkg-deb", "--extract", str(package), str(compose)])
            package.unlink()
    (root / APT_SETTINGS).write_text(
        'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };\n'
        'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
    )
    archive = engine.work / "root.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(root, ".", filter=_kept)
    engine("import", str(archive), DEBIAN)
    archive.unlink()
    for name, version in STANDINS.items():
        engine.build(FOLDER / f"{name}.Dockerfile", f"{NAMESPACE}{name}:{version}", FOLDER)


def _kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if entry.name.startswith(LEFT_OUT) else entry


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProofError(f"{' '.join(command)}: {(done.stderr or done.stdout)[-1000:]}")
