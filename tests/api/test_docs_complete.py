"""docs/api.md and docs/api.ko.md say the same, leave nothing out, and name nothing that is not there.

Their examples are run by tests/end_to_end/test_api_docs.py.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from starlette.testclient import TestClient

from face_api.access import KEY_HEADER
from face_api.app import create_app
from face_api.middleware import ALIVE_PATH, METRICS_PATH, READY_PATH
from face_api.problems import PROBLEMS
from face_api.responses import result_of
from face_api.routes.door import MAX_JSON_BYTES
from face_api.routes.spec import ANALYSIS_PATH, ENROLLMENT_PATH
from face_api.routes.v1.schemas import MAX_BUCKETS, MAX_PAGE
from face_api.settings import PREFIX, Settings
from face_engine.quality import MAX_BRIGHTNESS, MAX_TURN, MIN_BRIGHTNESS, MIN_INSIDE, MIN_SHARPNESS, MIN_SIZE
from face_engine.types import QualityReason
from support.api_docs import ENGLISH, KOREAN, code_blocks
from support.fakes import FakeAnalyser

DASH = "—"

# Where they never occur: v1 has no size band, and its names are in the path; nobody is there to be answered.
NOT_IN_V1 = {"company_missing", "id_missing", "image_too_small", "image_too_large", "caller_gone"}
NOT_IN_THE_CONTRACT = {
    "json_invalid",
    "query_invalid",
    "cursor_invalid",
    "idempotency_key_invalid",
    "idempotency_key_reused",
    "idempotency_key_in_use",
    "admin_required",
    "company_unregistered",
    "enrollment_unknown",
    "image_not_kept",
    "key_unknown",
    "decision_fixed",
    "encoder_mismatch",
    "caller_gone",
}
ENDINGS = {"enrolled", "already_enrolled", "compared", "replayed"}

Json = dict[str, Any]

both = pytest.mark.parametrize("document", [ENGLISH, KOREAN], ids=lambda path: path.name)


@pytest.fixture(scope="module")
def openapi(tmp_path_factory: pytest.TempPathFactory) -> Json:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), auth="keys")
    with TestClient(create_app(settings, FakeAnalyser())) as client:
        answer: Json = client.get("/openapi.json").json()
    return answer


def prose(document: Path) -> str:
    """Return the page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def rows(document: Path, columns: int) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables with so many columns."""
    for line in prose(document).splitlines():
        if line.startswith("|") and not line.startswith("|-"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if len(cells) == columns:
                yield cells


def headings(document: Path) -> list[str]:
    return re.findall(r"^#+ .+$", prose(document), re.MULTILINE)


def slug(heading: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-")


def test_both_have_the_same_code_blocks_and_sections() -> None:
    assert code_blocks(KOREAN) == code_blocks(ENGLISH)
    levels = [[heading.split()[0] for heading in headings(document)] for document in (ENGLISH, KOREAN)]
    assert levels[0] == levels[1]


@both
def test_every_reason_is_in_the_table_with_what_it_is_answered(document: Path) -> None:
    table = {
        cells[0].strip("`"): (cells[1], cells[2])
        for cells in rows(document, 4)
        if re.fullmatch(rf"[45]\d\d|{DASH}", cells[1])
    }
    expected = {reason: (_in_v1(reason), _in_the_contract(reason)) for reason in PROBLEMS}
    assert table == expected


def _in_v1(reason: str) -> str:
    return DASH if reason in NOT_IN_V1 else str(PROBLEMS[reason][0])


def _in_the_contract(reason: str) -> str:
    if reason in NOT_IN_THE_CONTRACT:
        return DASH
    status = PROBLEMS[reason][0]
    is_none_of_its_outcomes = status in {401, 403, 405, 429} or status >= 500
    if is_none_of_its_outcomes or reason in {"path_unknown", "http_invalid", "head_timeout"}:
        return str(status)
    return f"200 `{result_of(reason)}`"


@both
def test_every_operation_is_named(document: Path, openapi: Json) -> None:
    named = set(re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`]*)`", prose(document)))
    operations = {f"{method.upper()} {path}" for path, methods in openapi["paths"].items() for method in methods}
    others = {f"GET {path}" for path in (ALIVE_PATH, READY_PATH, METRICS_PATH)}
    assert named == operations | others
    assert {f"POST {path}/" for path in (ENROLLMENT_PATH, ANALYSIS_PATH)} < named


@both
def test_every_member_parameter_and_header_is_told_of(document: Path, openapi: Json) -> None:
    text = document.read_text(encoding="utf-8")
    schemas: Mapping[str, Json] = openapi["components"]["schemas"]
    members = {name for schema in schemas.values() for name in schema.get("properties", {})}
    operations = [operation for methods in openapi["paths"].values() for operation in methods.values()]
    parameters = {parameter["name"] for operation in operations for parameter in operation["parameters"]}
    headers = {*openapi["components"]["headers"], KEY_HEADER}
    assert members > {"distance", "next_cursor"}
    assert {name for name in members if not re.search(rf"[`\"]{name}[`\"]", text)} == set()
    assert {name for name in parameters if not re.search(rf"[`{{&?\"]{name}[`}}=:]", text)} == set()
    assert {name for name in headers if name not in text} == set()


@both
def test_every_good_ending_is_told_of(document: Path) -> None:
    assert {reason for reason in ENDINGS if f"`{reason}`" not in prose(document)} == set()


@both
def test_the_quality_gate_is_the_engines(document: Path) -> None:
    told = {cells[0].strip("`"): cells[1] for cells in rows(document, 4) if re.match(r"`\w+` [<>] ", cells[1])}
    assert told == {
        "face_too_small": f"`size` < {MIN_SIZE:g}",
        "face_blurred": f"`sharpness` < {MIN_SHARPNESS:g}",
        "face_too_dark": f"`brightness` < {MIN_BRIGHTNESS:g}",
        "face_too_bright": f"`brightness` > {MAX_BRIGHTNESS:g}",
        "face_turned": f"`turn` > {MAX_TURN:g}",
        "face_cut": f"`inside` < {MIN_INSIDE:g}",
    }
    assert told.keys() == set(get_args(QualityReason))


@both
def test_every_setting_exists_and_has_the_default_that_is_told(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    settings = {PREFIX + name.upper(): field for name, field in Settings.model_fields.items()}
    assert set(re.findall(rf"{PREFIX}[A-Z_]+", text)) <= settings.keys()
    told = {cells[0].strip("`"): cells[1] for cells in rows(document, 4) if cells[0].startswith(f"`{PREFIX}")}
    assert told.keys() >= {f"{PREFIX}LIMIT_PER_USER", f"{PREFIX}MAX_QUEUE"}
    depends = f"{PREFIX}MAX_QUEUE"
    defaults = {
        name: f"{settings[name].default:g}" if name.endswith("_S") else str(settings[name].default) for name in told
    }
    assert told | {depends: ""} == defaults | {depends: ""}


@both
def test_the_bounds_are_those_of_the_code(document: Path) -> None:
    settings = Settings()
    bounds = {settings.min_image_bytes, settings.max_image_bytes, settings.max_message_bytes}
    bounds |= {MAX_JSON_BYTES, MAX_PAGE, MAX_BUCKETS}
    assert {bound for bound in bounds if f"{bound:,}" not in prose(document)} == set()


@both
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose(document))
    assert links
    for name, anchor in links:
        target = document.with_name(name) if name else document
        assert target.is_file(), name
        assert not anchor or anchor in map(slug, headings(target)), f"{name}#{anchor}"
