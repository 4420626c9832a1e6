import re
from pathlib import Path

import pytest

from face_api.settings import PREFIX, Settings, SettingsError, load_settings

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def test_the_defaults_are_the_specifications() -> None:
    settings = load_settings()
    assert (settings.min_image_bytes, settings.max_image_bytes, settings.max_message_bytes) == (
        300_000,
        512_000,
        1_024_000,
    )
    assert (settings.tolerance, settings.references_per_user, settings.image_types) == (0.6, 5, ("jpeg", "png"))
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)


def test_the_environment_is_read_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE_API_TOLERANCE", "0.5")
    monkeypatch.setenv("FACE_API_IMAGE_TYPES", "png, jpeg")
    monkeypatch.setenv("FACE_API_PORT", "9000")
    settings = load_settings({"port": 9001})
    assert (settings.tolerance, settings.image_types, settings.port) == (0.5, ("png", "jpeg"), 9001)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("FACE_API_TOLERANCE", "high", "FACE_API_TOLERANCE: .*number"),
        ("FACE_API_TOLERANCE", "-1", "FACE_API_TOLERANCE: "),
        ("FACE_API_TOLERANCE", "nan", "FACE_API_TOLERANCE: "),
        ("FACE_API_TOLERANCE", "inf", "FACE_API_TOLERANCE: "),
        ("FACE_API_TOLERANCE", "6", "FACE_API_TOLERANCE: "),
        ("FACE_API_IMAGE_TYPES", "jpeg,gif", "FACE_API_IMAGE_TYPES: .*'jpeg' or 'png'"),
        ("FACE_API_DEVICE", "tpu", "FACE_API_DEVICE: .*'cpu' or 'cuda'"),
        ("FACE_API_RUNTIME", "magic", "FACE_API_RUNTIME: .*'onnx', 'openvino' or 'reference'"),
        ("FACE_API_UPSAMPLE", "3", "FACE_API_UPSAMPLE: "),
        ("FACE_API_UPSAMPLE", "2", "FACE_API_UPSAMPLE needs FACE_API_EXACT=true"),
        ("FACE_API_GPU_MEMORY_MB", "2048", "FACE_API_GPU_MEMORY_MB needs FACE_API_DEVICE=cuda"),
        ("FACE_API_GPU_MEMORY_MB", "100", "FACE_API_GPU_MEMORY_MB: .*512"),
        ("FACE_API_MAX_IMAGE_BYTES", "100", "FACE_API_MIN_IMAGE_BYTES <= FACE_API_MAX_IMAGE_BYTES <= "),
        ("FACE_API_TOLERENCE", "0.6", "no such setting: FACE_API_TOLERENCE"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=message):
        load_settings()


@pytest.mark.parametrize("variable", ["FACE_API_HOST", "FACE_API_DATA_DIR", "FACE_API_TOLERANCE"])
def test_an_empty_variable_is_the_default(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    default = load_settings()
    monkeypatch.setenv(variable, "")
    assert load_settings() == default


def test_empty_keys_are_not_the_same_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret store that hands out nothing must not let a key file be made."""
    monkeypatch.setenv("FACE_API_KEYS", "")
    with pytest.raises(SettingsError, match="FACE_API_KEYS is empty"):
        load_settings()


def test_the_address_of_redis_has_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE_API_LIMITS_URL", "redis://127.0.0.1/0")
    monkeypatch.setenv("FACE_API_LIMITS_URL_FILE", "limits-url")
    with pytest.raises(SettingsError, match="FACE_API_LIMITS_URL_FILE: only one of them"):
        load_settings()


def test_an_empty_host_is_not_every_interface() -> None:
    with pytest.raises(SettingsError, match="FACE_API_HOST"):
        load_settings({"host": ""})


def test_the_readme_lists_every_setting() -> None:
    listed = dict(re.findall(r"^\| `(FACE_API_\w+)` \| ([^|]+) \|", README.read_text(), re.MULTILINE))
    depends_on_the_machine = {"data_dir", "inference_workers", "max_queue"}
    settings = load_settings()
    for name in Settings.model_fields:
        told = listed.pop(PREFIX + name.upper())
        if name not in depends_on_the_machine:
            value = getattr(settings, name)
            expected = (
                ",".join(value)
                if isinstance(value, tuple)
                else f"{value:g}"
                if isinstance(value, float)
                else str(value).lower()
            )
            assert told == expected, name
    assert not listed
