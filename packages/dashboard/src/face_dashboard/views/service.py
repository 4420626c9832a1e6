"""Keys and settings: who may ask, what holds, and what runs."""

import streamlit as st

from face_dashboard import elements
from face_dashboard.service.keys import show_keys
from face_dashboard.service.running import show_running
from face_dashboard.words import _

elements.heading(_("Keys and settings"), _("Who may ask the service, and what it runs with."))
keys, running = st.tabs([_("API keys"), _("Settings and health")], key="service_tab", on_change="rerun")
for tab, show in ((keys, show_keys), (running, show_running)):
    if tab.open:
        with tab:
            show()
