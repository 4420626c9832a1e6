"""The only reader of the environment: FACE_API_* variables become one frozen object."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from platformdirs import user_data_path
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from face_engine.image_files import IMAGE_TYPES, ImageType
from face_engine.images import DECODER_MAX_PIXELS, MAX_PIXELS
from face_engine.matching import DEFAULT_TOLERANCE, MAX_TOLERANCE
from face_engine.pipeline import DEFAULT_UPSAMPLE
from face_engine.runtimes import DEFAULT_RUNTIME, Device, RuntimeName

PREFIX = "FACE_API_"

MAX_DEFAULT_WORKERS = 4
"""Each holds about 1.5 GB while it searches DEFAULT_MAX_DETECTION_PIXELS."""

DEFAULT_MAX_DETECTION_PIXELS = 1_200_000
"""About ten seconds and 1.2 GB with the stock dlib, see docs/performance.md."""

DEFAULT_MAX_IN_FLIGHT = 256
"""Messages that may be in memory at a time: 256 MB."""


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux: what a container or taskset leaves to this process
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class SettingsError(Exception):
    """A setting is wrong; the message names each and says what is accepted."""


class Settings(BaseSettings):
    """Every setting of the service. README.md lists them; tests compare that table with this class."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8000, ge=0, le=65535)
    data_dir: Path = Field(default_factory=lambda: user_data_path("face-api"))

    min_image_bytes: int = Field(300 * 1000, ge=0)
    max_image_bytes: int = Field(500 * 1024, ge=1)
    max_message_bytes: int = Field(1000 * 1024, ge=1)
    image_types: Annotated[tuple[ImageType, ...], NoDecode] = Field(IMAGE_TYPES, min_length=1)
    max_image_pixels: int = Field(MAX_PIXELS, ge=1, le=DECODER_MAX_PIXELS)

    tolerance: float = Field(DEFAULT_TOLERANCE, ge=0, le=MAX_TOLERANCE)
    references_per_user: int = Field(5, ge=1)

    runtime: RuntimeName = DEFAULT_RUNTIME
    device: Device = "cpu"
    upsample: int = Field(DEFAULT_UPSAMPLE, ge=0, le=2)
    max_detection_pixels: int = Field(DEFAULT_MAX_DETECTION_PIXELS, ge=10_000)
    inference_workers: int = Field(default_factory=lambda: min(MAX_DEFAULT_WORKERS, _usable_cores()), ge=1)

    max_in_flight: int = Field(DEFAULT_MAX_IN_FLIGHT, ge=1)
    message_timeout_s: float = Field(30.0, gt=0)

    @field_validator("image_types", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [item.strip() for item in value.split(",")] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _limits_are_ordered(self) -> Self:
        if not self.min_image_bytes <= self.max_image_bytes <= self.max_message_bytes:
            raise ValueError(
                f"{PREFIX}MIN_IMAGE_BYTES <= {PREFIX}MAX_IMAGE_BYTES <= {PREFIX}MAX_MESSAGE_BYTES must hold"
            )
        return self


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the environment; `overrides` (from the command line) win over it.

    Raises:
        SettingsError: a value is not accepted, or a FACE_API_* variable is none of the settings.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    if unknown := sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known):
        raise SettingsError(f"no such setting: {', '.join(unknown)}")
    try:
        return Settings(**(overrides or {}))
    except ValidationError as error:
        problems = (
            f"{PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg']}" if problem["loc"] else problem["msg"]
            for problem in error.errors()
        )
        raise SettingsError("\n".join(problems)) from error
