"""Which sets the dashboard finds in its folder, and how it takes each to be laid out."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from face_dashboard.accuracy.labelled_sets import (
    LEADS_OUT,
    NO_LAYOUT,
    TWO_LISTS,
    Contents,
    contents,
    delete_set,
    find_set,
    list_sets,
)
from support.labelled import photo_files


@pytest.mark.parametrize(
    ("files", "layout", "images"),
    [
        (["ann/1.jpg", "bo/1.png"], "persons", "."),
        (["ann/1.jpg"], "persons", "."),
        (["images/ann/1.jpg", "images/bo/1.jpg"], "persons", "images"),
        (["images/1.jpg", "bo/1.jpg"], "persons", "."),  # somebody's folder is called so
        (["pairs.txt", "ann/ann_0001.jpg"], "lfw_pairs", "."),
        (["pairs.txt", "images/ann/ann_0001.jpg"], "lfw_pairs", "images"),
        (["pairs.csv", "1.jpg", "2.jpg"], "csv_pairs", "."),
        (["pairs.csv", "labels.csv", "images/1.jpg"], "csv_pairs", "images"),
        (["labels.csv", "images/1.jpg"], "labels", "images"),
        (["packed/ann/1.jpg", "packed/bo/1.jpg"], "persons", "packed"),
        (["packed/labels.csv", "packed/images/1.jpg"], "labels", "packed/images"),
        (["ann/old/1.jpg", "bo/1.jpg"], "persons", "."),
    ],
)
def test_the_layout_is_found(tmp_path: Path, files: Sequence[str], layout: str, images: str) -> None:
    photo_files(tmp_path / "new", files)
    found = find_set(tmp_path, "new")
    assert found is not None
    assert (found.layout, found.images, found.problem) == (layout, tmp_path / "new" / images, None)
    lists = {path.name for path in (found.pairs, found.labels) if path is not None}
    assert lists == {Path(file).name for file in files if file.endswith((".txt", ".csv"))}


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (["1.jpg", "2.jpg"], NO_LAYOUT),
        (["readme.txt"], NO_LAYOUT),
        (["pairs.txt", "pairs.csv", "ann/1.jpg"], TWO_LISTS),
    ],
)
def test_what_cannot_be_evaluated_says_why(tmp_path: Path, files: Sequence[str], problem: str) -> None:
    photo_files(tmp_path / "new", files)
    (found,) = list_sets(tmp_path)
    assert (found.layout, found.problem) == (None, problem)


def test_people_go_with_lfws_pairs(tmp_path: Path) -> None:
    photo_files(tmp_path / "lfw", ["pairs.txt", "people.txt", "ann/ann_0001.jpg"])
    found = find_set(tmp_path, "lfw")
    assert found is not None
    assert found.people == tmp_path / "lfw" / "people.txt"


def test_no_link_leads_out(tmp_path: Path) -> None:
    photo_files(tmp_path / "outside", ["ann/1.jpg", "secret.csv"])
    sets = tmp_path / "sets"
    photo_files(sets, ["one/ann/1.jpg", "two/ann/1.jpg"])
    (sets / "linked").symlink_to(tmp_path / "outside")
    (sets / "one" / "labels.csv").symlink_to(tmp_path / "outside" / "secret.csv")
    (sets / "two" / "labels.csv").write_text("file,person\n")
    (sets / "two" / "images").symlink_to(tmp_path / "outside")
    assert {one.name: one.problem for one in list_sets(sets)} == {"one": LEADS_OUT, "two": LEADS_OUT}
    assert find_set(sets, "linked") is None


@pytest.mark.parametrize("name", ["", ".", "..", "../sets/one", "/etc", ".hidden", "a b", "a/b", "x" * 65, "세트"])
def test_only_names_of_folders_are_looked_for(tmp_path: Path, name: str) -> None:
    photo_files(tmp_path / "sets", ["one/ann/1.jpg", ".hidden/ann/1.jpg"])
    assert find_set(tmp_path / "sets", name) is None
    delete_set(tmp_path / "sets", name)
    assert [one.name for one in list_sets(tmp_path / "sets")] == ["one"]


def test_there_may_be_no_folder_of_sets(tmp_path: Path) -> None:
    assert list_sets(tmp_path / "gone") == []


def test_photos_are_counted_and_a_set_deleted(tmp_path: Path) -> None:
    photo_files(tmp_path, ["new/ann/1.jpg", "new/ann/2.PNG", "new/bo/old/1.jpeg", "new/bo/.3.jpg", "new/cy/x.txt"])
    assert contents(tmp_path / "new") == Contents(photos=3, folders=2)
    delete_set(tmp_path, "new")
    assert list(tmp_path.iterdir()) == []
