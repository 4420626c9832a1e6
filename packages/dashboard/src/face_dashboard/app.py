"""The picture frame: pages and what they share. `face-dashboard` runs this file with Streamlit."""

from pathlib import Path

import streamlit as st

VIEWS = Path(__file__).parent / "views"

st.set_page_config(page_title="Face verification", page_icon="👤", layout="wide")
st.navigation([st.Page(VIEWS / "overview.py", title="Overview", icon=":material/monitoring:", default=True)]).run()
