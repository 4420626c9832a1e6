"""What a service that runs for weeks must not do: keep a little of every request."""

import itertools
import os
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from support.photos import IN_BAND, collage, jpeg, noise, pad_jpeg, portrait
from support.server import REAL, Server, running_server

ANALYSES = int(os.environ.get("SOAK_ANALYSES", "20000"))
"""Fewer prove little; they are for who works on this test."""

CALLERS = 2
USERS = 50
SAMPLES = 100
TENTH = SAMPLES // 10
GROWTH = 1.1

HEIGHTS = range(200, 600, 4)
"""Pixels: up to 0.3 megapixels, so that this ends some day, and so many sizes that none of them is worth keeping."""

FAIL = {"result": "Fail"}
MATCH, DISMATCH = {"result": {"person_1": "match"}}, {"result": {"person_1": "dismatch"}}

# Counted, but never reached: what counts must not grow either.
SETTINGS: dict[str, object] = {"limit_per_user": "1000000/minute;1000000/hour"}


@dataclass(frozen=True, slots=True)
class Holding:
    """What a process holds."""

    pid: int
    resident: int
    """Bytes."""
    files: int
    threads: int


@pytest.mark.torture
def test_memory_files_and_threads_are_the_same_after_thousands_of_analyses(tmp_path: Path) -> None:
    holdings: defaultdict[str, list[Holding]] = defaultdict(list)
    took_ms: list[list[float]] = []
    with running_server(tmp_path, REAL, **SETTINGS) as server, ThreadPoolExecutor(CALLERS) as pool:
        enrolled = jpeg(portrait("obama.jpg"), IN_BAND)
        for user in range(USERS):
            assert server.enroll(enrolled, id=f"user{user}").json() == {"result": "Success"}

        def analyse(number: int, image: bytes, expected: object) -> float:
            answer = server.analyse(image, id=f"user{number % USERS}")
            assert answer.json() == expected, (number, answer.headers["x-face-reason"])
            return answer.elapsed.total_seconds() * 1000

        work = zip(range(ANALYSES), itertools.cycle(photos()), strict=False)
        for _ in range(SAMPLES):
            batch = list(itertools.islice(work, ANALYSES // SAMPLES))
            took_ms.append(list(pool.map(lambda item: analyse(item[0], *item[1]), batch)))
            for name, holding in held_by(server).items():
                holdings[name].append(holding)
    report(holdings, took_ms)
    assert sum(map(len, took_ms)) == ANALYSES // SAMPLES * SAMPLES
    for name, held in holdings.items():
        assert len({each.pid for each in held}) == 1, f"another {name} had to be started"
        early, late = held[: 2 * TENTH], held[-TENTH:]
        assert max(each.resident for each in late) <= GROWTH * max(each.resident for each in early[TENTH:])
        assert max(each.files for each in late) <= max(each.files for each in early)
        assert max(each.threads for each in late) <= max(each.threads for each in early)


def photos() -> list[tuple[bytes, object]]:
    """Return small photos, and what is to be answered to each where the user is Obama."""
    both = {"result": {"person_1": "match", "person_2": "dismatch"}}
    return [
        *((jpeg(portrait("obama2.jpg", height), IN_BAND), MATCH) for height in HEIGHTS),
        *((jpeg(portrait("biden.jpg", height), IN_BAND), DISMATCH) for height in HEIGHTS),
        (jpeg(collage(["obama2.jpg", "biden.jpg"]), IN_BAND), both),
        (jpeg(noise(), IN_BAND), FAIL),
        (pad_jpeg(jpeg(portrait("obama.jpg"))[:-5_000], IN_BAND), FAIL),
    ]


def held_by(server: Server) -> dict[str, Holding]:
    """Return what the server holds, and what its inference worker, which is its largest child."""
    process = psutil.Process(server.process.pid)
    worker = max(process.children(recursive=True), key=lambda child: child.memory_info().rss)
    return {
        name: Holding(each.pid, each.memory_info().rss, each.num_fds(), each.num_threads())
        for name, each in (("server", process), ("worker", worker))
    }


def report(holdings: Mapping[str, Sequence[Holding]], took_ms: Sequence[Sequence[float]]) -> None:
    """Print the figures of `make torture`."""
    for name, held in holdings.items():
        for what, part in (("after the first tenth", held[TENTH : 2 * TENTH]), ("in the last", held[-TENTH:])):
            resident = max(each.resident for each in part) / 1e6
            files, threads = max(each.files for each in part), max(each.threads for each in part)
            print(f"{name} {what}: {resident:.0f} MB, {files} files, {threads} threads at most")  # noqa: T201
    early, late = (statistics.median(itertools.chain(*part)) for part in (took_ms[TENTH : 2 * TENTH], took_ms[-TENTH:]))
    print(f"an analysis took {early:.0f} ms (p50) after the first tenth, {late:.0f} in the last")  # noqa: T201
