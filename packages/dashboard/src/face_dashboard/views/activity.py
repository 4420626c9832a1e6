"""Activity and latency: what was asked, how it ended, how long it took, and the audit trail."""

import streamlit as st

from face_dashboard import elements
from face_dashboard.activity.audit import show_audit
from face_dashboard.activity.figures import show_figures
from face_dashboard.activity.log import show_log
from face_dashboard.words import _

elements.heading(_("Activity and latency"), _("What was asked of the service, how it ended, and how long it took."))
figures, log, audit = st.tabs(
    [_("Latency and outcomes"), _("Log of analyses"), _("Audit trail")], key="activity_tab", on_change="rerun"
)
# Only what is looked at is asked for.
for tab, show in ((figures, show_figures), (log, show_log), (audit, show_audit)):
    if tab.open:
        with tab:
            show()
