import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_engine.evaluation import figures
from face_engine.evaluation.html import html_of
from face_engine.evaluation.photos_shown import SIDE, around, data_uri
from face_engine.images import decode
from support.evaluation import documents
from support.photos import jpeg, noise

SECTIONS = ["summary", "curves", "tables", "acquisition", "subgroups", "pairs", "latency", "problems", "manifest"]

ORIGINS = {"origin": ["north", "south"] * 6}

HOSTILE = "</script><script>alert(1)</script><img src=http://x onerror=alert(2)>"

GONE = "The photo cannot be read any more."

BOX = (40, 30, 79, 69)


class Page(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, its text, and what its scripts hold."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self._inside = ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style" and data.strip():
            self.texts.append(" ".join(data.split()))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def page_of(images: Path = Path("nowhere"), **options: Any) -> Page:
    return Page(html_of(*documents(**options), images))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """The photos of the made-up set, each with a red square around the box, on noise."""
    for number in range(36):
        path = tmp_path / f"person {number // 3}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        picture = noise(160, 120)
        picture[BOX[1] : BOX[3] + 1, BOX[0] : BOX[2] + 1] = [200, 0, 0]
        path.write_bytes(jpeg(picture))
    return tmp_path


def test_every_section_is_there_and_can_be_jumped_to() -> None:
    page = page_of(subgroups=ORIGINS)
    assert [attributes["id"] for attributes in page.all("section")] == SECTIONS
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    jumps = [attributes["href"].removeprefix("#") for attributes in page.all("a")]
    assert jumps == SECTIONS


def test_the_headline_is_told() -> None:
    results, manifest = documents(target_fmr=0.1)
    page = Page(html_of(results, manifest, Path("nowhere")))
    for text in (
        "36 photos of 12 persons (made-up templates): 36 mated and 594 non-mated pairs",
        "fake/1",
        "fake on cpu",
        manifest["finished"].replace("T", " ").replace("Z", " UTC"),
        f"{results['at_tolerance']['fmr']['count']} of 594 non-mated pairs matched",
        f"{results['at_tolerance']['fnmr']['count']} of 36 mated pairs did not match",
        f"{results['recommended']['tolerance']['value']:g}",
        "withheld: it takes 3,000 non-mated pairs, and 594 were compared",
        results["data_set"]["hash"],
        manifest["engine"]["source_sha256"],
    ):
        assert text in page.text


def test_every_figure_is_in_the_page_as_it_is_drawn() -> None:
    results, manifest = documents(subgroups=ORIGINS)
    page = Page(html_of(results, manifest, Path("nowhere")))
    drawn = json.loads(page.scripts[0])
    expected = {
        "det": figures.det(results),
        "roc": figures.roc(results),
        "rates": figures.rates_by_tolerance(results),
        "distances": figures.distances(results),
        "fnmr-at-fmr": figures.fnmr_at_fmr(results),
        "subgroup-0": figures.subgroups(results, "origin"),
        "latency": figures.latency(results),
    }
    assert drawn == {name: json.loads(figure.to_json()) for name, figure in expected.items()}
    places = [one["id"] for one in page.all("div") if one.get("class") == "plot"]
    assert places == [f"figure-{name}" for name in expected]


def test_nothing_is_loaded_from_anywhere(images: Path) -> None:
    page = page_of(images, subgroups=ORIGINS)
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert re.match(r"$|#|data:(image/jpeg;base64)?,", attributes.get(name, ""))
        assert not [name for name in attributes if name.startswith("on")]
    assert not [tag for tag, _ in page.elements if tag in {"iframe", "object", "embed", "base", "form"}]
    assert not [one for one in page.all("link") if one["rel"] != "icon"]


def test_no_figure_can_be_uploaded_to_its_librarys_maker() -> None:
    page = html_of(*documents(), Path("images")).decode()
    assert "showSendToCloud: false" in page
    assert 'plotlyServerURL: ""' in page


def test_the_policy_lets_the_pages_own_scripts_run_and_nothing_else() -> None:
    page = page_of()
    (policy,) = [one["content"] for one in page.all("meta") if "http-equiv" in one]
    directives = dict(one.split(" ", 1) for one in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert set(directives) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    assert directives["img-src"] == "data: blob:"
    figures_json, plotly, script = page.scripts
    assert page.all("script")[0]["type"] == "application/json"
    assert json.loads(figures_json)
    assert plotly.lstrip().startswith("/**\n* plotly.js")
    assert directives["script-src"].split() == [
        f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in (plotly, script)
    ]


def test_the_same_documents_give_the_same_bytes(images: Path) -> None:
    results, manifest = documents(subgroups=ORIGINS)
    assert html_of(results, manifest, images) == html_of(results, manifest, images)


def test_names_of_the_set_are_text_wherever_they_stand() -> None:
    names = [HOSTILE.replace("/", "_"), *(f"person {number}" for number in range(11))]
    results, manifest = documents(
        names=names, subgroups={HOSTILE: [HOSTILE, "other"] * 6}, problems=[HOSTILE], target_fmr=0.1
    )
    for pair in [*results["worst"]["false_matches"], *results["worst"]["false_non_matches"]]:
        pair["photos"][0] |= {"person": HOSTILE, "file": HOSTILE}
    results["settings"]["encoder_id"] = results["data_set"]["name"] = results["data_set"]["form"] = HOSTILE
    results["acquisition"]["fte"]["reasons"] = {HOSTILE: 1}
    manifest["command"] = ["face-engine", HOSTILE]
    manifest["versions"] = {HOSTILE: HOSTILE}
    page = Page(html_of(results, manifest, Path("nowhere")))
    assert len(page.scripts) == 3
    assert not page.all("img")
    assert page.text.count(HOSTILE) > 20
    assert json.loads(page.scripts[0])
    assert "<" not in page.scripts[0]


def test_worst_pairs_show_both_faces(images: Path) -> None:
    results, manifest = documents()
    page = Page(html_of(results, manifest, images))
    pairs = [*results["worst"]["false_matches"], *results["worst"]["false_non_matches"]]
    assert len(pairs) == 8
    shown = page.all("img")
    assert [one["alt"] for one in shown] == [photo["person"] for pair in pairs for photo in pair["photos"]]
    for one in shown:
        picture = decode(base64.b64decode(one["src"].removeprefix("data:image/jpeg;base64,")))
        assert picture.shape == (SIDE, SIDE, 3)
        middle = picture[SIDE // 2 - 20 : SIDE // 2 + 20, SIDE // 2 - 20 : SIDE // 2 + 20].reshape(-1, 3).mean(axis=0)
        assert middle == pytest.approx([200, 0, 0], abs=12)
    for pair in pairs:
        assert f"distance {pair['distance']:g}" in page.text
        for photo in pair["photos"]:
            assert photo["file"] in page.text


def test_worst_pairs_say_which_are_errors() -> None:
    results, manifest = documents()
    page = Page(html_of(results, manifest, Path("nowhere")))
    near = [pair["is_error"] for pair in results["worst"]["false_matches"]]
    assert True in near
    assert False in near
    assert page.texts.count("false match") == near.count(True)
    assert page.texts.count("right, though near") == near.count(False)
    far = [pair["is_error"] for pair in results["worst"]["false_non_matches"]]
    assert page.texts.count("false non-match") == far.count(True)
    assert page.texts.count("right, though far") == far.count(False)


def test_a_photo_that_cannot_be_read_any_more_is_said_to_be(images: Path) -> None:
    results, manifest = documents()
    assert GONE not in Page(html_of(results, manifest, images)).texts
    gone, corrupt, folder, outside = (pair["photos"][0] for pair in results["worst"]["false_matches"])
    (images / gone["file"]).unlink()
    corrupt["file"] = "corrupt.jpg"
    (images / "corrupt.jpg").write_bytes(b"\xff\xd8\xff nothing")
    folder["file"] = "person 0"
    (images.parent / "outside.jpg").write_bytes(jpeg(noise(160, 120)))
    outside["file"] = "../outside.jpg"
    page = Page(html_of(results, manifest, images))
    assert page.texts.count(GONE) >= 4


@pytest.mark.parametrize(
    "options",
    [
        {"photos_each": 1},
        {"names": ("one",), "photos_each": 6},
        {"without_face": range(36)},
        {"within": 0.05},
        {"problems": [f"problem {number}" for number in range(30)], "target_fmr": 1e-6},
    ],
    ids=["no mated pairs", "no non-mated pairs", "no templates", "apart", "problems"],
)
def test_a_set_that_lacks_something_has_a_page(options: dict[str, Any]) -> None:
    page = page_of(**options)
    assert [attributes["id"] for attributes in page.all("section")] == SECTIONS
    assert "None" not in page.text.replace("None: every photo and every pair that the set names was used.", "")
    assert "nan" not in page.text.split()


def test_problems_are_listed() -> None:
    page = page_of(problems=["first", "second"])
    assert "a list:1: first a list:1: second" in page.text
    assert "2 problems were skipped in the set" in page.text


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((40, 30, 79, 69), (68, 68)),
        ((0, 0, 39, 39), (68, 68)),
        ((120, 80, 159, 119), (68, 68)),
        ((-20, -20, 19, 19), (68, 68)),
        ((10, 10, 109, 109), (120, 160)),
        ((0, 0, 0, 0), (2, 2)),
        ((160, 10, 199, 49), (0, 0)),
        ((10, -40, 49, -1), (0, 0)),
        ((50, 50, 40, 60), (0, 0)),
    ],
)
def test_the_square_around_a_box_lies_in_the_photo(box: tuple[int, ...], shape: tuple[int, int]) -> None:
    assert around(noise(160, 120), box).shape[:2] == shape


def test_what_is_around_a_box_is_of_the_photo() -> None:
    picture = noise(160, 120)
    assert np.array_equal(around(picture, (40, 30, 79, 69)), picture[16:84, 26:94])


def test_a_face_beyond_the_photo_is_not_shown(images: Path) -> None:
    assert data_uri(images, "person 0/0.jpg", BOX)
    assert data_uri(images, "person 0/0.jpg", (500, 500, 540, 540)) is None
    assert data_uri(images, "person 0/\0.jpg", BOX) is None
