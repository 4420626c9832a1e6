"""The picture frame: who is signed in, the pages, and what they share. `face-dashboard` runs this file."""

from pathlib import Path

import streamlit as st

from face_dashboard import access
from face_dashboard.sidebar import show_sidebar
from face_dashboard.signed_out import forget_what_was_shown, show_signing_in
from face_dashboard.words import _

VIEWS = Path(__file__).parent / "views"
ICON_FILE = Path(__file__).with_name("icon.svg")

signed_in = access.session()
st.set_page_config(page_title=_("Face verification"), page_icon=ICON_FILE, layout="wide")
if signed_in is None:
    forget_what_was_shown()
    st.navigation([st.Page(show_signing_in, title=_("Sign in"))], position="hidden").run()
else:
    page = st.navigation(
        {
            "": [
                st.Page(VIEWS / "overview.py", title=_("Overview"), icon=":material/monitoring:", default=True),
                st.Page(VIEWS / "people.py", title=_("Companies and users"), icon=":material/group:"),
                st.Page(VIEWS / "attempt.py", title=_("Try an analysis"), icon=":material/frame_person:"),
                st.Page(VIEWS / "accuracy.py", title=_("Accuracy"), icon=":material/target:"),
                st.Page(VIEWS / "activity.py", title=_("Activity and latency"), icon=":material/timeline:"),
                st.Page(VIEWS / "service.py", title=_("Keys and settings"), icon=":material/key:"),
            ]
        }
    )
    show_sidebar(signed_in)
    page.run()
