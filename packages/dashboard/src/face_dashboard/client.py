"""The typed client of the API: the dashboard's only way to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ValidationError

from face_dashboard import models
from face_dashboard.models import Operation, Page, Sort
from face_dashboard.settings import SettingsError
from face_dashboard.translations import PlainError

TIMEOUT_S = 15.0
"""For what is looked up. The service itself gives a request up after FACE_API_DEADLINE_S."""

HEALTH_TIMEOUT_S = 3.0
PHOTO_TIMEOUT_S = 75.0

LASTING_TIMEOUT_S = 900.0
"""For the erasure of a company, and a walk over the whole audit trail."""

NOTHING_ANSWERS = "Nothing answers at {url}."
TOO_SLOW = "{url} did not answer within {seconds} seconds."
OTHER_STATUS = "{url} answered with HTTP status {status}."
KEY_UNREADABLE = "The file with the API key cannot be read."
OTHER_SERVICE = "What answers at {url} is not the face verification API of this version."

_Model = TypeVar("_Model", bound=BaseModel)


class ApiError(PlainError):
    """The API did not answer as it should.

    Args:
        reason: as in X-Face-Reason; `unreachable` where nothing answered, `unexpected` where something else did.
        request_id: of the API's log.
    """

    def __init__(self, template: str, reason: str, request_id: str | None = None, **values: object) -> None:
        super().__init__(template, **values)
        self.reason = reason
        self.request_id = request_id


class AccessDeniedError(ApiError):
    """The API does not take the dashboard's key."""


class RefusedError(ApiError):
    """The API understood, and said no: 4xx."""


@dataclass(frozen=True, slots=True)
class ApiClient:
    """Talks to one API; safe from several threads. Every method raises ApiError.

    Args:
        base_url: such as http://127.0.0.1:8000.
        read_key: returns the administrator's key, or None where the API asks for none; raises SettingsError.
    """

    base_url: str
    read_key: Callable[[], str | None] = lambda: None
    _http: httpx2.Client = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_http", httpx2.Client(timeout=TIMEOUT_S, trust_env=False))

    # What the service is

    def health(self) -> models.Health:
        return self._get(models.Health, "/healthz", timeout_s=HEALTH_TIMEOUT_S)

    def readiness(self) -> models.Readiness:
        response = self._send("GET", "/readyz", timeout_s=HEALTH_TIMEOUT_S + 1)
        if response.status_code not in {200, 503}:
            raise self._error(response)
        return self._parsed(models.Readiness, response)

    def settings(self) -> models.ServiceSettings:
        return self._get(models.ServiceSettings, "/v1/settings")

    def decision(self) -> models.Decision:
        return self._get(models.Decision, "/v1/decision")

    def apply_decision(self, tolerance: float, note: str, calibration: Mapping[str, Any] | None) -> models.Decision:
        """Let a tolerance hold from the next analysis on, and a calibration document tell the false match rates."""
        body = {"tolerance": tolerance, "note": note, "calibration": calibration}
        return self._parsed(models.Decision, self._checked("PUT", "/v1/decision", json=body))

    def withdraw_decision(self) -> models.Decision:
        return self._parsed(models.Decision, self._checked("DELETE", "/v1/decision"))

    # Who is enrolled

    def counts(self) -> models.Counts:
        return self._get(models.Counts, "/v1/counts")

    def companies(self, cursor: str | None = None, limit: int = 100) -> Page[models.Company]:
        return self._get(Page[models.Company], "/v1/companies", cursor=cursor, limit=limit)

    def company(self, company: str) -> models.Company:
        return self._get(models.Company, _path("companies", company))

    def users(
        self,
        company: str,
        cursor: str | None = None,
        limit: int = 100,
        contains: str = "",
        sort: Sort = "id",
        enrolled: bool | None = None,
    ) -> Page[models.User]:
        return self._get(
            Page[models.User],
            _path("companies", company, "users"),
            cursor=cursor,
            limit=limit,
            contains=contains or None,
            sort=sort,
            enrolled=None if enrolled is None else str(enrolled).lower(),
        )

    def user(self, company: str, user: str) -> models.UserDetails:
        return self._get(models.UserDetails, _path("companies", company, "users", user))

    def enrollment_image(self, company: str, user: str, reference_id: int) -> bytes:
        """Return the face that was enrolled, a PNG."""
        path = _path("companies", company, "users", user, "enrollments", str(reference_id), "image")
        return self._checked("GET", path).content

    def enroll(
        self, company: str, user: str, photo: bytes, gender: int | None = None, age: int | None = None
    ) -> models.Enrollment:
        fields = {name: str(value) for name, value in (("gender", gender), ("age", age)) if value is not None}
        path = _path("companies", company, "users", user, "enrollments")
        return self._parsed(models.Enrollment, self._photo(path, photo, fields))

    def verify(self, company: str, user: str, photo: bytes) -> models.Verification:
        return self._parsed(
            models.Verification, self._photo(_path("companies", company, "users", user, "verifications"), photo, {})
        )

    def analyse_by_contract(self, company: str, user: str, photo: bytes) -> models.ContractAnswer:
        """Return what the specification's endpoint answers, whatever that is."""
        response = self._send(
            "POST",
            "/analy_img/",
            timeout_s=PHOTO_TIMEOUT_S,
            files={"image": ("photo", photo)},
            data={"company": company, "id": user},
        )
        return models.ContractAnswer(
            status=response.status_code,
            body=response.text,
            reason=response.headers.get("x-face-reason"),
            request_id=response.headers.get("x-request-id"),
        )

    def remove_enrollment(self, company: str, user: str, reference_id: int) -> None:
        self._checked("DELETE", _path("companies", company, "users", user, "enrollments", str(reference_id)))

    def erase_user(self, company: str, user: str) -> models.Receipt:
        return self._receipt(_path("companies", company, "users", user))

    def erase_company(self, company: str) -> models.Receipt:
        return self._receipt(_path("companies", company))

    # What was asked

    def events(
        self,
        cursor: str | None = None,
        limit: int = 100,
        company: str | None = None,
        user: str | None = None,
        operation: Operation | None = None,
        reason: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page[models.Event]:
        return self._get(
            Page[models.Event],
            "/v1/events",
            cursor=cursor,
            limit=limit,
            company=company,
            user=user,
            operation=operation,
            reason=reason,
            since=_moment(since),
            until=_moment(until),
        )

    def stats(
        self,
        since: datetime,
        until: datetime,
        bucket_s: int | None = None,
        company: str | None = None,
        operation: Operation | None = None,
    ) -> models.Stats:
        """Return what the events add up to, in buckets of so many seconds; None: in one of the whole time."""
        return self._get(
            models.Stats,
            "/v1/stats",
            since=_moment(since),
            until=_moment(until),
            bucket_s=bucket_s,
            whole=True if bucket_s is None else None,
            company=company,
            operation=operation,
        )

    def company_stats(
        self, since: datetime, until: datetime, operation: Operation | None = None
    ) -> models.CompanyStats:
        return self._get(
            models.CompanyStats,
            "/v1/stats/companies",
            since=_moment(since),
            until=_moment(until),
            operation=operation,
        )

    def audit(
        self,
        cursor: str | None = None,
        limit: int = 100,
        company: str | None = None,
        user: str | None = None,
        action: str | None = None,
        actor: str | None = None,
    ) -> Page[models.AuditEntry]:
        return self._get(
            Page[models.AuditEntry],
            "/v1/audit",
            cursor=cursor,
            limit=limit,
            company=company,
            user=user,
            action=action,
            actor=actor,
        )

    def verify_audit(self) -> models.AuditVerification:
        return self._get(models.AuditVerification, "/v1/audit/verification", timeout_s=LASTING_TIMEOUT_S)

    # Keys

    def keys(self, cursor: str | None = None, limit: int = 100, company: str | None = None) -> Page[models.Key]:
        return self._get(Page[models.Key], "/v1/keys", cursor=cursor, limit=limit, company=company)

    def create_key(self, company: str | None, label: str) -> models.NewKey:
        """Make a key of a company, or, without one, of an administrator."""
        whose: dict[str, object] = {"admin": True} if company is None else {"company": company}
        return self._parsed(models.NewKey, self._checked("POST", "/v1/keys", json=whose | {"label": label}))

    def revoke_key(self, key_id: str) -> models.Key:
        return self._parsed(models.Key, self._checked("DELETE", _path("keys", key_id)))

    # How it is sent

    def _get(self, model: type[_Model], path: str, timeout_s: float = TIMEOUT_S, **query: object) -> _Model:
        parameters = {name: str(value) for name, value in query.items() if value is not None}
        return self._parsed(model, self._checked("GET", path, timeout_s=timeout_s, params=parameters))

    def _photo(self, path: str, photo: bytes, fields: Mapping[str, str]) -> httpx2.Response:
        # Without a name: whom a photo shows is often told by the name of its file.
        return self._checked(
            "POST", path, timeout_s=PHOTO_TIMEOUT_S, files={"image": ("photo", photo)}, data=dict(fields)
        )

    def _receipt(self, path: str) -> models.Receipt:
        response = self._checked("DELETE", path, timeout_s=LASTING_TIMEOUT_S)
        return self._parsed(models.Receipt, response).model_copy(update={"document": response.text})

    def _checked(self, method: str, path: str, **options: Any) -> httpx2.Response:
        response = self._send(method, path, **options)
        if response.is_success:
            return response
        raise self._error(response)

    def _send(self, method: str, path: str, timeout_s: float = TIMEOUT_S, **options: Any) -> httpx2.Response:
        try:
            key = self.read_key()
        except SettingsError as error:
            raise AccessDeniedError(KEY_UNREADABLE, "key_unreadable") from error
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        try:
            return self._http.request(method, self.base_url + path, headers=headers, timeout=timeout_s, **options)
        except httpx2.ConnectTimeout as error:
            raise ApiError(NOTHING_ANSWERS, "unreachable", url=self.base_url) from error
        except httpx2.TimeoutException as error:
            raise ApiError(TOO_SLOW, "unreachable", url=self.base_url, seconds=f"{timeout_s:g}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            raise ApiError(NOTHING_ANSWERS, "unreachable", url=self.base_url) from error

    def _error(self, response: httpx2.Response) -> ApiError:
        try:
            problem = response.json()
            title, reason = _literal(problem["title"]), str(problem["reason"])
            request_id = str(problem["request_id"])
        except (ValueError, LookupError, TypeError):
            return ApiError(OTHER_STATUS, "unexpected", url=self.base_url, status=response.status_code)
        if response.status_code in {401, 403}:
            return AccessDeniedError(title, reason, request_id)
        if response.is_client_error:
            return RefusedError(title, reason, request_id)
        return ApiError(title, reason, request_id)

    def _parsed(self, model: type[_Model], response: httpx2.Response) -> _Model:
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise ApiError(OTHER_SERVICE, "unexpected", url=self.base_url) from error


def _path(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _literal(text: object) -> str:
    """Return a template that says the text."""
    return str(text).replace("{", "{{").replace("}", "}}")
