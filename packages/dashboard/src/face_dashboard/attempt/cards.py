"""Each face of the photo on a card: the verdict, how near it is to the reference, and what its picture is worth."""

import streamlit as st

from face_dashboard.attempt.asking import Attempt
from face_dashboard.attempt.rates import strangers
from face_dashboard.models import Person
from face_dashboard.reasons import in_words
from face_dashboard.words import _, number, percent
from face_engine.calibration import Calibration

PICTURE = 132
"""Pixels of a face's side."""


def show_verdict(*, is_match: bool, is_what_if: bool) -> None:
    """Show a verdict as a badge, in the colours of the boxes as near as there are."""
    if is_match:
        label, icon = (_("would match") if is_what_if else _("match")), ":material/check_circle:"
    else:
        label, icon = (_("would be a dismatch") if is_what_if else _("dismatch")), ":material/cancel:"
    st.badge(label, icon=icon, color="blue" if is_match else "orange")


def show_card(
    attempt: Attempt, person: Person, tolerance: float, calibration: Calibration | None, *, is_match: bool
) -> None:
    """Show a face, at a tolerance that may not be the one decided by."""
    with st.container(border=True, height="stretch"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(_("**Face {number}**", number=number(person.number)), width="content")
            show_verdict(is_match=is_match, is_what_if=tolerance != person.tolerance)
        with st.container(horizontal=True):
            _show_picture(
                attempt.faces[person.number - 1] if attempt.faces else None,
                _("In this photo"),
                _("The photo cannot be opened here."),
            )
            _show_picture(
                attempt.chips.get(person.reference_id),
                _("Reference #{id}", id=person.reference_id),
                _("No face is kept of reference #{id}.", id=person.reference_id),
            )
        distance, limit = f"{person.distance:.3f}", number(tolerance, 4)
        st.markdown(
            _("Distance **{distance}**, not above the tolerance {tolerance}.", distance=distance, tolerance=limit)
            if is_match
            else _("Distance **{distance}**, above the tolerance {tolerance}.", distance=distance, tolerance=limit)
        )
        st.markdown(strangers(person.estimated_false_match_rate, calibration, _))
        _show_quality(person)


def _show_picture(picture: bytes | None, caption: str, absence: str) -> None:
    if picture is None:
        with st.container(width=PICTURE):
            st.caption(absence)
    else:
        st.image(picture, caption, width=PICTURE, alt=caption)


def _show_quality(person: Person) -> None:
    quality = person.quality
    for reason in quality.reasons:
        st.warning(in_words(reason, _), icon=":material/photo_camera:")
    st.caption(
        _(
            "Face of {size} pixels, sharpness {sharpness}, brightness {brightness}, turned {turn}, "
            "inside the photo {inside}, score of the detection {score}.",
            size=number(quality.size),
            sharpness=number(quality.sharpness, 2),
            brightness=percent(quality.brightness, 0),
            turn=percent(quality.turn, 0),
            inside=percent(quality.inside, 0),
            score=number(person.confidence, 2),
        )
    )
