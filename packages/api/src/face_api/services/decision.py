"""At which distance a face is a match, and how many strangers come as near."""

from dataclasses import dataclass
from typing import Literal

from anyio.to_thread import run_sync

from face_api.errors import RefusalError
from face_api.inference import Analyser
from face_api.settings import PREFIX, Settings, SettingsError
from face_api.store import Applied, Caller, Store, utc_now
from face_engine.calibration import Calibration, load_calibration, published

Source = Literal["setting", "applied", "calibration_file", "default"]
"""Where a tolerance comes from, what outranks the others first."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The tolerance, and what it was taken from.

    Args:
        own: the calibration that the settings name, or that was applied.
        origin: the source in words.
        applied: what an administrator applied, where that is the source.
    """

    tolerance: float
    own: Calibration | None
    source: Source
    origin: str
    applied: Applied | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> "Decision":
        """Return FACE_API_TOLERANCE where it was set, else what the calibration file recommends, else the default.

        Raises:
            CalibrationError: the file is none.
        """
        own = None if settings.calibration_file is None else load_calibration(settings.calibration_file)
        if "tolerance" in settings.model_fields_set:
            return cls(settings.tolerance, own, "setting", f"{PREFIX}TOLERANCE")
        if own is not None and own.tolerance is not None:
            origin = f"{settings.calibration_file}, for an FMR of {own.target_fmr:g} by {own.comparisons:,} comparisons"
            return cls(own.tolerance, own, "calibration_file", origin)
        origin = "the default" if own is None else "the default, since the calibration file recommends none"
        return cls(settings.tolerance, own, "default", origin)

    def check(self, encoder_id: str) -> None:
        """Raise SettingsError where the calibration is of another encoder's templates."""
        if self.own is not None and self.own.encoder_id != encoder_id:
            raise SettingsError(
                f"{PREFIX}CALIBRATION_FILE was measured with the encoder {self.own.encoder_id}, and this service has "
                f"{encoder_id}: the distances of the one say nothing of the other's"
            )

    @property
    def is_fixed(self) -> bool:
        """Whether the operator set the tolerance, so that nothing that is applied counts."""
        return self.source == "setting"

    def with_applied(self, applied: Applied) -> "Decision":
        """Return what holds where this is what the settings say: this, or what was applied for the same encoder."""
        if self.is_fixed:
            return self
        origin = f"what {applied.by} applied at {applied.at:%Y-%m-%d %H:%M} UTC"
        return Decision(applied.tolerance, applied.calibration or self.own, "applied", origin, applied)

    def calibration(self, encoder_id: str) -> Calibration | None:
        """Return what tells an estimated false match rate; None where this encoder was not measured."""
        return self.own or published(encoder_id)


class Decisions:
    """Tells which decision holds, and changes it for every process of the service.

    Args:
        default: what holds where nothing was applied.
    """

    def __init__(self, default: Decision, store: Store, analyser: Analyser) -> None:
        self.default = default
        self._store = store
        self._analyser = analyser
        self._known: tuple[str | None, Decision] | None = None

    @property
    def encoder_id(self) -> str:
        return self._analyser.encoder_id

    async def of(self, token: str | None) -> Decision:
        """Return the decision of a token that was read with the references: each is read once, then known.

        Args:
            token: None where nothing is applied, which is read once as well: somebody may have removed it.

        Raises:
            StoreError: it could not be read, or is not what was applied last.
        """
        if self.default.is_fixed:
            return self.default
        known = self._known
        if known is None or known[0] != token:
            known = self._known = await self._read()
        return known[1]

    async def current(self) -> Decision:
        """Return what holds now. Raises StoreError."""
        if self.default.is_fixed:
            return self.default
        _, decision = await self._read()
        return decision

    async def apply(self, caller: Caller, tolerance: float, note: str, calibration: Calibration | None) -> None:
        """Let a tolerance hold from the next analysis on.

        Raises:
            RefusalError: the operator set another one, or the calibration is of another encoder.
            StoreError, AccessError: nothing was changed.
        """
        if self.default.is_fixed:
            raise RefusalError("decision_fixed")
        if calibration is not None and calibration.encoder_id != self.encoder_id:
            raise RefusalError("encoder_mismatch")
        applied = Applied(tolerance, self.encoder_id, note, calibration, utc_now(), caller.actor)
        await run_sync(self._store.decisions.apply, caller, applied, self.default.tolerance)

    async def withdraw(self, caller: Caller) -> None:
        """Let what the settings say hold, whatever was applied. Raises StoreError, AccessError."""
        await run_sync(self._store.decisions.withdraw, caller, self.encoder_id, self.default.tolerance)

    async def _read(self) -> tuple[str | None, Decision]:
        found = await run_sync(self._store.decisions.find, self.encoder_id)
        return (None, self.default) if found is None else (found[0], self.default.with_applied(found[1]))
