"""At which distance a face is a match, and how many strangers come as near."""

from dataclasses import dataclass

from face_api.settings import PREFIX, Settings, SettingsError
from face_engine.calibration import Calibration, load_calibration, published


@dataclass(frozen=True, slots=True)
class Decision:
    """The tolerance, and what it was taken from.

    Args:
        own: the calibration that the settings name.
        source: where the tolerance comes from, in words.
    """

    tolerance: float
    own: Calibration | None
    source: str

    @classmethod
    def from_settings(cls, settings: Settings) -> "Decision":
        """Return FACE_API_TOLERANCE where it was set, else what the calibration file recommends, else the default.

        Raises:
            CalibrationError: the file is none.
        """
        own = None if settings.calibration_file is None else load_calibration(settings.calibration_file)
        if "tolerance" in settings.model_fields_set:
            return cls(settings.tolerance, own, f"{PREFIX}TOLERANCE")
        if own is not None and own.tolerance is not None:
            source = f"{settings.calibration_file}, for an FMR of {own.target_fmr:g} by {own.comparisons:,} comparisons"
            return cls(own.tolerance, own, source)
        default = "the default" if own is None else "the default, since the calibration file recommends none"
        return cls(settings.tolerance, own, default)

    def check(self, encoder_id: str) -> None:
        """Raise SettingsError where the calibration is of another encoder's templates."""
        if self.own is not None and self.own.encoder_id != encoder_id:
            raise SettingsError(
                f"{PREFIX}CALIBRATION_FILE was measured with the encoder {self.own.encoder_id}, and this service has "
                f"{encoder_id}: the distances of the one say nothing of the other's"
            )

    def calibration(self, encoder_id: str) -> Calibration | None:
        """Return what tells an estimated false match rate; None where this encoder was not measured."""
        return self.own or published(encoder_id)
