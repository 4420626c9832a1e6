"""The enrollments of a user: the kept face of each, when and how it came, what it is worth; and deleting one."""

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.client import AccessDeniedError, ApiError, RefusedError
from face_dashboard.models import Reference, UserDetails
from face_dashboard.people.place import here
from face_dashboard.people.quality import show_quality
from face_dashboard.words import _, ago, moment

IN_A_ROW = 4
FACE = 150
"""Pixels of a kept face's side."""

FACES = "people_faces"
"""The kept faces of the user who is looked at: asked for once, since each look is an entry of the audit trail."""


def show_references(user: UserDetails, encoder_id: str) -> None:
    """Show the enrollments, the newest first. Raises ApiError."""
    references = sorted(user.enrollments, key=lambda one: one.id, reverse=True)
    for start in range(0, len(references), IN_A_ROW):
        for column, reference in zip(st.columns(IN_A_ROW), references[start : start + IN_A_ROW], strict=False):
            with column.container(border=True, height="stretch"):
                _show(user, reference, encoder_id)


def _show(user: UserDetails, reference: Reference, encoder_id: str) -> None:
    face = _face(user, reference)
    if face is None:
        with st.container(height=FACE, border=False):
            st.caption(_("No picture of this enrollment is kept."))
    else:
        st.image(face, width=FACE, alt=_("The face that was enrolled as #{id}", id=reference.id))
    st.markdown(f"**#{reference.id}** · {ago(reference.created_at)}")
    st.caption(f"{_origin(reference)} · {moment(reference.created_at)}")
    if reference.encoder_id != encoder_id:
        st.badge(_("another encoder"), icon=":material/update:", color="red")
        st.markdown(_("Nobody can be compared with it any more. Enroll a photo again."))
    if reference.quality is None:
        st.caption(_("It was enrolled before the quality was kept."))
    else:
        show_quality(reference.quality)
    if st.button(_("Delete"), icon=":material/delete:", type="tertiary", key=f"people_delete_{reference.id}"):
        st.dialog(_("Delete an enrollment"), icon=":material/delete:")(_confirm)(user, reference)


def _face(user: UserDetails, reference: Reference) -> bytes | None:
    """Return the kept face, a PNG; None where there is none. Raises ApiError."""
    if not reference.has_image:
        return None
    kept = st.session_state.get(FACES)
    if kept is None or kept["place"] != here():
        kept = st.session_state[FACES] = {"place": here()}
    if reference.id not in kept:
        try:
            kept[reference.id] = access.api().enrollment_image(user.company, user.id, reference.id)
        except AccessDeniedError:
            raise
        except RefusedError:  # it was deleted this moment
            return None
    face: bytes = kept[reference.id]
    return face


def _origin(reference: Reference) -> str:
    """Return by which endpoint, and with whose key, it was enrolled."""
    ways = {"contract": _("by the specification's endpoint"), "v1": _("by v1")}
    if reference.via is None:
        return _("how is not known")
    who = reference.enrolled_by
    if who is None or who == "anonymous":
        return ways[reference.via]
    return _("{way}, with the key {key}", way=ways[reference.via], key=f"`{who}`")


def _confirm(user: UserDetails, reference: Reference) -> None:
    st.markdown(
        _(
            "The enrollment **#{id}** of {user}, its kept face and its encoding are removed for good.",
            id=reference.id,
            user=user.id,
        )
    )
    if len(user.enrollments) == 1:
        st.warning(
            _("It is the only one: until another photo is enrolled, nobody can be compared with this user."),
            icon=":material/warning:",
        )
    if st.button(_("Delete it"), type="primary", key="people_delete_now", width="stretch"):
        try:
            access.api().remove_enrollment(user.company, user.id, reference.id)
        except ApiError as error:
            elements.failure(error)
        else:
            st.toast(_("Enrollment #{id} is deleted.", id=reference.id), icon=":material/check_circle:")
            st.rerun()
