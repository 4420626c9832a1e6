"""What v1 takes and gives, as JSON. The OpenAPI document is made of these."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from face_api.requests import NAME_PATTERN
from face_api.services.analysis import Person as PersonCompared
from face_api.services.decision import Decision as DecisionMade
from face_api.services.decision import Source
from face_api.store import (
    MAX_COMPANIES,
    MAX_LABEL,
    Action,
    Inspection,
    Operation,
    ReferenceSummary,
    Sort,
    Via,
    is_label,
)
from face_api.store import AuditEntry as EntryOfTrail
from face_engine.calibration import Calibration
from face_engine.matching import MAX_TOLERANCE, Verdict
from face_engine.types import Face as FaceFound
from face_engine.types import QualityReason

MAX_PAGE = 1000
DEFAULT_PAGE = 100
MAX_BUCKETS = 2000
MAX_NOTE = 200

Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", max_length=128, examples=["withmind"])]

_Item = TypeVar("_Item")


class Model(BaseModel):
    """Unknown fields are refused: a slip of the hand must not be taken for consent."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


class Box(Model):
    """A face's rectangle in pixels of the photo as a person sees it; edges inclusive, possibly beyond the photo."""

    left: int
    top: int
    right: int
    bottom: int


class Quality(Model):
    """How good a reference the face would be."""

    size: float = Field(description="Pixels of the photo that the aligned face's width was made of.")
    sharpness: float = Field(description="The higher, the sharper.")
    brightness: float = Field(description="Mean luma, 0 (black) to 1 (white).")
    turn: float = Field(description="Of the head to one side: 0 is frontal.")
    inside: float = Field(description="Share of the face inside the photo, 0 to 1.")
    reasons: list[QualityReason] = Field(description="Why it is a poor reference; empty for a good one.")


class Face(Model):
    box: Box
    landmarks: list[tuple[int, int]] = Field(
        description="Five points, x and y: both corners of the eye on the image's right, of the other, the nose's base."
    )
    confidence: float = Field(description="The detector's: above 0, around 1 for a clear face.")
    quality: Quality

    @classmethod
    def of(cls, face: FaceFound) -> "Face":
        return cls(**_face(face))


class Person(Face):
    """A face of the photo, compared with the user."""

    number: int = Field(description="1 is the leftmost, as person_1 of the specification's answer.")
    verdict: Verdict
    distance: float = Field(description="Euclidean, to the nearest of the user's references; lower is more alike.")
    tolerance: float = Field(description="The largest distance that is a match.")
    estimated_false_match_rate: float | None = Field(
        description="Estimated share of strangers who come as near as this; null where this encoder was not measured."
    )
    reference_id: int = Field(description="The user's enrollment that is nearest.")

    @classmethod
    def compared(cls, number: int, person: PersonCompared, calibration: Calibration | None) -> "Person":
        distance = person.comparison.distance
        return cls(
            **_face(person.face),
            number=number,
            verdict=person.comparison.verdict,
            distance=distance,
            tolerance=person.comparison.tolerance,
            estimated_false_match_rate=None if calibration is None else calibration.false_match_rate(distance),
            reference_id=person.reference_id,
        )


class Photo(Model):
    width: int = Field(description="Pixels, as a person sees it (EXIF orientation applied).")
    height: int


class Verification(Model):
    """Every person of the photo, from left to right. At least one."""

    photo: Photo
    persons: list[Person]
    encoder_id: str
    timings_ms: dict[str, float] = Field(description="Wall-clock milliseconds by stage.")
    request_id: str


class Reference(Model):
    """An enrolled photo: never its template, which leaves the service nowhere."""

    id: int
    encoder_id: str
    has_image: bool = Field(description="Whether the aligned face is kept, and can be fetched from .../image.")
    created_at: datetime
    via: Via | None = Field(
        description="By the contract or by v1; null, as the two below, where it was enrolled before this was kept."
    )
    enrolled_by: str | None = Field(description="The API key's id; anonymous, where no key was asked for.")
    quality: Quality | None

    @classmethod
    def of(cls, reference: ReferenceSummary) -> "Reference":
        return cls(
            id=reference.id,
            encoder_id=reference.encoder_id,
            has_image=reference.has_chip,
            created_at=reference.created_at,
            via=reference.via,
            enrolled_by=reference.enrolled_by,
            quality=reference.quality and Quality.model_validate(reference.quality),
        )


class Enrollment(Model):
    """`already_enrolled`: this very photo was a reference before; then it was not looked at, and face is null."""

    outcome: Literal["enrolled", "already_enrolled"]
    reference_id: int
    face: Face | None
    timings_ms: dict[str, float]
    request_id: str


class User(Model):
    company: str
    id: str
    gender: int | None = Field(description="0 female, 1 male, null unknown.")
    age: int | None
    references: int
    created_at: datetime


class UserDetails(Model):
    company: str
    id: str
    gender: int | None
    age: int | None
    created_at: datetime
    enrollments: list[Reference]


class Company(Model):
    name: str
    created_at: datetime
    users: int


class Counts(Model):
    companies: int
    users: int
    references: int
    chips: int
    events: int
    api_keys: int
    answers: int = Field(description="Kept for an Idempotency-Key.")


class Receipt(Model):
    """What an erasure removed, and the entry of the audit trail that says so."""

    company: str
    user: str | None
    removed: Counts
    at: datetime
    audit_entry: str
    overwritten: bool = Field(
        description="False: traces may be left in the database's files until the service, or an operator, compacts."
    )


class Event(Model):
    """How a request for a photo ended."""

    id: int
    at: datetime
    operation: Operation
    company: str | None
    user: str | None
    request_id: str | None
    reason: str = Field(description="As in X-Face-Reason.")
    matches: int
    dismatches: int
    distance: float | None = Field(description="The smallest of the photo's faces.")
    timings_ms: dict[str, float]


class Percentiles(Model):
    """Nearest-rank percentiles, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float


class Tally(Model):
    operation: Operation
    outcomes: dict[str, int] = Field(description="Requests by reason.")
    matches: int
    dismatches: int
    latency: dict[str, Percentiles] = Field(description="By stage.")


class Bucket(Tally):
    start: datetime


class Stats(Model):
    since: datetime
    until: datetime
    bucket_s: int | None = Field(description="null: one bucket of all.")
    buckets: list[Bucket] = Field(description="By time and operation; empty ones are left out.")


class CompanyTally(Tally):
    company: str | None = Field(description="null: it was not registered.")


class CompanyStats(Model):
    since: datetime
    until: datetime
    items: list[CompanyTally] = Field(
        description=f"By company, those with the most requests first, at most {MAX_COMPANIES:,}, and operation."
    )
    more: bool = Field(description="Whether other companies have requests as well.")


class Registered(Model):
    """How much is registered."""

    companies: int
    users: int
    enrollments: int
    users_without_enrollment: int
    outdated_enrollments: int = Field(description="Of another encoder than the one that runs.")
    active_keys: int = Field(description="Not revoked.")


class AuditEntry(Model):
    """Who did what to whom. Company and user are names while they are registered, else their random tokens."""

    sequence: int
    at: datetime
    actor: str = Field(description="A key's id, `anonymous` where no key is asked for, or `cli:` and a system user.")
    action: str
    company: str | None
    user: str | None
    request_id: str | None
    details: dict[str, Any] = Field(description="How it ended; differs by action.")
    hash: str = Field(description="Of this entry and the one before it: HMAC-SHA256, hexadecimal.")

    @classmethod
    def of(cls, entry: EntryOfTrail) -> "AuditEntry":
        return cls(
            sequence=entry.sequence,
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            company=entry.company,
            user=entry.user,
            request_id=entry.request_id,
            details=dict(entry.details),
            hash=entry.hash.hex(),
        )


class AuditVerification(Model):
    """Whether every entry of the audit trail is as it was appended."""

    state: Literal["intact", "broken"]
    entries: int = Field(description="How many there are.")
    checkpoint: str | None = Field(description="The last entry, as `face-api audit verify` prints it; null: broken.")
    broken_at: int | None = Field(description="The first sequence at which it shows.")
    problem: str | None
    checked_at: datetime
    took_ms: float

    @classmethod
    def of(cls, inspection: Inspection, checked_at: datetime, took_ms: float) -> "AuditVerification":
        broken = inspection.broken
        return cls(
            state="intact" if broken is None else "broken",
            entries=inspection.entries,
            checkpoint=None if inspection.end is None else str(inspection.end),
            broken_at=None if broken is None else broken.sequence,
            problem=None if broken is None else broken.problem,
            checked_at=checked_at,
            took_ms=took_ms,
        )


class Setting(Model):
    name: str
    value: str | None = Field(description="null: none, or a secret.")
    is_default: bool = Field(description="False: somebody set it.")
    is_secret: bool


class ServiceSettings(Model):
    """What the service runs with."""

    version: str
    python: str
    platform: str
    database: Literal["sqlite", "postgresql"]
    encoder_id: str
    runtime: str
    device: str
    settings: list[Setting]


class Page(Model, Generic[_Item]):
    items: list[_Item]
    next_cursor: str | None = Field(description="Ask for what follows with ?cursor=...; null: nothing does.")


class Key(Model):
    key_id: str
    company: str | None = Field(description="null: an administrator's key.")
    label: str
    created_at: datetime
    revoked_at: datetime | None


class NewKey(Key):
    secret: str | None = Field(description="Shown once: null when the answer to an Idempotency-Key is given again.")


def _check_label(value: str) -> str:
    if not is_label(value):
        raise ValueError("a label has printable characters only")
    return value


class KeyRequest(Model):
    """Whose key it will be: a company's, or with admin an administrator's."""

    model_config = ConfigDict(strict=True)

    company: Name | None = None
    admin: bool = False
    label: Annotated[
        str, Field(max_length=MAX_LABEL, description="Printable characters only."), AfterValidator(_check_label)
    ] = ""


class MeasuredRates(Model):
    """A calibration: the share of the pairs of strangers up to each distance."""

    source: str = Field(description="What was compared, and when.")
    persons: int
    comparisons: int = Field(description="Pairs of strangers.")
    target_fmr: float = Field(description="The false match rate for which a tolerance was looked for.")
    tolerance: float | None = Field(description="The largest one that keeps to it; null: too few pairs to tell.")
    tolerance_interval: tuple[float, float] | None = Field(description="95 % interval of that.")
    distances: list[float] = Field(description="Ascending.")
    false_match_rates: list[float] = Field(description="Up to each distance, 0 to 1.")


class Decision(Model):
    """At which distance a face is a match."""

    tolerance: float = Field(description="The largest distance that is a match.")
    source: Source = Field(description="Where it comes from: what was applied here, or what the operator set.")
    changeable: bool = Field(description="Whether another one can be applied; not where the operator set it.")
    applied_at: datetime | None
    applied_by: str | None = Field(description="The API key's id; anonymous, where no key was asked for.")
    note: str | None
    default_tolerance: float = Field(description="What holds where nothing is applied.")
    encoder_id: str = Field(description="Of the service's templates.")
    calibration: MeasuredRates | None = Field(
        description="What estimated_false_match_rate is told by; null where this encoder was not measured."
    )

    @classmethod
    def of(cls, decision: DecisionMade, default: DecisionMade, encoder_id: str) -> "Decision":
        applied, calibration = decision.applied, decision.calibration(encoder_id)
        return cls(
            tolerance=decision.tolerance,
            source=decision.source,
            changeable=not default.is_fixed,
            applied_at=applied and applied.at,
            applied_by=applied and applied.by,
            note=applied and applied.note,
            default_tolerance=default.tolerance,
            encoder_id=encoder_id,
            calibration=calibration and MeasuredRates.model_validate(calibration),
        )


def _check_note(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a note has printable characters only")
    return value


class DecisionRequest(Model):
    """The tolerance that is to hold."""

    model_config = ConfigDict(strict=True)

    tolerance: float = Field(ge=0, le=MAX_TOLERANCE)
    note: Annotated[
        str, Field(max_length=MAX_NOTE, description="Why; printable characters only."), AfterValidator(_check_note)
    ] = ""
    calibration: dict[str, Any] | None = Field(
        None, description="What face-engine evaluate wrote to calibration.json, which tells the rates from then on."
    )


class Problem(Model):
    """RFC 9457. `reason` is what programs read; it is also in the header X-Face-Reason."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    title: str
    status: int
    reason: str
    request_id: str


def _check_moment(value: object) -> object:
    # pydantic would take a number for seconds since 1970.
    if isinstance(value, str) and not re.match(r"\d{4}-\d{2}-\d{2}[Tt ]\d", value):
        raise ValueError("RFC 3339, such as 2026-03-01T12:00:00Z")
    return value


Moment = Annotated[datetime, BeforeValidator(_check_moment)]


class PageQuery(Model):
    cursor: str | None = Field(None, max_length=300, description="next_cursor of the page before.")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE)


class UsersQuery(PageQuery):
    prefix: str = Field("", max_length=128, pattern="^[a-z0-9]*$", description="Only ids that begin so.")
    contains: str = Field("", max_length=128, pattern="^[a-z0-9]*$", description="Only ids that contain this.")
    enrolled: bool | None = Field(None, description="Only users with an enrollment, or only those without.")
    sort: Sort = Field("id", description="By id, or by when they were first enrolled.")


class KeysQuery(PageQuery):
    company: Name | None = None


class Filter(Model):
    company: Name | None = None
    user: Name | None = Field(None, description="Needs company, unless the key is a company's.")
    operation: Operation | None = None
    reason: str | None = Field(None, max_length=64, pattern="^[a-z_]*$")
    since: Moment | None = Field(None, description="RFC 3339; from then on.")
    until: Moment | None = Field(None, description="RFC 3339; before then.")


class EventsQuery(PageQuery, Filter):
    pass


class StatsQuery(Filter):
    bucket_s: int = Field(3600, ge=60, le=31 * 24 * 3600, description="Length of a bucket in seconds.")
    whole: bool = Field(False, description="One bucket of all, whatever bucket_s is.")


class CompanyStatsQuery(Model):
    operation: Operation | None = None
    since: Moment | None = Field(None, description="RFC 3339; from then on.")
    until: Moment | None = Field(None, description="RFC 3339; before then.")


class CountsQuery(Model):
    company: Name | None = None


class AuditQuery(PageQuery):
    company: Name | None = None
    user: Name | None = Field(None, description="Needs company.")
    action: Action | None = None
    actor: str | None = Field(None, max_length=64, pattern="^[ -~]+$", description="As in an entry, all of it.")
    since: Moment | None = Field(None, description="RFC 3339; from then on.")
    until: Moment | None = Field(None, description="RFC 3339; before then.")


def _face(face: FaceFound) -> dict[str, Any]:
    return {
        "box": Box.model_validate(face.box),
        "landmarks": _points(face.landmarks.tolist()),
        "confidence": face.confidence,
        "quality": Quality.model_validate(face.quality),
    }


def _points(landmarks: Iterable[Iterable[int]]) -> list[tuple[int, ...]]:
    return [tuple(point) for point in landmarks]
