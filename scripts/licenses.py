"""`make check`: docs/licenses.md tells the licence of everything that a runtime installation takes, and it is allowed.

The lock says which packages and versions on which machines, their installed metadata which licences; licenses.toml says
the rest, and what a licence allows. What is written depends on the lock and on that file alone wherever the metadata
agrees with them, so it is the same on every machine. What is not installed here, the other machines check.
"""

import hashlib
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath

import click
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.utils import canonicalize_name

from face_engine.errors import WeightsMissingError
from face_engine.weights import weights_directory
from licence_facts import USES, BundledFact, Facts, PackageFact, Terms, Use, WeightsFact
from locked import ROOT, Package, export, locked

DOCUMENT = ROOT / "docs" / "licenses.md"
FACTS = ROOT / "scripts" / "licenses.toml"

# What the metadata of packages without an SPDX expression says, and means.
SPOKEN = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Boost Software License": "BSL-1.0",
    "MIT License": "MIT",
    "MIT license": "MIT",
}

USE_WORDS: Mapping[Use, str] = {"no": "**no**", "conditions": "yes, under conditions", "yes": "yes"}

Installed = Mapping[tuple[str, str], Distribution]
"""What is installed here, by normalised name and version."""


class UnknownLicenceError(Exception):
    """Nobody said which licence it is, or what it allows; the message tells what to do."""


@click.command()
@click.option("--write", is_flag=True, help="Write docs/licenses.md anew.")
def main(write: bool) -> None:
    """Check that docs/licenses.md is up to date, and that all it names may be used commercially."""
    facts = Facts.model_validate(tomllib.loads(FACTS.read_text()))
    packages, installed = locked(export()), by_version(distributions())
    tables, problems = made(packages, installed, facts)
    problems += wrong_bundles(packages, installed, facts.bundled) + wrong_weights(_weight_files(), facts.weights)
    document = DOCUMENT.read_text()
    if write:
        DOCUMENT.write_text(filled(document, tables))
    elif filled(document, tables) != document:
        problems.append("docs/licenses.md is out of date: .venv/bin/python scripts/licenses.py --write")
    print("\n".join(problems) or f"{len(packages)} packages, each with a licence that allows commercial use")
    sys.exit(bool(problems))


def by_version(found: Iterable[Distribution]) -> Installed:
    return {(canonicalize_name(distribution.name), distribution.version): distribution for distribution in found}


def made(packages: Sequence[Package], installed: Installed, facts: Facts) -> tuple[dict[str, str], list[str]]:
    """Return the document's tables by name, and what is wrong with the packages."""
    rows, problems, named = [], [], set()
    for package in packages:
        fact = facts.packages.get(package.name)
        try:
            licence = licence_of(package, installed, fact)
            use = use_of(licence, facts.terms)
        except UnknownLicenceError as error:
            problems.append(str(error))
            continue
        named |= set(_parts(licence))
        if use == "no" and not (fact and fact.accepted):
            problems.append(f"{package.name}: {licence} does not allow commercial use")
        remark = "; ".join(([f"`{package.marker}`"] if package.marker else []) + ([fact.source] if fact else []))
        rows.append((package.name, package.version, licence, USE_WORDS[use], remark))
    problems += [
        f"{name} is in licenses.toml, but no longer in the lock"
        for name in sorted(facts.packages.keys() - {package.name for package in packages})
    ]
    terms = [(spdx, USE_WORDS[it.use], it.condition) for spdx, it in sorted(facts.terms.items()) if spdx in named]
    weights = [(f"`{it.name}`", it.licence, USE_WORDS[it.use], it.remark, f"`{it.sha256}`") for it in facts.weights]
    bundled = [(it.package, ", ".join(it.versions), it.contents, it.notices) for it in facts.bundled]
    return {
        "terms": _table(("licence", "commercial use", "what it asks of who passes the product on"), terms),
        "packages": _table(("package", "version", "licence", "commercial use", "where; by which source"), rows),
        "weights": _table(("file", "licence", "commercial use", "for", "SHA-256"), weights),
        "bundled": _table(("package", "looked into", "brings", "notices in the package"), bundled),
    }, problems


def licence_of(package: Package, installed: Installed, fact: PackageFact | None) -> str:
    """Return a package's licence as an SPDX expression.

    Raises:
        UnknownLicenceError: neither its metadata nor licenses.toml tells, or they contradict each other.
    """
    here = installed.get((package.name, package.version))
    stated = stated_licence(here) if here else None
    if fact is None and not package.is_everywhere:
        raise UnknownLicenceError(f"{package.name} is not on every machine: its licence must be in licenses.toml")
    if fact is None and stated is None:
        reason = "tells no licence by a name that is known" if here else "is not installed"
        raise UnknownLicenceError(f"{package.name} {package.version} {reason}: add it to licenses.toml")
    if fact is None:
        return str(stated)
    if stated not in {None, fact.licence, fact.stated}:
        raise UnknownLicenceError(f"{package.name} states {stated}; licenses.toml has {fact.licence}: look again")
    return fact.licence


def stated_licence(distribution: Distribution) -> str | None:
    """Return the SPDX expression that a package's metadata states, in old words or new; None: in none that is known."""
    metadata = distribution.metadata
    stated = next((metadata[field] for field in ("License-Expression", "License") if field in metadata), "")
    try:
        return canonicalize_license_expression(SPOKEN.get(stated, stated))
    except InvalidLicenseExpression:
        return None


def use_of(licence: str, terms: Mapping[str, Terms]) -> Use:
    """Return what an SPDX expression allows: the worst of what is joined by AND, the best of a choice by OR.

    Raises:
        UnknownLicenceError: licenses.toml does not say what a part of it allows, or it has parentheses.
    """
    unknown = [part for part in _parts(licence) if part not in terms]
    if unknown:
        raise UnknownLicenceError(f"{licence}: licenses.toml does not say what {unknown[0]} allows")
    choices = [[USES.index(terms[part].use) for part in choice.split(" AND ")] for choice in licence.split(" OR ")]
    return USES[max(min(choice) for choice in choices)]


def _parts(licence: str) -> list[str]:
    return re.split(" AND | OR ", licence)


def wrong_bundles(packages: Sequence[Package], installed: Installed, facts: Sequence[BundledFact]) -> list[str]:
    """Return which packages bring libraries that nobody looked into, in the version that the lock has."""
    looked_into = {fact.package: fact.versions for fact in facts}
    gone = looked_into.keys() - {package.name for package in packages}
    problems = [f"{name} is in licenses.toml, but no longer in the lock" for name in sorted(gone)]
    for package in packages:
        here = installed.get((package.name, package.version))
        if package.name not in looked_into and here and any(_is_library(path) for path in here.files or ()):
            problems.append(f"{package.name} brings libraries of others: look into it and tell in licenses.toml")
        if package.version not in looked_into.get(package.name, [package.version]):
            problems.append(f"{package.name} {package.version}: look again at what it brings, for licenses.toml")
    return problems


def _is_library(path: PurePosixPath) -> bool:
    """Tell whether a file is a library of its own, which extension modules are not."""
    return path.suffix in {".dll", ".dylib"} or (path.name.startswith("lib") and ".so" in path.suffixes)


def wrong_weights(files: Iterable[Path], facts: Sequence[WeightsFact]) -> list[str]:
    """Return which weight files have no licence that is known, or are other files than those it was told of."""
    known = {fact.name: fact for fact in facts}
    problems = [f"{fact.name} may not be used commercially" for fact in facts if fact.use == "no" and not fact.accepted]
    for file in files:
        fact = known.get(file.name)
        if fact is None or hashlib.sha256(file.read_bytes()).hexdigest() != fact.sha256:
            problems.append(f"{file.name} is not the file that licenses.toml tells of: find out its licence")
    return problems


def _weight_files() -> list[Path]:
    try:
        return sorted(weights_directory().glob("*.dat"))
    except WeightsMissingError:
        return []


def filled(document: str, tables: Mapping[str, str]) -> str:
    """Return a document with each table between its marks, `<!-- made: NAME -->` and `<!-- end -->`."""
    for name, table in tables.items():
        begin, end = f"<!-- made: {name} -->", "<!-- end -->"
        if document.count(begin) != 1:
            raise ValueError(f"docs/licenses.md has {document.count(begin)} places for the table {name}")
        before, _, rest = document.partition(begin)
        document = f"{before}{begin}\n\n{table}\n{end}{rest.partition(end)[2]}"
    return document


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    main()
