import re
from pathlib import Path

import pytest

from face_dashboard.settings import PREFIX, Settings, SettingsError, load_settings

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def test_the_readme_lists_every_setting() -> None:
    listed = re.findall(rf"^\| `({PREFIX}[A-Z_]+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [PREFIX + name.upper() for name in Settings.model_fields]


def test_what_is_made_lies_in_the_data_folder_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    assert settings.password_file.parent == tmp_path
    assert (settings.sets_dir, settings.reports_dir) == (tmp_path / "sets", tmp_path / "reports")
    assert load_settings(data_dir=tmp_path, sets_dir=tmp_path / "own").sets_dir == tmp_path / "own"


def test_the_environment_is_read_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE_DASHBOARD_API_URL", "https://api.example/")
    monkeypatch.setenv("FACE_DASHBOARD_PORT", "9000")
    monkeypatch.setenv("FACE_DASHBOARD_OIDC_USERS", "Me@Example.com, @example.org")
    settings = load_settings(port=9001, host=None)
    assert (settings.api_url, settings.host, settings.port) == ("https://api.example", "127.0.0.1", 9001)
    assert settings.oidc_users == ("me@example.com", "@example.org")


def test_the_key_comes_from_a_file_that_may_change(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("fk_one\n")
    settings = load_settings(api_key_file=file)
    assert settings.read_api_key() == "fk_one"
    file.write_text("fk_two\n")
    assert settings.read_api_key() == "fk_two"
    file.unlink()
    with pytest.raises(SettingsError, match="API_KEY_FILE"):
        settings.read_api_key()


def test_the_key_is_not_told_by_accident() -> None:
    settings = load_settings(api_key="fk_secret")
    assert settings.read_api_key() == "fk_secret"
    assert "fk_secret" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "0"),
        ("API_URL", "ftp://example"),
        ("API_URL", "http://"),
        ("SESSION_IDLE_MINUTES", "0"),
        ("SESSION_HOURS", "nan"),
        ("SESSION_HOURS", "-1"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(PREFIX + variable, value)
    with pytest.raises(SettingsError, match=PREFIX + variable):
        load_settings()
