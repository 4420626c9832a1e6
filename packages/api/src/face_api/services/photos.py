"""What a photo must be before it is looked at."""

from dataclasses import dataclass

from face_api.errors import RefusalError
from face_api.settings import Settings
from face_engine.image_files import ImageType, sniff_type


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """Which files are taken. Sizes in bytes, both ends included."""

    types: tuple[ImageType, ...]
    min_bytes: int
    max_bytes: int

    @classmethod
    def of_contract(cls, settings: Settings) -> "PhotoLimits":
        """Return the size band of the specification."""
        return cls(settings.image_types, settings.min_image_bytes, settings.max_image_bytes)

    @classmethod
    def of_v1(cls, settings: Settings) -> "PhotoLimits":
        """Return the limits of v1: whatever a message holds."""
        return cls(settings.image_types, 0, settings.max_message_bytes)

    def check(self, image_bytes: bytes) -> None:
        """Raise RefusalError for another type, by the first bytes, or a size outside the band, in this order."""
        if sniff_type(image_bytes) not in self.types:
            raise RefusalError("image_type_unsupported")
        if len(image_bytes) < self.min_bytes:
            raise RefusalError("image_too_small")
        if len(image_bytes) > self.max_bytes:
            raise RefusalError("image_too_large")
