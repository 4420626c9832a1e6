"""`make images`: builds every image, checks it, and starts the stacks of docker/compose.yaml.

Takes Docker, or Podman as root. `--base registry` builds on the images that the Dockerfiles name, `--base debootstrap`
on a Debian root made here, with Debian's PostgreSQL, Redis and nginx beside it. docs/containers.md has what came of it.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from image_bases import UNPACKED, make_bases
from image_checks import check_image, check_without_network
from image_engine import NAMESPACE, Engine, ProofError, find_compose
from sample_photos import sample_photo
from stack_checks import Stack, prove_one, prove_production

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ("api", "dashboard")
PHOTO = "biden.jpg"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", choices=("registry", "debootstrap"), default="registry")
    parser.add_argument("--work", type=Path, help="Folder for images and logs, which is kept; else a temporary one.")
    parser.add_argument("--only", choices=("images", "one", "production"), action="append", help="Not all of it.")
    parser.add_argument("--built", action="store_true", help="Take the images that --work has from a run before.")
    arguments = parser.parse_args()
    work = arguments.work or Path(tempfile.mkdtemp(prefix="face-images-"))
    work.mkdir(parents=True, exist_ok=True)
    only = arguments.only or ["images", "one", "production"]
    try:
        engine = Engine(work.resolve())
        try:
            prove(engine, arguments.base, only, is_built=arguments.built)
        finally:
            engine.close()
    except ProofError as error:
        print(f"\nNot proved: {error}", file=sys.stderr)
        print(f"Logs and images are in {work}.", file=sys.stderr)
        return 1
    if arguments.work is None:
        engine.forget()
        shutil.rmtree(work, ignore_errors=True)
    return 0


def prove(engine: Engine, base: str, only: list[str], *, is_built: bool) -> None:
    """Do all of it, and print a line for each thing that was seen. Raises ProofError."""
    photo = sample_photo(PHOTO)
    if base == "debootstrap" and not is_built:
        make_bases(engine)
    compose = find_compose(engine, engine.work / UNPACKED)
    for name in () if is_built else IMAGES:
        took = engine.build(ROOT / "docker" / f"{name}.Dockerfile", f"{NAMESPACE}face-{name}", ROOT)
        tell(f"docker/{name}.Dockerfile builds on {base}", f"{took:.0f} s")
    if "images" in only:
        for name in IMAGES:
            check_image(engine, f"{NAMESPACE}face-{name}", tell)
        check_without_network(engine, f"{NAMESPACE}face-api", photo, tell)
    engine.listen()
    if "one" in only:
        with Stack(engine, compose, "one", "api") as stack:
            prove_one(stack, photo, tell)
    if "production" in only:
        with Stack(engine, compose, "production", "api-production") as stack:
            prove_production(stack, photo, tell)


def tell(what: str, figure: str) -> None:
    print(f"{what} | {figure}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
