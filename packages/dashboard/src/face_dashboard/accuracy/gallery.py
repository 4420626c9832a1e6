"""The worst pairs of a report, to be looked at: a wrong label or a poor photo is seen here first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from face_dashboard import access
from face_dashboard.accuracy.crops import face_crop
from face_dashboard.accuracy.evaluation_reports import Documents
from face_dashboard.elements import plain
from face_dashboard.words import _, number

ACROSS = 3
"""Pairs in a row."""

CROPS_KEPT = 400

Kind = Literal["false_matches", "false_non_matches"]


@st.fragment
def show_gallery(documents: Documents) -> None:
    access.api()
    st.subheader(_("Worst pairs"), anchor=False)
    kind: Kind = st.segmented_control(
        _("Worst pairs"),
        ["false_matches", "false_non_matches"],
        default="false_matches",
        required=True,
        format_func=lambda one: (
            _("Nearest strangers") if one == "false_matches" else _("Farthest photos of one person")
        ),
        key="accuracy_gallery",
        label_visibility="collapsed",
    )
    pairs = documents.results["worst"][kind]
    if not pairs:
        st.caption(_("There are none."))
        return
    st.caption(
        _("Look at them: a wrong label, a poor photo, or people who look alike to the encoder are seen here first.")
    )
    for start in range(0, len(pairs), ACROSS):
        for column, pair in zip(st.columns(ACROSS), pairs[start : start + ACROSS], strict=False):
            with column.container(border=True, height="stretch"):
                _show_pair(documents.images, pair, kind)


def _show_pair(images: Path, pair: Mapping[str, Any], kind: Kind) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_("Distance **{distance}**", distance=number(pair["distance"], 4)), width="stretch")
        if pair["is_error"]:
            st.badge(
                _("false match") if kind == "false_matches" else _("false non-match"),
                icon=":material/close:",
                color="orange",
            )
        else:
            st.badge(_("told right"), icon=":material/check:", color="blue")
    for column, photo in zip(st.columns(2), pair["photos"], strict=True):
        name = photo["person"] or photo["file"]
        crop = _crop(images, photo["file"], tuple(photo["box"]), _modified(images / photo["file"]))
        with column:
            if crop is None:
                st.caption(_("The photo cannot be read any more."))
            else:
                st.image(crop, width="stretch", alt=name)
            st.caption(plain(name))


@st.cache_data(max_entries=CROPS_KEPT, show_spinner=False)
def _crop(images: Path, file: str, box_ltrb: tuple[int, int, int, int], modified_ns: int | None) -> bytes | None:
    return None if modified_ns is None else face_crop(images, file, box_ltrb)


def _modified(path: Path) -> int | None:
    """Return when a photo was last written; None where it is gone, and is not to be shown out of what is kept."""
    try:
        return path.stat().st_mtime_ns
    except (OSError, ValueError):
        return None
