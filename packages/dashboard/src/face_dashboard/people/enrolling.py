"""Enrolling a photo, from a file or the camera: of somebody new, or one more of a user."""

from dataclasses import dataclass

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.client import AccessDeniedError, ApiError, RefusedError
from face_dashboard.models import Enrollment
from face_dashboard.names import is_name
from face_dashboard.people.place import Place, go, of_user
from face_dashboard.people.profile import ask_profile
from face_dashboard.people.quality import show_quality
from face_dashboard.photo_input import ask_photo
from face_dashboard.photos import opened, shown
from face_dashboard.reasons import in_words
from face_dashboard.words import _, number
from face_engine.errors import ImageError

PREVIEW = 220
"""Pixels of its width."""

DONE = "people_enrolled_last"
COUNT = "people_enroll_count"
"""How many were enrolled: the next form is another one, and empty."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What became of the last photo, shown where its user is."""

    company: str
    user: str
    enrollment: Enrollment


def show_enrolling(place: Place) -> None:
    """Ask who is to be enrolled, and for the photo. Raises ApiError."""
    st.subheader(_("Enroll somebody"), anchor=False)
    st.caption(_("The first photo makes the user, and the company where there is none of that name."))
    _show_form(place.company, None)


@st.fragment
def show_enrolling_more(company: str, user: str) -> None:
    """Ask for one more photo of a user."""
    access.api()
    with elements.failures_shown():
        _show_form(company, user)


def show_enrolled(company: str, user: str) -> None:
    """Show what became of the photo that was enrolled last, where it is this user's."""
    done: Enrolled | None = st.session_state.get(DONE)
    if done is None or (done.company, done.user) != (company, user):
        return
    made = done.enrollment
    with st.container(border=True):
        if made.outcome == "already_enrolled":
            st.info(
                _("This very photo was enrolled already, as #{id}: nothing was changed.", id=made.reference_id),
                icon=":material/info:",
            )
        else:
            st.success(_("The photo is enrolled, as #{id}.", id=made.reference_id), icon=":material/check_circle:")
        if made.face is not None:
            show_quality(made.face.quality)
        st.button(_("Dismiss"), type="tertiary", key="people_enrolled_dismiss", on_click=_forget)


def _forget() -> None:
    st.session_state.pop(DONE, None)


def _show_form(company: str | None, user: str | None) -> None:
    key = f"people_enroll_{st.session_state.get(COUNT, 0)}"
    who, what = st.columns([2, 3], gap="large")
    with who:
        if user is None:
            company, user = _ask_whom(company, key)
            gender, age = ask_profile(key)
        else:
            gender, age = ask_profile(key)
            st.caption(_("What is left empty stays as it is known."))
    with what:
        photo = _ask_photo(key)
    if not st.button(
        _("Enroll"),
        type="primary",
        icon=":material/person_add:",
        disabled=photo is None or company is None or user is None,
        key="people_enroll",
    ):
        return
    if photo is not None and company is not None and user is not None:
        _enroll(company, user, photo, gender, age)


def _enroll(company: str, user: str, photo: bytes, gender: int | None, age: int | None) -> None:
    try:
        with st.spinner(_("Looking at the photo …")):
            made = access.api().enroll(company, user, photo, gender, age)
            st.session_state[DONE] = Enrolled(company, user, made)
    except AccessDeniedError as error:
        elements.failure(error)
    except RefusedError as error:
        st.error(
            _("**The photo was not enrolled.** {reason}", reason=in_words(error.reason, _)), icon=":material/block:"
        )
    except ApiError as error:
        elements.failure(error)
    else:
        st.session_state[COUNT] = st.session_state.get(COUNT, 0) + 1
        st.toast(_("The photo of {user} is enrolled.", user=user), icon=":material/check:")
        go(of_user(company, user))
        st.rerun()


def _ask_whom(company: str | None, key: str) -> tuple[str | None, str | None]:
    """Return company and id as far as they are given and of the right form."""
    given = st.text_input(_("Company"), value=company or "", key=f"{key}_company", max_chars=128)
    id_given = st.text_input(_("User's id"), key=f"{key}_user", max_chars=128)
    names = [str(text or "").strip() for text in (given, id_given)]
    if any(name and not is_name(name) for name in names):
        st.warning(_("Companies and users have lower-case letters and digits only."), icon=":material/warning:")
    company, user = (name if is_name(name) else None for name in names)
    if company is not None and user is not None:
        _say_whether_new(company, user)
    return company, user


def _say_whether_new(company: str, user: str) -> None:
    try:
        known = access.api().user(company, user)
    except AccessDeniedError:
        raise
    except RefusedError:
        st.caption(_("{user} is a new user of {company}.", user=user, company=company))
    else:
        st.info(
            _(
                "{user} is registered already, with {count} enrollments: this photo will be one more of theirs.",
                user=user,
                count=number(len(known.enrollments)),
            ),
            icon=":material/info:",
        )


def _ask_photo(key: str) -> bytes | None:
    photo = ask_photo(key)
    if photo is None or st.session_state[f"{key}_source"] == "camera":  # which shows what it took
        return photo
    try:
        st.image(shown(opened(photo)).jpeg, width=PREVIEW, alt=_("The photo that was chosen"))
    except ImageError:
        st.caption(_("The photo cannot be shown here. The service may still be able to read it."))
    return photo
