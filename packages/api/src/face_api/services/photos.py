"""What a photo must be before it is looked at, and the refusals of both use cases."""

from dataclasses import dataclass

from face_api.settings import Settings
from face_engine.image_files import ImageType, sniff_type


class RefusalError(Exception):
    """A request that is answered, but not with what was asked for. `reason` is a token; docs/api.md lists them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """Which files are taken. Sizes in bytes, both ends included."""

    types: tuple[ImageType, ...]
    min_bytes: int
    max_bytes: int

    @classmethod
    def from_settings(cls, settings: Settings) -> "PhotoLimits":
        return cls(settings.image_types, settings.min_image_bytes, settings.max_image_bytes)

    def check(self, image_bytes: bytes) -> None:
        """Raise RefusalError for another type, by the first bytes, or a size outside the band, in this order."""
        if sniff_type(image_bytes) not in self.types:
            raise RefusalError("image_type_unsupported")
        if len(image_bytes) < self.min_bytes:
            raise RefusalError("image_too_small")
        if len(image_bytes) > self.max_bytes:
            raise RefusalError("image_too_large")
