"""A table of requests for photos and how they ended: in the log, and on a user's page."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from face_dashboard import elements
from face_dashboard.charts import stage_name
from face_dashboard.models import Event, Operation
from face_dashboard.reasons import in_short
from face_dashboard.words import NOTHING, _, zone

WHOM = ("company", "user")

COLUMNS = ("at", *WHOM, "operation", "outcome", "distance", "total", "request")


def show_events(events: Sequence[Event], key: str, leave_out: Sequence[str] = ()) -> None:
    """Show events.

    Args:
        leave_out: of COLUMNS, what is said elsewhere.
    """
    columns = {name: column for name, column in _columns().items() if name not in leave_out}
    elements.read_only_table([_row(event) for event in events], columns, key, placeholder=NOTHING)


def _row(event: Event) -> dict[str, Any]:
    operations: dict[Operation, str] = {"analyse": _("analysis"), "enroll": _("enrollment")}
    return {
        "at": event.at.astimezone(zone()),
        "company": event.company,
        "user": event.user,
        "operation": operations[event.operation],
        "outcome": _verdict(event) if event.reason == "compared" else in_short(event.reason, _),
        "distance": event.distance,
        "total": event.timings_ms.get("total"),
        "request": event.request_id,
    }


def _verdict(event: Event) -> str:
    faces = event.matches + event.dismatches
    if faces == 1:
        return _("match") if event.matches else _("dismatch")
    return _("{matches} of {faces} faces match", matches=event.matches, faces=faces)


def _columns() -> dict[str, Any]:
    return {
        "at": st.column_config.DatetimeColumn(_("When"), format="localized"),
        "company": st.column_config.TextColumn(_("Company")),
        "user": st.column_config.TextColumn(_("User")),
        "operation": st.column_config.TextColumn(_("What")),
        "outcome": st.column_config.TextColumn(_("Outcome"), width="medium"),
        "distance": st.column_config.NumberColumn(
            _("Distance"), format="%.3f", help=_("The smallest of the photo's faces.")
        ),
        "total": st.column_config.NumberColumn(stage_name("total", _), format="%.0f ms"),
        "request": st.column_config.TextColumn(_("Request"), help=_("As in the API's log.")),
    }
