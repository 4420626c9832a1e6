"""What a face is worth as a reference: in words, with the figures behind them."""

import streamlit as st

from face_dashboard.models import Quality
from face_dashboard.reasons import in_words
from face_dashboard.words import _, number, percent


def show_quality(quality: Quality) -> None:
    """Show whether a face is a good reference, why not, and what was measured."""
    if quality.reasons:
        st.badge(_("a poor reference"), icon=":material/warning:", color="orange")
        for reason in quality.reasons:
            st.markdown(in_words(reason, _))
    else:
        st.badge(_("a good reference"), icon=":material/check:", color="green")
    st.caption(
        _(
            "Face {size} pixels wide · sharpness {sharpness} · brightness {brightness} · turned {turn} · "
            "{inside} inside the photo",
            size=number(quality.size),
            sharpness=number(quality.sharpness, 2),
            brightness=percent(quality.brightness, 0),
            turn=percent(quality.turn, 0),
            inside=percent(quality.inside, 0),
        )
    )
