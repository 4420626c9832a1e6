"""The only reader of the environment: FACE_API_* variables become one frozen object."""

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from limits import parse_many
from platformdirs import user_data_path
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from face_engine.image_files import IMAGE_TYPES, ImageType
from face_engine.images import DECODER_MAX_PIXELS, MAX_PIXELS
from face_engine.matching import DEFAULT_TOLERANCE, MAX_TOLERANCE
from face_engine.pipeline import DEFAULT_EXACT_UPSAMPLE
from face_engine.runtimes import AUTO, MIN_GPU_MEMORY_MB, Device, RuntimeName, usable_cores

PREFIX = "FACE_API_"
KEYS = f"{PREFIX}KEYS"

CORES_PER_WORKER = 4
"""A photo gains little from more: what surrounds the networks is done by one core."""

DEFAULT_MAX_IN_FLIGHT = 256
"""Messages that may be in memory at a time: 256 MB."""

QUEUE_PER_WORKER = 8
"""Photos that wait for each worker: some two seconds of work."""

Auth = Literal["open", "keys"]
"""Who may ask: everybody on this machine, or who has an API key."""

LogFormat = Literal["json", "text"]

NO_LIMIT = "none"

KeepImages = Literal["none", "chip"]
"""What is kept of an enrolled photo: nothing, or the sealed 150 x 150 chip."""


class SettingsError(Exception):
    """A setting is wrong; the message names each and says what is accepted."""


class Settings(BaseSettings):
    """Every setting of the service. README.md lists them; tests compare that table with this class."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8000, ge=0, le=65535)
    workers: int = Field(1, ge=1, le=64)
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    log_format: LogFormat = "json"

    auth: Auth = "open"
    limit_per_user: str = "60/minute;600/hour"
    limit_per_key: str = "1200/minute"
    limits_url: SecretStr | None = None
    limits_url_file: Path | None = None

    data_dir: Path = Field(default_factory=lambda: user_data_path("face-api"))
    database_url: SecretStr | None = None
    keys: SecretStr | None = None
    key_file: Path | None = None
    keep_images: KeepImages = "chip"
    keep_events_days: int = Field(90, ge=0, le=36_500)

    min_image_bytes: int = Field(300 * 1000, ge=0)
    max_image_bytes: int = Field(500 * 1024, ge=1)
    max_message_bytes: int = Field(1000 * 1024, ge=1)
    image_types: Annotated[tuple[ImageType, ...], NoDecode] = Field(IMAGE_TYPES, min_length=1)
    max_image_pixels: int = Field(MAX_PIXELS, ge=1, le=DECODER_MAX_PIXELS)

    tolerance: float = Field(DEFAULT_TOLERANCE, ge=0, le=MAX_TOLERANCE)
    calibration_file: Path | None = None
    references_per_user: int = Field(5, ge=1)
    quality_gate: bool = True

    runtime: RuntimeName = AUTO
    device: Device = "cpu"
    gpu_memory_mb: int | None = Field(None, ge=MIN_GPU_MEMORY_MB)
    exact: bool = False
    upsample: int = Field(DEFAULT_EXACT_UPSAMPLE, ge=0, le=2)
    inference_workers: int = Field(
        default_factory=lambda given: max(1, usable_cores() // CORES_PER_WORKER // given.get("workers", 1)), ge=1
    )

    max_connections: int = Field(1024, ge=1)
    max_in_flight: int = Field(DEFAULT_MAX_IN_FLIGHT, ge=1)
    max_queue: int = Field(default_factory=lambda given: QUEUE_PER_WORKER * given.get("inference_workers", 1), ge=0)
    message_timeout_s: float = Field(30.0, gt=0)
    deadline_s: float = Field(30.0, gt=0, le=60)

    @field_validator("image_types", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [item.strip() for item in value.split(",")] if isinstance(value, str) else value

    @field_validator("limit_per_user", "limit_per_key")
    @classmethod
    def _is_limit(cls, value: str) -> str:
        if value != NO_LIMIT:
            try:
                parse_many(value)
            except ValueError:
                raise ValueError(f"{value!r} is no limit, such as 60/minute;600/hour, or {NO_LIMIT}") from None
        return value

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Self:
        if not self.min_image_bytes <= self.max_image_bytes <= self.max_message_bytes:
            raise ValueError(
                f"{PREFIX}MIN_IMAGE_BYTES <= {PREFIX}MAX_IMAGE_BYTES <= {PREFIX}MAX_MESSAGE_BYTES must hold"
            )
        if self.keys is not None and self.key_file is not None:
            raise ValueError(f"{PREFIX}KEYS and {PREFIX}KEY_FILE: only one of them")
        if self.limits_url is not None and self.limits_url_file is not None:
            raise ValueError(f"{PREFIX}LIMITS_URL and {PREFIX}LIMITS_URL_FILE: only one of them")
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError(f"{PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE: both, or none of them")
        if "upsample" in self.model_fields_set and not self.exact:
            raise ValueError(f"{PREFIX}UPSAMPLE needs {PREFIX}EXACT=true: without it the photo's size decides")
        if self.gpu_memory_mb is not None and self.device != "cuda":
            raise ValueError(f"{PREFIX}GPU_MEMORY_MB needs {PREFIX}DEVICE=cuda")
        return self

    def read_limits_url(self) -> str | None:
        """Return the address of Redis; None without one. Raises SettingsError where its file cannot be read."""
        if self.limits_url is not None:
            return self.limits_url.get_secret_value()
        if self.limits_url_file is None:
            return None
        try:
            return self.limits_url_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise SettingsError(f"{PREFIX}LIMITS_URL_FILE={self.limits_url_file} cannot be read") from error

    @property
    def is_local(self) -> bool:
        """Whether the address that is listened on can be reached from this machine alone."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the environment; `overrides` (from the command line) win over it.

    Raises:
        SettingsError: a value is not accepted, or a FACE_API_* variable is none of the settings.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    if unknown := sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known):
        raise SettingsError(f"no such setting: {', '.join(unknown)}")
    if os.environ.get(KEYS) == "":
        # Not the same as unset: a secret store that hands out nothing must not let a key file be made.
        raise SettingsError(f"{KEYS} is empty: give it a key, or do not set it")
    try:
        return Settings(**(overrides or {}))
    except ValidationError as error:
        problems = (
            f"{PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg']}"
            if problem["loc"]
            else problem["msg"].removeprefix("Value error, ")
            for problem in error.errors()
            if problem["type"] != "default_factory_not_called"  # what follows from another one
        )
        raise SettingsError("\n".join(problems)) from error
