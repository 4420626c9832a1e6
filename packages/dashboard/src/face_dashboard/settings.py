"""The only reader of the environment: FACE_DASHBOARD_* variables become one frozen object."""

import os
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "FACE_DASHBOARD_"
API_URL_VARIABLE = f"{PREFIX}API_URL"

PASSWORD_FILE_NAME = "admin-password"  # noqa: S105 - the name of a file, which holds a hash


class SettingsError(Exception):
    """A setting is wrong; the message names each and says what is accepted."""


class Settings(BaseSettings):
    """Every setting of the dashboard. README.md lists them; tests compare that table with this class."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8501, ge=1, le=65535)
    api_url: str = Field("http://127.0.0.1:8000", pattern="^https?://[^/]")
    api_key: SecretStr | None = None
    api_key_file: Path | None = None
    data_dir: Path = Field(default_factory=lambda: user_data_path("face-dashboard"))
    sets_dir: Path = Field(default_factory=lambda given: given["data_dir"] / "sets")
    reports_dir: Path = Field(default_factory=lambda given: given["data_dir"] / "reports")
    session_idle_minutes: float = Field(30, gt=0, le=24 * 60)
    session_hours: float = Field(12, gt=0, le=30 * 24)
    secrets_file: Path | None = None
    oidc_users: Annotated[tuple[str, ...], NoDecode] = ()
    oidc_trust_unverified: bool = False

    @field_validator("oidc_users", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [user.strip().lower() for user in value.split(",") if user.strip()]
        return value

    @field_validator("api_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if urlsplit(value).username is not None:
            raise ValueError("it is shown to administrators, so it may hold no user and no password")
        return value.rstrip("/")

    @property
    def password_file(self) -> Path:
        return self.data_dir / PASSWORD_FILE_NAME

    def read_api_key(self) -> str | None:
        """Return the key that every call to the API brings; None without one.

        The file is read at each call, so a new key needs no restart. Raises SettingsError.
        """
        if self.api_key is not None:
            return self.api_key.get_secret_value()
        if self.api_key_file is None:
            return None
        try:
            return self.api_key_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise SettingsError(f"{PREFIX}API_KEY_FILE={self.api_key_file} cannot be read") from error


def load_settings(**overrides: object) -> Settings:
    """Read the environment; what is not None of `overrides` (from the command line) wins over it.

    Raises:
        SettingsError: a value is not accepted, or a FACE_DASHBOARD_* variable is none of the settings.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    if unknown := sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known):
        raise SettingsError(f"no such setting: {', '.join(unknown)}")
    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = (
            f"{PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg']}"
            for problem in error.errors()
            if problem["type"] not in {"default_factory_not_called"}  # what follows from another one
        )
        raise SettingsError("\n".join(problems)) from error


def environment_of_programs() -> dict[str, str]:
    """Return the environment for a program that the dashboard starts: without what is the dashboard's alone."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}


_given: dict[str, object] = {}


def give(**overrides: object) -> Settings:
    """Let what the command line says hold as long as the process lives; return all settings. Raises SettingsError."""
    _given.update(overrides)
    settings.cache_clear()
    return settings()


@cache
def settings() -> Settings:
    """Return the settings of this process. Raises SettingsError."""
    return load_settings(**_given)
