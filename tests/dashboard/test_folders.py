"""Folders by their names, and what is left of a process that was killed."""

from pathlib import Path

from face_dashboard.folders import is_within, remove_leftovers, subfolder, subfolders
from support.labelled import photo_files


def test_folders_are_found_by_plain_names_alone(tmp_path: Path) -> None:
    photo_files(tmp_path, ["b/1", "a.b/1", ".hidden/1", "with blank/1", "file"])
    (tmp_path / "link").symlink_to(tmp_path / "b")
    assert [path.name for path in subfolders(tmp_path)] == ["a.b", "b"]
    assert subfolder(tmp_path, "b") == tmp_path / "b"
    for name in ("file", "link", "gone", "..", "b/..", "", "b\0"):
        assert subfolder(tmp_path, name) is None


def test_links_are_followed_to_tell_what_lies_within(tmp_path: Path) -> None:
    photo_files(tmp_path, ["in/1", "out/1"])
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    assert is_within(tmp_path / "in" / "1", tmp_path / "in")
    assert not is_within(tmp_path / "in" / "link" / "1", tmp_path / "in")
    assert not is_within(tmp_path / "in" / ".." / "out", tmp_path / "in")


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    photo_files(tmp_path, [".unpacking-x/1.jpg", ".removing-y/1.jpg", "kept/1.jpg", ".other/1.jpg"])
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"kept", ".other"}
    remove_leftovers(tmp_path / "gone")
