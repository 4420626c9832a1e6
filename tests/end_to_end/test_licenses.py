"""The check of licences: what is unknown, forbidden, or not what was written down does not pass."""

import hashlib
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest
from click.testing import CliRunner

import licenses
from licence_facts import BundledFact, Facts, PackageFact, Terms, WeightsFact
from licenses import (
    Installed,
    UnknownLicenceError,
    by_version,
    filled,
    licence_of,
    made,
    use_of,
    wrong_bundles,
    wrong_weights,
)
from locked import ROOT, Package, locked

TERMS = {
    "MIT": Terms(use="yes", condition="pass on its notice"),
    "LGPL-3.0-only": Terms(use="conditions", condition="let it be replaced"),
    "CC-BY-NC-4.0": Terms(use="no", condition="no commercial use"),
}
PACKAGE = Package("some-package", "1.0")
ONLY_ON_WINDOWS = Package("some-package", "1.0", "sys_platform == 'win32'")

Install = Callable[..., Installed]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Install some_package 1.0 with these lines of metadata and these files; return all that is installed."""

    def install(*lines: str, files: tuple[str, ...] = ()) -> Installed:
        folder = tmp_path / "some_package-1.0.dist-info"
        folder.mkdir()
        head = ("Metadata-Version: 2.4", "Name: some_package", "Version: 1.0", *lines)
        (folder / "METADATA").write_text("\n".join(head))
        (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        return by_version(distributions(path=[str(tmp_path)]))

    return install


def facts(**packages: PackageFact) -> Facts:
    named = {name.replace("_", "-"): fact for name, fact in packages.items()}
    return Facts(terms=TERMS, packages=named, weights=[], bundled=[])


def fact(licence: str, stated: str | None = None, accepted: str | None = None) -> PackageFact:
    return PackageFact(licence=licence, source="its LICENSE", stated=stated, accepted=accepted)


def test_this_lock_and_this_document_pass() -> None:
    result = CliRunner().invoke(licenses.main)
    assert result.exit_code == 0, result.output


def test_a_document_that_is_out_of_date_does_not_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "licenses.md"
    stale.write_text(licenses.DOCUMENT.read_text().replace("| starlette |", "| starlet |"))
    monkeypatch.setattr(licenses, "DOCUMENT", stale)
    result = CliRunner().invoke(licenses.main)
    assert (result.exit_code, "out of date" in result.output) == (1, True), result.output
    CliRunner().invoke(licenses.main, ["--write"])
    assert stale.read_text() == (ROOT / "docs" / "licenses.md").read_text()


@pytest.mark.parametrize(
    "line", ["License-Expression: MIT", "License-Expression: mit", "License: MIT", "License: MIT License"]
)
def test_a_licence_is_read_from_metadata_old_and_new(install: Install, line: str) -> None:
    assert licence_of(PACKAGE, install(line), None) == "MIT"


@pytest.mark.parametrize(
    "lines", [(), ("License: see the file",), ("Classifier: License :: OSI Approved :: BSD License",)]
)
def test_a_package_without_a_known_licence_does_not_pass(install: Install, lines: tuple[str, ...]) -> None:
    _, problems = made([PACKAGE], install(*lines), facts())
    assert problems == ["some-package 1.0 tells no licence by a name that is known: add it to licenses.toml"]


def test_a_licence_of_which_nobody_said_what_it_allows_does_not_pass(install: Install) -> None:
    _, problems = made([PACKAGE], install("License-Expression: AGPL-3.0-only"), facts())
    assert problems == ["AGPL-3.0-only: licenses.toml does not say what AGPL-3.0-only allows"]


def test_no_commercial_use_passes_only_with_a_reason(install: Install) -> None:
    installed = install("License-Expression: CC-BY-NC-4.0")
    _, problems = made([PACKAGE], installed, facts())
    assert problems == ["some-package: CC-BY-NC-4.0 does not allow commercial use"]
    tables, problems = made([PACKAGE], installed, facts(some_package=fact("CC-BY-NC-4.0", accepted="never opened")))
    assert (problems, "| CC-BY-NC-4.0 | **no** |" in tables["packages"]) == ([], True)


def test_metadata_that_contradicts_what_was_written_down_does_not_pass(install: Install) -> None:
    installed = install("License: MIT")
    with pytest.raises(UnknownLicenceError, match="look again"):
        licence_of(PACKAGE, installed, fact("LGPL-3.0-only"))
    assert licence_of(PACKAGE, installed, fact("LGPL-3.0-only", stated="MIT")) == "LGPL-3.0-only"


def test_what_only_some_machines_have_is_judged_alike_on_all(install: Install) -> None:
    for installed in ({}, install("License: MIT")):
        with pytest.raises(UnknownLicenceError, match="not on every machine"):
            licence_of(ONLY_ON_WINDOWS, installed, None)
        assert licence_of(ONLY_ON_WINDOWS, installed, fact("MIT")) == "MIT"


def test_another_version_than_the_locks_tells_nothing(install: Install) -> None:
    with pytest.raises(UnknownLicenceError, match="is not installed"):
        licence_of(Package("some-package", "2.0"), install("License: MIT"), None)


def test_what_is_written_down_and_no_longer_locked_does_not_pass() -> None:
    assert made([], {}, facts(gone=fact("MIT")))[1] == ["gone is in licenses.toml, but no longer in the lock"]


@pytest.mark.parametrize(
    ("licence", "use"),
    [
        ("MIT", "yes"),
        ("MIT AND LGPL-3.0-only", "conditions"),
        ("MIT OR CC-BY-NC-4.0", "yes"),
        ("LGPL-3.0-only OR MIT AND CC-BY-NC-4.0", "conditions"),
        ("MIT AND CC-BY-NC-4.0", "no"),
    ],
)
def test_all_of_what_is_joined_holds_and_one_of_a_choice(licence: str, use: str) -> None:
    assert use_of(licence, TERMS) == use


def test_parentheses_are_for_a_person() -> None:
    with pytest.raises(UnknownLicenceError):
        use_of("(MIT OR LGPL-3.0-only) AND MIT", TERMS)


@pytest.mark.parametrize("file", ["some_package.libs/libavcodec-1a2b.so.62.28", "nvidia/bin/cudart64.dll"])
def test_libraries_into_which_nobody_looked_do_not_pass(install: Install, file: str) -> None:
    installed = install("License: MIT", files=("some_package/core.cpython-311-x86_64-linux-gnu.so", file))
    assert wrong_bundles([PACKAGE], installed, []) == [
        "some-package brings libraries of others: look into it and tell in licenses.toml"
    ]
    looked_into = BundledFact(package="some-package", versions=["1.0"], contents="FFmpeg", notices="none")
    assert wrong_bundles([PACKAGE], installed, [looked_into]) == []
    assert wrong_bundles([Package("some-package", "2.0")], installed, [looked_into]) == [
        "some-package 2.0: look again at what it brings, for licenses.toml"
    ]


def test_extension_modules_are_a_packages_own(install: Install) -> None:
    installed = install("License: MIT", files=("some_package/core.cpython-311-x86_64-linux-gnu.so",))
    assert wrong_bundles([PACKAGE], installed, []) == []


def test_a_weight_file_that_is_not_written_down_does_not_pass(tmp_path: Path) -> None:
    file = tmp_path / "a.dat"
    file.write_bytes(b"weights")
    known = WeightsFact(
        name="a.dat", sha256=hashlib.sha256(b"weights").hexdigest(), licence="CC0-1.0", use="yes", remark="detection"
    )
    assert wrong_weights([file], [known]) == []
    assert wrong_weights([], [known]) == []
    file.write_bytes(b"other weights")
    for written_down in ([known], []):
        assert wrong_weights([file], written_down) == [
            "a.dat is not the file that licenses.toml tells of: find out its licence"
        ]


def test_a_weight_file_for_research_passes_only_with_a_reason() -> None:
    file = WeightsFact(name="a.dat", sha256="", licence="research only", use="no", remark="detection")
    assert wrong_weights([], [file]) == ["a.dat may not be used commercially"]
    assert wrong_weights([], [file.model_copy(update={"accepted": "never opened"})]) == []


def test_the_lock_is_read_for_all_machines_but_those_that_there_are_none_of() -> None:
    pylock = """
    [[packages]]
    name = "everywhere"
    version = "1"
    [[packages]]
    name = "old"
    version = "1"
    marker = "python_full_version < '3.11.3'"
    [[packages]]
    name = "nowhere"
    version = "1"
    marker = "sys_platform == 'emscripten'"
    """
    everywhere, old = locked(pylock)
    assert (everywhere.is_everywhere, old.name, old.is_everywhere) == (True, "old", False)


def test_a_table_without_a_place_is_no_document() -> None:
    assert filled("a\n<!-- made: t -->\nold\n<!-- end -->\nz", {"t": "| new |\n"}) == (
        "a\n<!-- made: t -->\n\n| new |\n\n<!-- end -->\nz"
    )
    with pytest.raises(ValueError, match="0 places"):
        filled("a", {"t": "| new |\n"})


def test_every_package_of_the_product_brings_the_licence() -> None:
    licence = (ROOT / "LICENSE").read_bytes()
    for pyproject in sorted(ROOT.glob("packages/*/pyproject.toml")):
        assert (pyproject.parent / "LICENSE").read_bytes() == licence
        assert 'license = "Apache-2.0"\nlicense-files = ["LICENSE"]\n' in pyproject.read_text()
