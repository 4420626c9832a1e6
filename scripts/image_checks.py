"""What every image must be, and the API's image alone without a network; of `prove_images.py`."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from image_engine import Engine, ProofError

USER = "10001:10001"
FORBIDDEN = (
    *("gcc", "cc", "c++", "make", "uv", "pip", "pip3", "curl", "git", "*.whl"),
    *("shape_predictor_68_face_landmarks.dat", "sealing-keys", "face.keys", "*.sqlite3"),
)
"""Names of files that no image may hold: what builds, what may not be used commercially, what is secret."""

CONFINED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none")
VOLUME = "face-proof"
CONTAINER = "face-proof"
READY_S, STOP_S = 120.0, 30.0

# Enrolls the photo from its standard input, and analyses it, with nothing but Python.
ASK = """
import sys, urllib.request
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
photo, key = sys.stdin.buffer.read(), sys.argv[1]
def part(head, value):
    return f"--face\\r\\nContent-Disposition: form-data; {head}\\r\\n\\r\\n".encode() + value + b"\\r\\n"
form = part("name=company", b"withmind") + part("name=id", b"tamy")
form += part("name=image; filename=a.jpg", photo) + b"--face--\\r\\n"
headers = {"Content-Type": "multipart/form-data; boundary=face", "Authorization": "Bearer " + key}
for path in ("enrollment_img", "analy_img"):
    request = urllib.request.Request(f"http://127.0.0.1:8000/{path}/", form, headers)
    print(direct.open(request).read().decode())
"""
ANSWERS = ['{"result":"Success"}', '{"result":{"person_1":"match"}}']

Tell = Callable[[str, str], None]


def check_image(engine: Engine, image: str, tell: Tell) -> None:
    """Check what an image is and holds. Raises ProofError."""
    [found] = json.loads(engine("image", "inspect", image))
    config = found["Config"]
    expect(config["User"] == USER, f"{image} runs as {config['User'] or 'root'}")
    expect(list(config["Volumes"]) == ["/data"], f"{image} has the volumes {config['Volumes']}")
    expect(config["Entrypoint"][0] == "tini", f"{image} begins with {config['Entrypoint']}")
    health = config.get("Healthcheck") or found.get("Healthcheck") or {}
    expect(health.get("Test", [""])[0] == "CMD", f"{image} has no HEALTHCHECK")
    expect("org.opencontainers.image.licenses" in config["Labels"], f"{image} has no labels")
    expect(config["StopSignal"] in {"SIGTERM", "15"}, f"{image} is stopped by {config['StopSignal']}")
    names = [argument for name in FORBIDDEN for argument in ("-o", "-name", name)][1:]
    search = ["/", "-xdev", "-type", "f", "(", *names, ")"]
    as_root = ("--user", "0", "--workdir", "/", "--network", "none")
    there = engine("run", "--rm", *as_root, "--entrypoint", "find", image, *search).split()
    expect(not there, f"{image} holds {', '.join(there)}")
    writable = ["/opt/face", "-xdev", "(", "-perm", "/022", "-o", "!", "-user", "root", ")", "!", "-type", "l"]
    there = engine("run", "--rm", "--entrypoint", "find", *CONFINED, image, *writable).split()
    expect(not there, f"{image} lets others than root write {', '.join(there[:5])}")
    tell(f"{image}: user 10001, HEALTHCHECK, labels, nothing of a compiler, uv, pip or the 68 landmarks", _size(found))


def check_without_network(engine: Engine, image: str, photo: Path, tell: Tell) -> None:
    """Run the API's image where nothing can be fetched and nothing written but its volume. Raises ProofError."""
    volume = ("--volume", f"{VOLUME}:/data")
    remove(engine)
    try:
        key = engine("run", "--rm", *CONFINED, *volume, image, "keys", "create", "--admin").strip()
        start = time.monotonic()
        engine("run", "--detach", "--name", CONTAINER, *CONFINED, *volume, image)
        wait_until(lambda: _is_healthy(engine), READY_S, f"{image} is not healthy")
        tell("the API without a network, read-only, is healthy", f"{time.monotonic() - start:.0f} s")
        command = ("exec", "--interactive", CONTAINER, "python", "-c", ASK, key)
        answers = engine(*command, given=photo.read_bytes()).splitlines()
        expect(answers == ANSWERS, f"it answers {answers}")
        tell("there it enrolls and analyses a photo", " ".join(answers))
        tell("SIGTERM ends it", f"{_stop(engine):.1f} s")
        engine("start", CONTAINER)
        tell("SIGTERM ends it while it starts", f"{_stop(engine):.1f} s")
    finally:
        remove(engine)


def _stop(engine: Engine) -> float:
    start = time.monotonic()
    engine("stop", "--time", str(int(STOP_S * 3)), CONTAINER)
    took = time.monotonic() - start
    code = engine("inspect", "--format", "{{.State.ExitCode}}", CONTAINER).strip()
    expect(code in {"0", "143"} and took < STOP_S, f"SIGTERM ended it with {code} after {took:.0f} s")
    return took


def _is_healthy(engine: Engine) -> bool:
    if engine.is_podman:
        engine("healthcheck", "run", CONTAINER, check=False)
    return engine("inspect", "--format", "{{.State.Health.Status}}", CONTAINER).strip() == "healthy"


def remove(engine: Engine) -> None:
    engine("rm", "--force", CONTAINER, check=False)
    engine("volume", "rm", "--force", VOLUME, check=False)


def expect(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise ProofError(otherwise)


def wait_until(happened: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        expect(time.monotonic() < deadline, f"{otherwise} after {timeout_s:.0f} s")
        time.sleep(1)


def _size(found: dict[str, int]) -> str:
    return f"{found['Size'] / 1e6:.0f} MB"
