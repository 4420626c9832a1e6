"""What v1 says of each reason: an HTTP status, and a title for people. The table is part of the OpenAPI document."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from face_api.errors import RefusalError, RequestError

TYPE_PREFIX = "urn:face-api:problem:"

PROBLEMS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "form_invalid": (400, "The message is not multipart/form-data, is not complete, or has more than 32 parts."),
        "json_invalid": (400, "The message is not JSON of the form that is asked for."),
        "http_invalid": (400, "The message is not HTTP/1.1."),
        "query_invalid": (422, "A query parameter is not accepted."),
        "cursor_invalid": (422, "The cursor was not given by this list."),
        "idempotency_key_invalid": (422, "Idempotency-Key is 1 to 64 letters, digits, '.', '_' and '-'."),
        "company_missing": (422, "The company is missing."),
        "company_invalid": (422, "A company is 1 to 128 lower-case letters and digits."),
        "id_missing": (422, "The user's id is missing."),
        "id_invalid": (422, "A user's id is 1 to 128 lower-case letters and digits."),
        "gender_invalid": (422, "gender is 0 (female) or 1 (male)."),
        "age_invalid": (422, "age is a whole number from 0 to 150."),
        "caller_gone": (400, "The caller went away before the answer."),
        "image_missing": (422, "The form has no file named image."),
        "image_repeated": (422, "The form has more than one image."),
        "key_missing": (401, "An API key is needed: Authorization: Bearer, or X-API-Key."),
        "key_invalid": (401, "The API key is not valid, or was revoked."),
        "company_forbidden": (403, "The API key is another company's."),
        "admin_required": (403, "An administrator's key is needed."),
        "proxy_forbidden": (
            403,
            "Without API keys the service is for this machine alone, not for what a proxy brings.",
        ),
        "host_forbidden": (403, "Without API keys the service is asked for by the name of this machine alone."),
        "origin_forbidden": (403, "Without API keys the service does not answer other sites' pages."),
        "path_unknown": (404, "There is no such path."),
        "company_unregistered": (404, "The company is not registered."),
        "user_unregistered": (404, "The user is not registered under this company."),
        "enrollment_unknown": (404, "The user has no such enrollment."),
        "image_not_kept": (404, "No image of this enrollment is kept."),
        "key_unknown": (404, "There is no such API key."),
        "method_not_allowed": (405, "This path does not take this method; Allow names those that it takes."),
        "head_timeout": (408, "The head of the request did not arrive in time."),
        "message_incomplete": (408, "The message did not arrive in time."),
        "references_outdated": (409, "The user was enrolled with another encoder, and has to be enrolled again."),
        "decision_fixed": (409, "The operator set the tolerance (FACE_API_TOLERANCE), so none can be applied."),
        "encoder_mismatch": (409, "The calibration was measured with another encoder than this service has."),
        "idempotency_key_in_use": (409, "The first request with this Idempotency-Key is still under way."),
        "idempotency_key_reused": (422, "This Idempotency-Key was sent with another request."),
        "message_too_large": (413, "The message is too large."),
        "image_too_large": (413, "The image file is too large."),
        "image_too_small": (422, "The image file is too small."),
        "image_type_unsupported": (415, "The image is of a type that is not taken."),
        "image_truncated": (422, "The image file is cut off: its end is missing."),
        "image_corrupt": (422, "The image file is damaged and cannot be decoded."),
        "image_too_many_pixels": (422, "The image has too many pixels."),
        "image_too_many_scans": (422, "The JPEG has more scans than any camera or editor writes."),
        "no_face": (422, "No face was found."),
        "several_faces": (422, "Several faces of about the same size were found."),
        "face_too_small": (422, "The face is too small."),
        "face_blurred": (422, "The face is blurred."),
        "face_too_dark": (422, "The face is too dark."),
        "face_too_bright": (422, "The face is too bright."),
        "face_turned": (422, "The face is turned away."),
        "face_cut": (422, "The face is cut by the border of the photo."),
        "too_many_attempts": (429, "Too many faces were compared with this user."),
        "too_many_requests": (429, "Too many requests came with this API key."),
        "internal_error": (500, "A bug. Please report the request id."),
        "overloaded": (503, "Too many requests at a time."),
        "too_many_connections": (503, "Too many connections at a time."),
        "deadline_exceeded": (503, "The request took too long."),
        "limits_unavailable": (503, "Attempts cannot be counted now."),
        "store_unavailable": (503, "The database cannot be read or written now."),
        "store_damaged": (503, "What is stored does not open. An operator is needed."),
        "store_key_missing": (503, "What is stored does not open. An operator is needed."),
        "store_keys": (503, "What is stored does not open. An operator is needed."),
        "audit_broken": (503, "The audit trail was tampered with. An operator is needed."),
        "inference_failed": (503, "The networks could not be run."),
        "inference_out_of_memory": (503, "There was not enough memory for the photo."),
        "inference_timeout": (503, "The analysis of the photo took too long."),
        "inference_worker_lost": (503, "The process that analysed the photo died."),
    }
)


def problem(error: RequestError, request_id: str) -> tuple[int, dict[str, Any]]:
    """Return the HTTP status and the problem details (RFC 9457) of an error."""
    status, title = PROBLEMS.get(error.reason, (error.status, "The service cannot answer now."))
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + error.reason,
        "title": title,
        "status": status,
        "reason": error.reason,
        "request_id": request_id,
    }
    if isinstance(error, RefusalError):
        body |= error.more
    return status, body
