"""The sizes of files that the service takes, and how a photo is brought there."""

from dataclasses import dataclass, replace

import streamlit as st

from face_dashboard import access
from face_dashboard.attempt.asking import Wanted
from face_dashboard.attempt.reencoding import OutsideBandError, ReEncoded, into_band
from face_dashboard.client import ApiError
from face_dashboard.reasons import in_words
from face_dashboard.words import _, number, percent
from face_engine.errors import ImageError

KEPT_S = 60

KIB = 1024


@dataclass(frozen=True, slots=True)
class Band:
    """Bytes of a file: what the endpoint of the specification takes, both included, and at most of a message."""

    low: int = 300 * 1000
    high: int = 500 * KIB
    message: int = 1000 * KIB


def band() -> Band:
    """Return what the service takes: by its settings where they can be asked for, else by the specification."""
    try:
        return _asked(access.api().base_url)
    except ApiError:
        return Band()


# The address is an argument so that nothing of another API is shown.
@st.cache_data(ttl=KEPT_S, show_spinner=False, max_entries=8)
def _asked(base_url: str) -> Band:  # noqa: ARG001
    values = {setting.name: setting.value for setting in access.api().settings().settings}
    names = {
        "low": "FACE_API_MIN_IMAGE_BYTES",
        "high": "FACE_API_MAX_IMAGE_BYTES",
        "message": "FACE_API_MAX_MESSAGE_BYTES",
    }
    return replace(Band(), **{field: int(value) for field, name in names.items() if (value := values.get(name))})


def sent(wanted: Wanted) -> Wanted:
    """Say whether the photo's size is one that is taken, offer to change it, and return what is to be sent."""
    limits = band()
    kept: tuple[tuple[str, str, str], ReEncoded] | None = st.session_state.get("attempt_reencoded")
    if kept is not None and kept[0] == wanted.mark:
        _show_change(wanted, kept[1])
        return replace(wanted, photo=kept[1].photo)
    size = len(wanted.photo)
    if limits.low <= size <= limits.high:
        st.success(
            _("The file has {size} KB, within the specification's band.", size=_kilobytes(size)),
            icon=":material/check:",
        )
        return wanted
    advice = (
        _("It is too large for v1, too: a message has {most} KB at most.", most=_kilobytes(limits.message))
        if size > limits.message
        else _("v1 takes it: there you get the full answer.")
    )
    refusal = _(
        "**The file has {size} KB. The specification's endpoint takes {low} to {high} KB, and will refuse it as "
        "`img_size_err`.**",
        size=_kilobytes(size),
        low=_kilobytes(limits.low),
        high=_kilobytes(limits.high),
    )
    st.warning(f"{refusal} {advice}", icon=":material/straighten:")
    if st.button(_("Re-encode into the band"), icon=":material/photo_size_select_large:", key="attempt_reencode"):
        _reencode(wanted, limits)
    return wanted


def _reencode(wanted: Wanted, limits: Band) -> None:
    try:
        with st.spinner(_("Looking for a quality and a size that fit …")):
            changed = into_band(wanted.photo, limits.low, limits.high)
    except ImageError as error:
        st.error(in_words(error.reason, _), icon=":material/broken_image:")
    except OutsideBandError:
        st.error(
            _("No quality and size bring this picture into the band. Use a photo from a camera."),
            icon=":material/broken_image:",
        )
    else:
        st.session_state["attempt_reencoded"] = wanted.mark, changed
        st.rerun()


def _show_change(wanted: Wanted, changed: ReEncoded) -> None:
    with st.container(border=True):
        st.markdown(_("**What is sent is not the file itself, but what was made of it:**"))
        facts = [
            _(
                "{before} KB became {after} KB",
                before=_kilobytes(len(wanted.photo)),
                after=_kilobytes(len(changed.photo)),
            ),
            _("JPEG of quality {quality}", quality=changed.quality),
            _("{width} x {height} pixels", width=changed.width, height=changed.height)
            + (
                ""
                if changed.scale == 1
                else " (" + _("sides at {share} of what they were", share=percent(changed.scale, 0)) + ")"
            ),
            _("without the camera's data, such as place and time"),
        ]
        st.markdown("\n".join(f"- {fact}" for fact in facts))
        if changed.scale > 1:
            st.caption(_("Enlarged, a photo may show the service smaller faces than the file itself."))
        if st.button(_("Use the file as it is"), icon=":material/undo:", key="attempt_as_it_is"):
            st.session_state.pop("attempt_reencoded")
            st.rerun()


def _kilobytes(size: int) -> str:
    return number(size / 1000, 1)
