"""Where a photo comes from: a file, or the camera."""

import streamlit as st

from face_dashboard.words import _

MAX_UPLOAD_MB = 50


def ask_photo(key: str) -> bytes | None:
    """Return the photo that was chosen or taken; None until there is one.

    Args:
        key: with which the keys of the widgets begin.
    """
    sources = {"file": _("A file"), "camera": _("The camera")}
    source = st.segmented_control(
        _("From"),
        list(sources),
        format_func=lambda one: sources[one],
        default="file",
        required=True,
        key=f"{key}_source",
        label_visibility="collapsed",
    )
    if source == "camera":
        given = st.camera_input(_("Take a photo"), key=f"{key}_camera", label_visibility="collapsed")
    else:
        given = st.file_uploader(
            _("A JPEG or PNG file"), ["jpg", "jpeg", "png"], key=f"{key}_file", max_upload_size=MAX_UPLOAD_MB
        )
    return None if given is None else given.getvalue()
