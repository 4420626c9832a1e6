import multiprocessing
import resource
import signal
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from face_engine.evaluation import listed
from face_engine.evaluation.labels import BLOCK_PAIRS, NO_FOLD, Photo, Problems, numbered
from face_engine.evaluation.listed import ListedPair, ListedPairs, gather
from face_engine.evaluation.progress import silent
from support.labelled import pair, photo_files, rows, seeded, told


@dataclass(frozen=True)
class Gathered:
    photos: list[Photo]
    identities: list[int]
    pairs: ListedPairs
    problems: list[str]
    notes: list[str]

    @property
    def files(self) -> list[str]:
        return [photo.file for photo in self.photos]

    @property
    def named(self) -> list[tuple[str, str, bool]]:
        return [(self.files[one], self.files[other], mated) for one, other, mated, _ in rows(self.pairs)]


def gathered(root: Path, lines: Iterable[ListedPair], known: Mapping[str, str] | None = None) -> Gathered:
    """Gather pairs of a list `pairs`, whose lines name the place `pairs:LINE`."""
    problems = Problems()
    spool = root.parent / "spool"
    photos, identities, pairs = gather(lines, Path("pairs"), root, spool, problems, silent, known)
    assert [pairs.mated, pairs.non_mated] == [sum(row[2] == mated for row in rows(pairs)) for mated in (True, False)]
    return Gathered(photos, identities.tolist(), pairs, told(problems), [str(note) for note in problems.notes])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return photo_files(tmp_path / "photos", "abcdefgh")


def lines(*texts: str) -> list[ListedPair]:
    """Return pairs of photos: `a=b` is mated, `a/b` is not. The first one is in line 2."""
    return [pair(line, text[0], text[2], mated=text[1] == "=") for line, text in enumerate(texts, start=2)]


def test_pairs_and_photos_are_in_the_order_of_the_list(root: Path) -> None:
    found = gathered(root, lines("c=a", "a/b", "b=d", "d/c"))
    assert found.files == ["c", "a", "b", "d"]
    assert found.named == [("c", "a", True), ("a", "b", False), ("b", "d", True), ("d", "c", False)]
    assert found.identities == [0, 0, 1, 1]
    assert found.problems == []


def test_a_pair_keeps_its_fold(root: Path) -> None:
    found = gathered(root, [pair(2, "a", "b", mated=True, fold=9), pair(3, "a", "c", mated=False, fold=NO_FOLD)])
    assert rows(found.pairs) == [(0, 1, True, 9), (0, 2, False, NO_FOLD)]


def test_an_empty_list_has_nothing(root: Path) -> None:
    found = gathered(root, [])
    assert (found.files, found.named, found.identities, found.problems) == ([], [], [], [])


def test_mated_pairs_tell_whose_the_photos_are(root: Path) -> None:
    found = gathered(root, lines("a/b", "c=d", "e=f", "g=d", "f=c"))
    assert found.identities == [0, 1, 2, 2, 2, 2, 2]


def test_a_photo_that_is_missing_is_a_problem_once_and_its_pairs_go(root: Path) -> None:
    found = gathered(root, lines("a=x", "x/b", "c=d", "y=x"))
    assert found.named == [("c", "d", True)]
    assert (found.files, found.identities) == (["c", "d"], [0, 0])
    assert found.problems == ["pairs:2: x is not there", "pairs:5: y is not there"]


def test_a_photo_is_not_compared_with_itself_or_a_copy(tmp_path: Path) -> None:
    root = photo_files(tmp_path / "photos", {"a": "1", "b": "2", "c": "1"})
    found = gathered(root, lines("a=a", "a=b", "a=c", "c/a"))
    assert found.named == [("a", "b", True)]
    text = "a photo is compared with itself, or with a copy of it"
    assert found.problems == [f"pairs:{line}: {text}" for line in (2, 4, 5)]


def test_a_pair_comes_once_in_either_order_and_by_any_copy(tmp_path: Path) -> None:
    root = photo_files(tmp_path / "photos", {"a": "1", "b": "2", "c": "1", "d": "3"})
    found = gathered(root, lines("a=b", "a/d", "b=a", "c=b", "a=b", "d/c", "d/b"))
    assert found.named == [("a", "b", True), ("a", "d", False), ("d", "b", False)]
    assert found.problems == [
        "pairs:4: is the pair of line 2 again",
        "pairs:5: is the pair of line 2 again",
        "pairs:6: is the pair of line 2 again",
        "pairs:7: is the pair of line 3 again",
    ]


NON_MATED = "is non-mated, but its photos are of one person by the other labels"
MATED = "is mated, but its photos are of different persons by the other labels"


@pytest.mark.parametrize(
    ("texts", "wrong"),
    [
        (["a=b", "a/b"], [3]),
        (["a/b", "a=b"], [2]),
        (["a=b", "b/a", "a/b"], [3, 4]),
        (["a/b", "a=c", "b=c"], [2]),
        (["a=c", "d=b", "a/b", "d=c", "a/d"], [4, 6]),
    ],
)
def test_pairs_that_contradict_the_mated_ones_are_problems(root: Path, texts: list[str], wrong: list[int]) -> None:
    found = gathered(root, lines(*texts))
    assert found.problems == [f"pairs:{line}: {NON_MATED}" for line in wrong]
    assert len(found.named) == len(texts) - len(wrong)
    assert all(mated for *_, mated in found.named)


@pytest.mark.parametrize("texts", [["a=b", "c/b"], ["c/b", "a=b"], ["c=d", "d/a"]])
def test_copies_are_of_one_person(tmp_path: Path, texts: list[str]) -> None:
    root = photo_files(tmp_path / "photos", {"a": "1", "b": "2", "c": "1", "d": "3"})
    found = gathered(root, lines(*texts))
    wrong = next(line for line, text in enumerate(texts, start=2) if "/" in text)
    assert found.problems == [f"pairs:{wrong}: {NON_MATED}"]


def test_names_decide_where_the_list_has_them(tmp_path: Path) -> None:
    root = photo_files(tmp_path / "photos", ["anna/1", "anna/2", "ben/1"])
    found = gathered(
        root,
        [
            pair(2, "anna/1", "ben/1", mated=False),
            pair(3, "anna/1", "anna/2", mated=False),
            pair(4, "anna/2", "ben/1", mated=True),
            pair(5, "anna/2", "anna/1", mated=True),
        ],
    )
    assert found.named == [("anna/1", "ben/1", False), ("anna/2", "anna/1", True)]
    assert (found.files, found.identities) == (["anna/1", "ben/1", "anna/2"], [0, 1, 0])
    assert found.problems == [f"pairs:3: {NON_MATED}", f"pairs:4: {MATED}"]


def test_a_photo_of_two_persons_is_noted_and_no_pair_of_its_copies_is_taken(tmp_path: Path) -> None:
    root = photo_files(tmp_path / "photos", {"anna/1": "1", "anna/2": "2", "ben/1": "1", "ben/2": "3"})
    found = gathered(
        root,
        [
            pair(2, "anna/1", "anna/2", mated=True),
            pair(3, "anna/2", "ben/2", mated=False),
            pair(4, "ben/2", "ben/1", mated=True),
            pair(5, "ben/1", "anna/1", mated=False),
        ],
    )
    assert found.named == [("anna/1", "anna/2", True), ("anna/2", "ben/2", False), ("ben/2", "ben/1", True)]
    assert found.problems == ["pairs:5: a photo is compared with itself, or with a copy of it"]
    assert found.notes == ["pairs:4: ben/1 of ben is the very photo anna/1 of anna (pairs:2)"]


def test_labels_of_their_own_name_the_persons(root: Path) -> None:
    known = {"a": "anna", "b": "anna", "c": "ben", "unused": "carl"}
    found = gathered(root, lines("a=b", "b=c", "c/a", "a/b", "d=a"), known)
    assert found.named == [("a", "b", True), ("c", "a", False)]
    assert [photo.person for photo in found.photos] == ["anna", "anna", "ben"]
    assert found.problems == ["pairs:6: d has no labels", f"pairs:3: {MATED}", f"pairs:5: {NON_MATED}"]


# Against an oracle.


def oracle(
    given: Sequence[ListedPair], contents: Mapping[str, str], persons: Mapping[str, str] | None
) -> tuple[list[ListedPair], Counter[str]]:
    """Return the pairs that are kept, and the number of each kind of problem. `persons`: None where none are named."""
    problems: Counter[str] = Counter()
    groups: list[set[str]] = []

    def group_of(file: str) -> set[str]:
        content = contents.get(file, f"missing {file}")
        return next((group for group in groups if content in group), {content})

    def are_of_one_person(one: str, other: str) -> bool:
        if persons is not None:
            return persons[one] == persons[other]
        return group_of(one) & group_of(other) != set()

    for line in given:
        if line.mated:
            one, other = group_of(line.reference.file), group_of(line.probe.file)
            groups = [group for group in groups if group not in (one, other)] + [one | other]
    files = list(dict.fromkeys(file for line in given for file in (line.reference.file, line.probe.file)))
    problems["is not there"] = sum(file not in contents for file in files)
    kept: list[ListedPair] = []
    for line in given:
        both = [contents.get(one.file, "") for one in (line.reference, line.probe)]
        if "" in both:
            continue
        if both[0] == both[1]:
            problems["compared with itself"] += 1
        elif line.mated != are_of_one_person(line.reference.file, line.probe.file):
            problems["by the other labels"] += 1
        elif any({contents[before.reference.file], contents[before.probe.file]} == set(both) for before in kept):
            problems["again"] += 1
        else:
            kept.append(line)
    return kept, +problems


@pytest.mark.parametrize("keys_at_a_time", [listed.KEYS_AT_A_TIME, 5])
@pytest.mark.parametrize("has_names", [False, True])
def test_the_right_pairs_are_left_of_any_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_names: bool, keys_at_a_time: int
) -> None:
    monkeypatch.setattr(listed, "KEYS_AT_A_TIME", keys_at_a_time)
    monkeypatch.setattr(listed, "BLOCK_PAIRS", 5)
    seen: Counter[str] = Counter()
    kept_in_all = 0
    for seed in range(120):
        random_ = seeded(seed)
        persons = ["p", "q", "r", "s"][: random_.randint(1, 4)]
        names = [f"{random_.choice(persons)}/{number}" if has_names else str(number) for number in range(10)]
        contents = {name: str(random_.randrange(30)) for name in names if random_.random() < 0.9}
        given = [
            pair(line, *random_.choices(names, k=2), mated=random_.random() < 0.3)
            for line in range(2, 2 + random_.randint(0, 40))
        ]
        if has_names and random_.random() < 0.7:
            given = [
                pair(2 + at, one.reference.file, one.probe.file, mated=one.reference.person == one.probe.person)
                for at, one in enumerate(given)
            ]
        root = photo_files(tmp_path / str(seed) / "photos", contents)
        root.mkdir(parents=True, exist_ok=True)
        kept, expected = oracle(given, contents, {name: name[0] for name in names} if has_names else None)
        found = gathered(root, given)
        assert found.named == [(one.reference.file, one.probe.file, one.mated) for one in kept]
        assert found.files == [
            file
            for file in dict.fromkeys(file for one in given for file in (one.reference.file, one.probe.file))
            if any(file in (one.reference.file, one.probe.file) for one in kept)
        ]
        assert Counter({kind: sum(kind in text for text in found.problems) for kind in expected}) == expected
        assert len(found.problems) == expected.total()
        assert found.identities == numbered([str(identity) for identity in found.identities]).tolist()
        for one, other, mated, _ in rows(found.pairs):
            assert (found.identities[one] == found.identities[other]) == mated
        seen += expected
        kept_in_all += len(kept)
    kinds = {"is not there", "compared with itself", "by the other labels", "again"}
    assert set(seen) == kinds
    assert min(*seen.values(), kept_in_all) > 20


def test_a_list_of_many_blocks_is_checked_as_a_whole(tmp_path: Path) -> None:
    count = 300
    names = [f"p{number % 40}/{number}" for number in range(count)]
    root = photo_files(tmp_path / "photos", names)
    every = [(one, other) for one in range(count) for other in range(one)]
    again = [(other, one) for one, other in every[::10]]
    assert len(every) > BLOCK_PAIRS
    problems = Problems()
    photos, _, pairs = gather(
        (
            pair(line, names[one], names[other], mated=one % 40 == other % 40)
            for line, (one, other) in enumerate(every + again, start=2)
        ),
        Path("pairs"),
        root,
        tmp_path / "spool",
        problems,
        silent,
    )
    assert problems.count == len(again)
    assert told(problems)[:2] == [
        f"pairs:{len(every) + 2 + at}: is the pair of line {2 + 10 * at} again" for at in (0, 1)
    ]
    assert max(len(block) for block in pairs.blocks()) <= BLOCK_PAIRS
    files = [photo.file for photo in photos]
    assert [(files[one], files[other]) for one, other, _, _ in rows(pairs)] == [
        (names[one], names[other]) for one, other in every
    ]
    assert pairs.mated == sum(one % 40 == other % 40 for one, other in every)
    assert pairs.mated + pairs.non_mated == len(every)


def _listed_with_little_room(folder: Path) -> str:
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        gathered(folder, lines(*["a=b", "a/c", "b/d"] * 30))
    except OSError as error:
        return str(error.strerror)
    return ""


def test_a_full_disk_is_told(root: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_listed_with_little_room, (root,)) == "File too large"
