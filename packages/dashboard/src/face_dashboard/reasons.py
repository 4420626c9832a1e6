"""What the API's reasons (X-Face-Reason) are in words: what it was, and what helps."""

from collections.abc import Mapping
from types import MappingProxyType

from face_dashboard.translations import Say


def say(text: str) -> str:
    """Mark a text for the catalogue: it is translated where it is shown."""
    return text


_SEND_AGAIN = say("Try again in a moment.")
_OPERATOR = say("Whoever runs the service has to look at its log.")
_OTHER_PHOTO = say("Take another photo.")
_OTHER_FILE = say("Open it in a picture editor and save it as JPEG, or take another photo.")
_CLIENT = say("The program that sent it has to be corrected.")
_KEY = say("The dashboard, or the program that asks, needs another key.")
_RELOAD = say("Load the page again.")
_NOTHING = ""

WORDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # What went well
        "compared": (say("Compared."), _NOTHING),
        "enrolled": (say("Enrolled."), _NOTHING),
        "already_enrolled": (say("This photo was enrolled already."), _NOTHING),
        # The face
        "no_face": (
            say("No face was found."),
            say("Use a photo that shows the whole face from the front, uncovered and in good light."),
        ),
        "several_faces": (
            say("Several faces of about the same size were found."),
            say("Use a photo of this person alone, or cut the others off."),
        ),
        "face_too_small": (say("The face is too small."), say("Go closer, or use a photo of more pixels.")),
        "face_blurred": (say("The face is blurred."), say("Hold the camera still and focus on the face.")),
        "face_too_dark": (say("The face is too dark."), say("Turn on a light in front of the face.")),
        "face_too_bright": (say("The face is too bright."), say("Avoid direct sun and flash.")),
        "face_turned": (say("The face is turned away."), say("Look straight into the camera.")),
        "face_cut": (
            say("The face is cut by the border of the photo."),
            say("Leave some room around the head."),
        ),
        # The file
        "image_missing": (say("There is no photo."), say("Choose one.")),
        "image_repeated": (say("There was more than one photo."), say("Send one at a time.")),
        "image_too_large": (say("The file is too large."), say("Save the photo with fewer pixels or a lower quality.")),
        "message_too_large": (
            say("The message is too large."),
            say("Save the photo with fewer pixels or a lower quality."),
        ),
        "image_too_small": (
            say("The file is too small."),
            say("Use the photo as the camera made it, not a preview or a screenshot."),
        ),
        "image_type_unsupported": (say("The file is neither a JPEG nor a PNG."), _OTHER_FILE),
        "image_truncated": (say("The file is cut off: its end is missing."), say("Copy or upload it again.")),
        "image_corrupt": (say("The file is damaged."), _OTHER_FILE),
        "image_too_many_pixels": (say("The photo has too many pixels."), say("Save it smaller.")),
        "image_too_many_scans": (say("The JPEG is built in an unusual way."), _OTHER_FILE),
        # Who
        "company_missing": (say("The company is missing."), say("Enter its name.")),
        "company_invalid": (say("This cannot be a company."), say("Use 1 to 128 lower-case letters and digits.")),
        "id_missing": (say("The user's id is missing."), say("Enter it.")),
        "id_invalid": (say("This cannot be a user's id."), say("Use 1 to 128 lower-case letters and digits.")),
        "gender_invalid": (say("This cannot be a gender."), say("Use 0 (female) or 1 (male), or leave it out.")),
        "age_invalid": (say("This cannot be an age."), say("Use a whole number from 0 to 150, or leave it out.")),
        "company_unregistered": (
            say("The company is not registered."),
            say("It is made with its first enrollment. Perhaps it was erased."),
        ),
        "user_unregistered": (
            say("The user is not registered under this company."),
            say("Enroll a photo first. Perhaps the user was erased."),
        ),
        "enrollment_unknown": (
            say("There is no such enrollment."),
            say("Perhaps it was deleted, or replaced by a newer one."),
        ),
        "image_not_kept": (say("No picture of this enrollment is kept."), _NOTHING),
        "references_outdated": (
            say("The user was enrolled with another encoder."),
            say("Enroll a photo again, or run `face-api reencode`."),
        ),
        # The tolerance
        "decision_fixed": (
            say("The tolerance is fixed by a setting of the service."),
            say("Remove `FACE_API_TOLERANCE` and start the service again, then it can be changed here."),
        ),
        "encoder_mismatch": (
            say("The calibration was made with another encoder."),
            say("Run the evaluation again with the encoder that the service has."),
        ),
        # Keys
        "key_missing": (say("The service asks for an API key."), _KEY),
        "key_invalid": (say("The API key is not valid, or was revoked."), _KEY),
        "company_forbidden": (say("The API key is another company's."), _KEY),
        "admin_required": (say("An administrator's key is needed."), _KEY),
        "key_unknown": (say("There is no such API key."), _RELOAD),
        "proxy_forbidden": (
            say("Without API keys the service takes nothing from a proxy."),
            say("Ask it directly, or let it run with keys."),
        ),
        "host_forbidden": (
            say("Without API keys the service is asked by the name of its own machine alone."),
            say("Ask `127.0.0.1`, or let it run with keys."),
        ),
        "origin_forbidden": (
            say("Without API keys the service answers no other site's pages."),
            say("Let it run with keys, and ask it from a server."),
        ),
        # Too much
        "too_many_attempts": (say("Too many faces were compared with this user."), say("Wait a minute.")),
        "too_many_requests": (say("Too many requests came with this API key."), say("Wait a minute.")),
        "overloaded": (say("The service has too much to do."), _SEND_AGAIN),
        "too_many_connections": (say("The service has too many connections."), _SEND_AGAIN),
        "deadline_exceeded": (say("The service took too long."), _SEND_AGAIN),
        # The service
        "unreachable": (say("The service does not answer."), say("See whether it runs.")),
        "unexpected": (say("The answer is not the service's."), say("See whether its address is right.")),
        "internal_error": (say("The service has a bug."), say("Please report the request's id.")),
        "limits_unavailable": (say("Attempts cannot be counted now."), _SEND_AGAIN),
        "store_unavailable": (say("The database cannot be read or written now."), _SEND_AGAIN),
        "store_damaged": (say("What is stored does not open."), _OPERATOR),
        "store_key_missing": (say("The key of what is stored is missing."), _OPERATOR),
        "store_keys": (say("The keys of what is stored are not the right ones."), _OPERATOR),
        "audit_broken": (say("The audit trail was tampered with."), _OPERATOR),
        "inference_failed": (say("The networks could not be run."), _OPERATOR),
        "inference_out_of_memory": (say("There was not enough memory for the photo."), _SEND_AGAIN),
        "inference_timeout": (say("The photo took too long."), _OTHER_PHOTO),
        "inference_worker_lost": (say("The process that looked at the photo died."), _SEND_AGAIN),
        # The message
        "form_invalid": (say("The form is not complete."), _CLIENT),
        "json_invalid": (say("The message is not of the form that is asked for."), _CLIENT),
        "http_invalid": (say("The message is no HTTP."), _CLIENT),
        "query_invalid": (say("A part of the question is not accepted."), _CLIENT),
        "cursor_invalid": (say("This place in the list is not known."), _RELOAD),
        "idempotency_key_invalid": (say("The Idempotency-Key is not accepted."), _CLIENT),
        "idempotency_key_in_use": (say("The first request with this Idempotency-Key is still under way."), _SEND_AGAIN),
        "idempotency_key_reused": (say("This Idempotency-Key was sent with another request."), _CLIENT),
        "path_unknown": (say("The service does not know this address."), _CLIENT),
        "method_not_allowed": (say("The service does not do this at this address."), _CLIENT),
        "caller_gone": (say("Who asked did not wait for the answer."), _NOTHING),
        "head_timeout": (say("The request did not arrive in time."), _SEND_AGAIN),
        "message_incomplete": (say("The message did not arrive in time."), _SEND_AGAIN),
    }
)
"""By reason: what it was, and what helps. English; a catalogue has the other languages."""


def in_words(reason: str, _: Say) -> str:
    """Return a reason in words, and what helps."""
    what, advice = WORDS.get(reason, (reason, _NOTHING))
    return f"{_(what)} {_(advice)}" if advice else _(what)


def in_short(reason: str, _: Say) -> str:
    """Return a reason in a few words, for tables and charts: without what helps."""
    return _(WORDS.get(reason, (reason, _NOTHING))[0])


def what_helps(reason: str, _: Say) -> str:
    """Return what helps, without what it was; the empty text where nothing does, or the reason is not known."""
    advice = WORDS.get(reason, (reason, _NOTHING))[1]
    return _(advice) if advice else ""
