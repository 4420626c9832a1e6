"""What the API answers, typed. Members that it may add in the future are ignored."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

Verdict = Literal["match", "dismatch"]
Operation = Literal["enroll", "analyse"]
Sort = Literal["id", "newest", "oldest"]

_Item = TypeVar("_Item")


class Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Page(Model, Generic[_Item]):
    """A part of a list; `next_cursor` asks for what follows, None: nothing does."""

    items: Sequence[_Item]
    next_cursor: str | None


class Health(Model):
    """What the API tells of itself at /healthz."""

    status: Literal["ok"]
    version: str
    runtime: str
    device: str
    encoder_id: str
    inference_workers: int


class Readiness(Model):
    """Whether a photo could be analysed and recorded now."""

    status: Literal["ready", "not ready"]
    model: bool
    database: bool


class Counts(Model):
    companies: int
    users: int
    enrollments: int
    users_without_enrollment: int
    outdated_enrollments: int
    active_keys: int


class Company(Model):
    name: str
    created_at: datetime
    users: int


class User(Model):
    company: str
    id: str
    gender: int | None
    age: int | None
    references: int
    created_at: datetime


class Quality(Model):
    size: float
    sharpness: float
    brightness: float
    turn: float
    inside: float
    reasons: Sequence[str]


class Reference(Model):
    """An enrolled photo. What came before the service kept it is None."""

    id: int
    encoder_id: str
    has_image: bool
    created_at: datetime
    via: Literal["contract", "v1"] | None = None
    enrolled_by: str | None = None
    quality: Quality | None = None


class UserDetails(Model):
    company: str
    id: str
    gender: int | None
    age: int | None
    created_at: datetime
    enrollments: Sequence[Reference]


class Box(Model):
    """In pixels of the photo as a person sees it, edges inclusive, possibly beyond the photo."""

    left: int
    top: int
    right: int
    bottom: int


class Face(Model):
    box: Box
    landmarks: Sequence[tuple[int, int]]
    confidence: float
    quality: Quality


class Enrollment(Model):
    outcome: Literal["enrolled", "already_enrolled"]
    reference_id: int
    face: Face | None
    timings_ms: dict[str, float]


class Person(Face):
    number: int
    verdict: Verdict
    distance: float
    tolerance: float
    estimated_false_match_rate: float | None
    reference_id: int


class Photo(Model):
    width: int
    height: int


class Verification(Model):
    photo: Photo
    persons: Sequence[Person]
    encoder_id: str
    timings_ms: dict[str, float]


class ContractAnswer(Model):
    """What an endpoint of the specification answered: the body as it came, and what stands in its header."""

    status: int
    body: str
    reason: str | None
    request_id: str | None


class Removed(Model):
    companies: int
    users: int
    references: int
    chips: int
    events: int
    api_keys: int
    answers: int


class Receipt(Model):
    """What an erasure removed. `document` is the answer as it came, for who keeps it."""

    company: str
    user: str | None
    removed: Removed
    at: datetime
    audit_entry: str
    overwritten: bool
    document: str = ""


class Event(Model):
    id: int
    at: datetime
    operation: Operation
    company: str | None
    user: str | None
    request_id: str | None
    reason: str
    matches: int
    dismatches: int
    distance: float | None
    timings_ms: dict[str, float]


class Percentiles(Model):
    """Nearest-rank, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float


class Tally(Model):
    """Requests by reason, faces by verdict, latency by stage."""

    operation: Operation
    outcomes: dict[str, int]
    matches: int
    dismatches: int
    latency: dict[str, Percentiles]

    @property
    def requests(self) -> int:
        return sum(self.outcomes.values())


class Bucket(Tally):
    start: datetime


class Stats(Model):
    since: datetime
    until: datetime
    bucket_s: int | None
    buckets: Sequence[Bucket]


class CompanyTally(Tally):
    company: str | None


class CompanyStats(Model):
    since: datetime
    until: datetime
    items: Sequence[CompanyTally]
    more: bool


class AuditEntry(Model):
    sequence: int
    at: datetime
    actor: str
    action: str
    company: str | None
    user: str | None
    request_id: str | None
    details: dict[str, Any]
    hash: str


class AuditVerification(Model):
    state: Literal["intact", "broken"]
    entries: int
    checkpoint: str | None
    broken_at: int | None
    problem: str | None
    checked_at: datetime
    took_ms: float


class Key(Model):
    key_id: str
    company: str | None
    label: str
    created_at: datetime
    revoked_at: datetime | None


class NewKey(Key):
    secret: str | None


class Setting(Model):
    name: str
    value: str | None
    is_default: bool
    is_secret: bool


class ServiceSettings(Model):
    version: str
    python: str
    platform: str
    database: str
    encoder_id: str
    runtime: str
    device: str
    settings: Sequence[Setting]


class Calibration(Model):
    """From a distance to the share of strangers who come as near; both sequences ascend."""

    source: str
    persons: int
    comparisons: int
    target_fmr: float
    tolerance: float | None
    tolerance_interval: tuple[float, float] | None
    distances: Sequence[float]
    false_match_rates: Sequence[float]


class Decision(Model):
    """At which distance a face is a match, and who said so."""

    tolerance: float
    source: Literal["setting", "applied", "calibration_file", "default"]
    changeable: bool
    applied_at: datetime | None
    applied_by: str | None
    note: str | None
    default_tolerance: float
    encoder_id: str
    calibration: Calibration | None
