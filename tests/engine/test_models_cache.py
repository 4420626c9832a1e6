import hashlib
import logging
import multiprocessing
import os
import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import onnx
import pytest

from face_engine.networks import cache as cache_module
from face_engine.networks import models
from face_engine.networks.models import DetectorModels, load_detector, load_encoder
from face_engine.networks.onnx_writer import write_plane_model
from face_engine.weights import DETECTOR, ENCODER


@pytest.fixture(scope="module")
def encoder_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the encoder; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("encoder") / "networks"
    load_encoder(folder)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache that holds the detector."""
    folder = tmp_path / "networks"
    load_detector(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def file(folder: Path, part: str, suffix: str = ".onnx") -> Path:
    (found,) = folder.glob(f"*-{part}-*{suffix}")
    return found


def forbid_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(*_args: object, **_keywords: object) -> bytes:
        raise AssertionError("it is in the cache, and was converted again")

    monkeypatch.setattr(models, "write_plane_model", convert)
    monkeypatch.setattr(models, "write_chip_model", convert)


def count_conversions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    converted = []

    def counted(*args: object, **keywords: object) -> bytes:
        converted.append("plane")
        return write_plane_model(*args, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(models, "write_plane_model", counted)
    return converted


def test_the_detector_is_kept_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_detector(tmp_path / "networks")
    forbid_conversion(monkeypatch)
    second = load_detector(tmp_path / "networks")
    assert (second.stem, second.head) == (first.stem, first.head)
    assert first.stem != first.head
    assert second.parameters.rules.window_wh == first.parameters.rules.window_wh == (80, 80)


def test_the_encoder_is_kept_and_found_again(encoder_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_conversion(monkeypatch)
    assert load_encoder(encoder_cache) == file(encoder_cache, "whole").read_bytes()


def test_without_a_folder_the_users_cache_is_taken(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_conversion(monkeypatch)
    monkeypatch.setattr(cache_module, "cache_folder", lambda: cache)
    assert load_detector().stem == file(cache, "stem").read_bytes()


def test_the_users_cache_is_a_folder_of_this_program() -> None:
    folder = cache_module.cache_folder()
    assert folder is not None
    assert folder.is_absolute()
    assert "face-engine" in folder.parts


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(_name: str) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache_module, "user_cache_path", homeless)
    assert cache_module.cache_folder() is None
    assert load_detector().stem


@pytest.mark.parametrize("mode", [0o666, 0o620])
def test_a_model_that_others_could_have_written_is_made_again(cache: Path, mode: int) -> None:
    planted = b"planted"
    path = file(cache, "stem")
    good = path.read_bytes()
    path.write_bytes(planted)
    path.with_suffix(".onnx.sha256").write_text(hashlib.sha256(planted).hexdigest())
    path.chmod(mode)
    assert load_detector(cache).stem == good
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_name_says_which_weights_part_and_converter(cache: Path, encoder_cache: Path) -> None:
    version = f"v{cache_module.CONVERTER_VERSION}"
    names = {path.name.removesuffix(".sha256") for folder in (cache, encoder_cache) for path in folder.iterdir()}
    assert names == {
        f"mmod_human_face_detector-{DETECTOR.sha256[:12]}-stem-{version}.onnx",
        f"mmod_human_face_detector-{DETECTOR.sha256[:12]}-head-{version}.onnx",
        f"dlib_face_recognition_resnet_model_v1-{ENCODER.sha256[:12]}-whole-{version}.onnx",
    }


def test_another_converter_makes_models_of_its_own(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(cache)
    monkeypatch.setattr(cache_module, "CONVERTER_VERSION", cache_module.CONVERTER_VERSION + 1)
    load_detector(cache)
    after = contents(cache)
    assert len(after) == 2 * len(before)
    assert before.items() <= after.items()


def test_beside_each_model_lies_its_sha256(cache: Path, encoder_cache: Path) -> None:
    for path in (file(cache, "stem"), file(cache, "head"), file(encoder_cache, "whole")):
        digest = path.with_name(path.name + ".sha256").read_text()
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_models_are_valid_onnx(cache: Path, encoder_cache: Path) -> None:
    for path in (file(cache, "stem"), file(cache, "head"), file(encoder_cache, "whole")):
        onnx.checker.check_model(onnx.load_model_from_string(path.read_bytes()), full_check=True)


@pytest.mark.skipif(os.name != "posix", reason="owner and others are POSIX's")
def test_only_the_owner_may_read_the_cache(cache: Path) -> None:
    assert cache.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in cache.iterdir()} == {0}


def test_the_folders_above_the_cache_are_made_too(tmp_path: Path) -> None:
    load_detector(tmp_path / "user" / "cache" / "networks")
    assert len(contents(tmp_path / "user" / "cache" / "networks")) == 4


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def digest_of(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit of the model flipped": flip_a_bit,
    "the model cut off": cut_off,
    "the model emptied": empty,
    "something behind the model": lengthen,
    "the model missing": Path.unlink,
    "the digest missing": lambda path: digest_of(path).unlink(),
    "the digest emptied": lambda path: empty(digest_of(path)),
    "another digest": lambda path: digest_of(path).write_text("0" * 64),
    "a digest that is not text": lambda path: digest_of(path).write_bytes(b"\xff\xfe\0\x80"),
    "the digest of another model": lambda path: digest_of(path).write_text(hashlib.sha256(b"").hexdigest()),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("part", ["stem", "head"])
def test_what_is_damaged_is_made_again(part: str, damage: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(cache)
    DAMAGES[damage](file(cache, part))
    assert contents(cache) != before
    converted = count_conversions(monkeypatch)
    found = load_detector(cache)
    assert len(converted) == 1  # the other part was not damaged
    assert found.stem == before[file(cache, "stem").name]
    assert found.head == before[file(cache, "head").name]
    assert contents(cache) == before
    forbid_conversion(monkeypatch)
    load_detector(cache)


def test_a_damaged_encoder_is_made_again(encoder_cache: Path, tmp_path: Path) -> None:
    cache = tmp_path / "networks"
    shutil.copytree(encoder_cache, cache)
    flip_a_bit(file(cache, "whole"))
    assert load_encoder(cache) == file(encoder_cache, "whole").read_bytes()
    assert contents(cache) == contents(encoder_cache)


def test_a_damage_is_logged_and_a_first_use_is_not(
    cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load_detector(tmp_path / "another")
    assert not caplog.records
    flip_a_bit(file(cache, "head"))
    load_detector(cache)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "damaged" in record.getMessage()
    assert str(file(cache, "head")) in record.getMessage()


def test_a_cache_that_cannot_be_made_is_done_without(
    cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    found = load_detector(tmp_path / "file" / "networks")
    assert found.stem == file(cache, "stem").read_bytes()
    assert found.head == file(cache, "head").read_bytes()
    assert len(caplog.records) == 2
    assert all("cannot be kept" in record.getMessage() for record in caplog.records)


def test_a_cache_that_is_a_file_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "networks").write_text("no folder")
    assert isinstance(load_detector(tmp_path / "networks"), DetectorModels)
    assert (tmp_path / "networks").read_text() == "no folder"


@pytest.mark.parametrize("suffix", [".onnx", ".onnx.sha256"])
def test_a_folder_in_a_models_place_is_left_alone(suffix: str, cache: Path) -> None:
    before = contents(cache)
    model = file(cache, "stem").name
    stem = file(cache, "stem", suffix)
    stem.unlink()
    stem.mkdir()
    assert load_detector(cache).stem == before[model]
    assert stem.is_dir()
    assert {path.name for path in cache.iterdir()} == before.keys()


def test_a_full_disk_leaves_no_half_written_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert isinstance(load_detector(tmp_path / "networks"), DetectorModels)
    assert contents(tmp_path / "networks") == {}
    assert "No space left on device" in caplog.text


def test_whoever_stops_the_conversion_leaves_no_half_written_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_detector(tmp_path / "networks")
    assert contents(tmp_path / "networks") == {}


def test_two_processes_that_convert_at_once_get_and_keep_the_same(tmp_path: Path, encoder_cache: Path) -> None:
    cache = tmp_path / "networks"
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2, timeout=120)
    with ProcessPoolExecutor(2, context, initializer=barrier.wait) as processes:
        loaded = [processes.submit(load_encoder, cache) for _ in range(2)]
        encoders = [task.result() for task in loaded]
    assert encoders == [file(encoder_cache, "whole").read_bytes()] * 2
    assert contents(cache) == contents(encoder_cache)


def test_two_processes_that_mend_a_detector_at_once_get_and_keep_the_same(cache: Path) -> None:
    before = contents(cache)
    for part in ("stem", "head"):
        cut_off(file(cache, part))
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2, timeout=120)
    with ProcessPoolExecutor(2, context, initializer=barrier.wait) as processes:
        loaded = [processes.submit(load_detector, cache) for _ in range(2)]
        for task in loaded:
            assert task.result().stem == before[file(cache, "stem").name]
            assert task.result().head == before[file(cache, "head").name]
    assert contents(cache) == before
