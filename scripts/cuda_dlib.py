"""Compiles dlib for CUDA: a wheel for the Python that runs this, beside the NVIDIA libraries of the group `cuda`.

dlib's build finds CUDA's compiler in the toolkit. Of the libraries it needs cuBLAS, cuDNN, cuRAND and cuSOLVER, which
are in the lock file already, as ONNX Runtime's; so it is compiled against those, and looks for them beside itself.
That takes a quarter of an hour; a wheel that is there is not made again.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

REQUIREMENT = Path(__file__).with_name("cuda_dlib.txt")
TOOLCHAIN = Path(__file__).with_name("cuda_dlib.cmake")
TOOLKIT = Path("/usr/local/cuda")
FOLDER = Path(__file__).resolve().parent.parent / ".cuda"
HEADERS = ("cublas*.h", "curand*.h", "cusolver*.h", "cusparse*.h", "nvJitLink.h")
"""Of CUDA's wheels: not those of the toolkit itself, which must be of the compiler's own version."""

LIBRARIES = ("cublas", "cublasLt", "cudnn", "curand", "cusolver", "cusparse", "nvJitLink")
OPTIONS = {
    "DLIB_USE_CUDA": "ON",
    "DLIB_NO_GUI_SUPPORT": "ON",
    # What the machine may have and the engine does not use: the wheel must not depend on it.
    **dict.fromkeys(["DLIB_USE_BLAS", "DLIB_USE_LAPACK"], "OFF"),
    **dict.fromkeys(["DLIB_GIF_SUPPORT", "DLIB_JXL_SUPPORT", "DLIB_WEBP_SUPPORT", "DLIB_LINK_WITH_SQLITE3"], "OFF"),
}


class BuildError(Exception):
    """dlib cannot be compiled here; the message says what is missing."""


def main() -> None:
    """Print the path of a wheel of dlib with CUDA, compiled now where it is not there yet."""
    # Only what this Python brings along: an image compiles dlib before anything else is installed.
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--architectures", help="as CMake names them, 90-real for instance; default: of the GPUs here")
    parser.add_argument("--toolkit", type=Path, default=TOOLKIT, help="default: %(default)s")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where wheels are kept; default: %(default)s")
    options = parser.parse_args()
    try:
        print(wheel(options.architectures or detected_architectures(), options.toolkit, options.folder))
    except BuildError as error:
        sys.exit(f"dlib is not compiled for CUDA: {error}")


def wheel(architectures: str, toolkit: Path, folder: Path) -> Path:
    """Return the wheel for these architectures, compiled where it is not in the folder. Raises BuildError."""
    version = toolkit_version(toolkit)
    kept = folder / f"cuda{version}-{re.sub('[^0-9a-z-]', '_', architectures)}-{sysconfig.get_config_var('SOABI')}"
    if found := sorted(kept.glob("dlib-*.whl")):
        return found[0]
    with tempfile.TemporaryDirectory() as scratch:
        libraries = Path(scratch) / "libraries"
        gather_libraries(libraries)
        made = Path(scratch) / "wheel"
        command = [
            *(sys.executable, "-m", "pip", "wheel", "--verbose", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--no-binary", "dlib", "--no-cache-dir"),
            *("--require-hashes", "--requirement", str(REQUIREMENT), "--wheel-dir", str(made)),
        ]
        environment = (
            os.environ
            | OPTIONS
            | {
                "CMAKE_PREFIX_PATH": str(libraries),
                "CMAKE_TOOLCHAIN_FILE": str(TOOLCHAIN),
                "CPATH": str(libraries / "include"),
                "CUDAARCHS": architectures,
                "CUDACXX": str(toolkit / "bin" / "nvcc"),
                "CUDAToolkit_ROOT": str(toolkit),
                "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
            }
        )
        if subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode:
            raise BuildError("the compilation failed, see above")
        (wheel,) = made.glob("dlib-*.whl")
        check(wheel)
        kept.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(wheel, kept / wheel.name))


def check(wheel: Path) -> None:
    """Raise BuildError where dlib's build left CUDA out, which it only mentions on the way."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.unpack_archive(wheel, scratch, "zip")
        # Beside the libraries that it looks for; not in their place, which has a dlib without CUDA.
        (Path(scratch) / "nvidia").symlink_to(nvidia_folder())
        asked = [sys.executable, "-c", "import dlib; raise SystemExit(not dlib.DLIB_USE_CUDA)"]
        told = subprocess.run(
            asked, env=os.environ | {"PYTHONPATH": scratch}, capture_output=True, text=True, check=False
        )
    if told.returncode:
        raise BuildError(f"what was compiled does not have it: {told.stderr.strip() or 'CMake did not find it'}")


def gather_libraries(folder: Path) -> None:
    """Make a folder of headers and libraries as a linker looks for them: the wheels have them by version alone.

    Raises:
        BuildError: one of them is missing.
    """
    nvidia = nvidia_folder()
    (folder / "include").mkdir(parents=True)
    (folder / "lib").mkdir()
    headers = [path for pattern in HEADERS for path in (nvidia / "cu13" / "include").glob(pattern)]
    for path in [*headers, *(nvidia / "cudnn" / "include").glob("*.h")]:
        (folder / "include" / path.name).symlink_to(path)
    for name in LIBRARIES:
        found = sorted(nvidia.glob(f"*/lib/lib{name}.so.*"))
        if not found:
            raise BuildError(f"lib{name} is missing: the dependency group cuda of pyproject.toml is not installed")
        (folder / "lib" / f"lib{name}.so").symlink_to(found[0])


def nvidia_folder() -> Path:
    return Path(sysconfig.get_path("purelib")) / "nvidia"


def toolkit_version(toolkit: Path) -> str:
    """Return the version of CUDA's compiler, 13.0 for instance. Raises BuildError where there is none."""
    command = [str(toolkit / "bin" / "nvcc"), "--version"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"there is no CUDA toolkit with nvcc in {toolkit}") from error
    release = re.search(r"release (\d+\.\d+)", told)
    if release is None:
        raise BuildError(f"nvcc in {toolkit} does not tell its version")
    return str(release[1])


def detected_architectures() -> str:
    """Return the architectures of this machine's GPUs, as CMake names them. Raises BuildError where there is none."""
    query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError("nvidia-smi, which tells the GPU's architecture, is not here or fails") from error
    return architectures_of(told)


def architectures_of(compute_capabilities: str) -> str:
    """Return CMake's names for lines such as 9.0, each once."""
    found = {line.strip().replace(".", "") for line in compute_capabilities.splitlines() if line.strip()}
    if not found or not all(name.isdecimal() for name in found):
        raise BuildError(f"nvidia-smi tells no compute capability: {compute_capabilities.strip()!r}")
    return ";".join(f"{name}-real" for name in sorted(found, key=int))


if __name__ == "__main__":
    main()
