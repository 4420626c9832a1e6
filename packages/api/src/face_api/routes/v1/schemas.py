"""What v1 takes and gives, as JSON. The OpenAPI document is made of these."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from face_api.requests import NAME_PATTERN
from face_api.services.analysis import Person as PersonCompared
from face_api.store import MAX_LABEL, Operation, ReferenceSummary, is_label
from face_engine.calibration import Calibration
from face_engine.matching import Verdict
from face_engine.types import Face as FaceFound
from face_engine.types import QualityReason

MAX_PAGE = 1000
DEFAULT_PAGE = 100
MAX_BUCKETS = 2000

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

    @classmethod
    def of(cls, reference: ReferenceSummary) -> "Reference":
        return cls(
            id=reference.id,
            encoder_id=reference.encoder_id,
            has_image=reference.has_chip,
            created_at=reference.created_at,
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


class CompanyDetails(Company):
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


class Bucket(Model):
    start: datetime
    operation: Operation
    outcomes: dict[str, int] = Field(description="Requests by reason.")
    matches: int
    dismatches: int
    latency: dict[str, Percentiles] = Field(description="By stage.")


class Stats(Model):
    since: datetime
    until: datetime
    bucket_s: int
    buckets: list[Bucket] = Field(description="By time and operation; empty ones are left out.")


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


def _face(face: FaceFound) -> dict[str, Any]:
    return {
        "box": Box.model_validate(face.box),
        "landmarks": _points(face.landmarks.tolist()),
        "confidence": face.confidence,
        "quality": Quality.model_validate(face.quality),
    }


def _points(landmarks: Iterable[Iterable[int]]) -> list[tuple[int, ...]]:
    return [tuple(point) for point in landmarks]
