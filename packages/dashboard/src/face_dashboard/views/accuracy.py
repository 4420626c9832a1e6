"""Accuracy: how often strangers match and users are refused, at which tolerance, and whether a new version is worse."""

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.accuracy.comparison import show_comparison
from face_dashboard.accuracy.report import show_report
from face_dashboard.accuracy.running import show_running
from face_dashboard.accuracy.shared import TAB, tab_name
from face_dashboard.accuracy.tolerance import show_tolerance
from face_dashboard.words import _

PARTS = {"run": show_running, "report": show_report, "tolerance": show_tolerance, "compare": show_comparison}

access.api()
elements.heading(
    _("Accuracy"),
    _("How often strangers match and users are refused, measured on photos of which it is known whose they are."),
)
tabs = st.tabs([tab_name(part) for part in PARTS], key=TAB, on_change="rerun")
for tab, show in zip(tabs, PARTS.values(), strict=True):
    if tab.open:
        with tab:
            show()
