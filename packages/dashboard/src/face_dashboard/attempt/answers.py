"""What was answered: the photo with its verdicts, the faces one by one, the time it took, and the contract's answer."""

from collections.abc import Sequence

import streamlit as st

from face_dashboard import access, charts, elements
from face_dashboard.attempt.asking import Attempt
from face_dashboard.attempt.cards import show_card
from face_dashboard.attempt.choosing import PEOPLE
from face_dashboard.attempt.figures import distance_scale, stage_times
from face_dashboard.attempt.rates import calibration_of
from face_dashboard.attempt.what_if import chosen_tolerance
from face_dashboard.models import ContractAnswer, Person, Verification
from face_dashboard.photos import Mark, Shown, drawn
from face_dashboard.reasons import in_words
from face_dashboard.words import _, milliseconds, number

CARDS = 3
"""In a row."""

HEIGHT = 640
"""Pixels of the photo, at most."""

NOT_ENROLLED = frozenset({"user_unregistered", "references_outdated"})

LANDMARKS_KEY = "attempt_landmarks"


@st.fragment
def show_attempt(attempt: Attempt) -> None:
    """Show an attempt; what is changed here sends nothing to the service but who may look at it."""
    access.api()
    if attempt.verification is None:
        _show_refusal(attempt)
        return
    _show_verification(attempt, attempt.verification)
    left, right = st.columns(2)
    with left.container(border=True, height="stretch"):
        elements.chart(stage_times(attempt.verification.timings_ms, _), "attempt_stages")
        total = attempt.verification.timings_ms.get("total")
        if total is not None:
            _show_total(total)
    with right.container(border=True, height="stretch"):
        _show_contract(attempt.contract)


def _show_verification(attempt: Attempt, verification: Verification) -> None:
    persons, calibration = verification.persons, calibration_of(attempt.decision)
    decided = persons[0].tolerance
    photo, scale = st.columns(2, gap="medium")
    with scale:
        summary = st.container()
        tolerance = chosen_tolerance(decided, calibration)
    actual = None if tolerance == decided else decided
    matches = [person.verdict == "match" if actual is None else person.distance <= tolerance for person in persons]
    with photo:
        selected = _select(persons)
        _show_photo(attempt, persons, matches, selected)
    summary.subheader(_summary(matches, is_what_if=actual is not None), anchor=False)
    figure = distance_scale(persons, matches, tolerance, calibration, _, actual=actual)
    with scale:
        elements.chart(figure, "attempt_distances")
    shown = [pair for pair in zip(persons, matches, strict=True) if selected in {None, pair[0].number}]
    if len(persons) == 1:
        columns = [scale]
    for place, (person, is_match) in enumerate(shown):
        if len(persons) > 1 and place % CARDS == 0:
            columns = st.columns(CARDS)
        with columns[place % CARDS]:
            show_card(attempt, person, tolerance, calibration, is_match=is_match)


def _select(persons: Sequence[Person]) -> int | None:
    """Return the number of the face that the reader wants to see; None: all."""
    if len(persons) == 1:
        return None
    return st.pills(
        _("Show one face"),
        [person.number for person in persons],
        format_func=lambda one: _("Face {number}", number=one),
        key="attempt_selected",
    )


def _show_photo(attempt: Attempt, persons: Sequence[Person], matches: Sequence[bool], selected: int | None) -> None:
    if attempt.picture is None:
        st.info(_("The service could read the photo, but it cannot be shown here."), icon=":material/broken_image:")
        return
    with_landmarks = bool(st.session_state.get(LANDMARKS_KEY))
    marks = [
        Mark(person.number, person.box, is_match, person.landmarks if with_landmarks else ())
        for person, is_match in zip(persons, matches, strict=True)
    ]
    legend = _("Blue and solid: match. Orange and dashed: dismatch. Faces are numbered from left to right.")
    with st.container(width=_width(attempt.picture)):
        st.image(drawn(attempt.picture, marks, selected), legend, width="stretch", alt=_("The photo, with its faces"))
    st.toggle(_("Show eyes and nose"), key=LANDMARKS_KEY)


def _width(picture: Shown) -> int:
    """Return the width in pixels at which the picture is as high as it may be; the column may have less."""
    return max(1, round(HEIGHT * picture.width / picture.height))


def _summary(matches: Sequence[bool], *, is_what_if: bool) -> str:
    count = sum(matches)
    if len(matches) == 1 and not is_what_if:
        return _("The face matches") if count else _("The face does not match")
    if is_what_if:
        return _("{count} of {all} faces would match", count=number(count), all=number(len(matches)))
    return _("{count} of {all} faces match", count=number(count), all=number(len(matches)))


def _show_refusal(attempt: Attempt) -> None:
    """Say why there is no verdict, beside the photo and what the contract answered."""
    st.warning(_("**No verdict.** {reason}", reason=in_words(attempt.reason, _)), icon=":material/block:")
    if attempt.reason in NOT_ENROLLED:
        st.page_link(PEOPLE, label=_("Enroll somebody"), icon=":material/person_add:")
    photo, contract = st.columns(2)
    if attempt.picture is not None:
        with photo, st.container(width=_width(attempt.picture)):
            st.image(attempt.picture.jpeg, width="stretch", alt=_("The photo that was sent"))
    with contract.container(border=True):
        _show_contract(attempt.contract)


def _show_total(total_ms: float) -> None:
    target = charts.TARGETS_MS["analyse"]
    st.markdown(
        _(
            "**{total}** in all, within the specification's {target}.",
            total=milliseconds(total_ms),
            target=milliseconds(target),
        )
        if total_ms <= target
        else _(
            "**{total}** in all, over the specification's {target}.",
            total=milliseconds(total_ms),
            target=milliseconds(target),
        )
    )
    st.caption(_("Measured inside the service, of v1's answer. The specification's time is a mean, for one person."))


def _show_contract(answer: ContractAnswer) -> None:
    st.markdown(_("**What the specification's endpoint answers**"))
    st.caption("`POST /analy_img/`")
    with st.container(horizontal=True):
        st.badge(f"HTTP {answer.status}", color="gray")
        if answer.reason is not None:
            st.badge(f"X-Face-Reason: {answer.reason}", color="gray")
    st.code(answer.body, language="json", wrap_lines=True)
    if answer.reason is not None:
        st.caption(in_words(answer.reason, _))
    if answer.request_id is not None:
        st.caption(_("In the API's log it is the request `{request_id}`.", request_id=answer.request_id))
