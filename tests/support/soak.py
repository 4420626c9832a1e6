"""Whether a service keeps a little of every request: what its processes hold early on, and at the end."""

import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil

from support.server import Server

CALLERS = 2
USERS = 50
SAMPLES = 100
TENTH = SAMPLES // 10
GROWTH = 1.1

# Counted, but never reached: what counts must not grow either.
SETTINGS: dict[str, object] = {"limit_per_user": "1000000/minute;1000000/hour"}

Photo = tuple[bytes, object]
"""A file, and the answer to its analysis for any of the users."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What a process holds."""

    pid: int
    resident: int
    """Bytes."""
    files: int
    threads: int


def soak(server: Server, analyses: int, enrolled: bytes, photos: Iterable[Photo]) -> None:
    """Have so many photos analysed, a multiple of SAMPLES, and check that the processes hold no more than early on."""
    holdings: defaultdict[str, list[Holding]] = defaultdict(list)
    took_ms: list[list[float]] = []
    for user in range(USERS):
        assert server.enroll(enrolled, id=f"user{user}").json() == {"result": "Success"}

    def analyse(number: int, photo: Photo) -> float:
        image, expected = photo
        answer = server.analyse(image, id=f"user{number % USERS}")
        assert answer.json() == expected, (number, answer.headers["x-face-reason"])
        return answer.elapsed.total_seconds() * 1000

    work = zip(range(analyses), itertools.cycle(photos), strict=False)
    with ThreadPoolExecutor(CALLERS) as pool:
        for _ in range(SAMPLES):
            batch = list(itertools.islice(work, analyses // SAMPLES))
            took_ms.append(list(pool.map(lambda item: analyse(*item), batch)))
            for name, holding in _held_by(server).items():
                holdings[name].append(holding)
    _report(holdings, took_ms)
    assert sum(map(len, took_ms)) == analyses
    for name, held in holdings.items():
        assert len(held) == SAMPLES and len({each.pid for each in held}) == 1, f"another {name} had to be started"
        early, late = held[: 2 * TENTH], held[-TENTH:]
        assert max(each.resident for each in late) <= GROWTH * max(each.resident for each in early[TENTH:])
        assert max(each.files for each in late) <= max(each.files for each in early)
        assert max(each.threads for each in late) <= max(each.threads for each in early)


def _held_by(server: Server) -> dict[str, Holding]:
    """Return what the server holds, and what its inference worker, which is its largest child, where it has one."""
    process = psutil.Process(server.process.pid)
    workers = sorted(process.children(recursive=True), key=lambda child: child.memory_info().rss)
    return {
        name: Holding(each.pid, each.memory_info().rss, each.num_fds(), each.num_threads())
        for name, each in [("server", process), *(("worker", worker) for worker in workers[-1:])]
    }


def _report(holdings: Mapping[str, Sequence[Holding]], took_ms: Sequence[Sequence[float]]) -> None:
    """Print the figures of `make torture`."""
    for name, held in holdings.items():
        for what, part in (("after the first tenth", held[TENTH : 2 * TENTH]), ("in the last", held[-TENTH:])):
            resident = max(each.resident for each in part) / 1e6
            files, threads = max(each.files for each in part), max(each.threads for each in part)
            print(f"{name} {what}: {resident:.0f} MB, {files} files, {threads} threads at most")  # noqa: T201
    early, late = (statistics.median(itertools.chain(*part)) for part in (took_ms[TENTH : 2 * TENTH], took_ms[-TENTH:]))
    print(f"an analysis took {early:.0f} ms (p50) after the first tenth, {late:.0f} in the last")  # noqa: T201
