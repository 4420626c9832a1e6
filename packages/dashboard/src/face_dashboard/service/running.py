"""What runs, with which settings, and at which distance a face matches."""

import platform

import streamlit as st

from face_dashboard import __version__, access, elements
from face_dashboard.client import ApiError
from face_dashboard.elements import plain
from face_dashboard.models import Decision, Readiness, ServiceSettings
from face_dashboard.words import NOTHING, _, moment, number


def show_running() -> None:
    with elements.failures_shown():
        api = access.api()
        service, readiness, decision = api.settings(), api.readiness(), api.decision()
        left, right = st.columns(2)
        with left.container(border=True, height="stretch"):
            _show_health(service, readiness)
        with right.container(border=True, height="stretch"):
            _show_decision(decision)
        _show_settings(service)


def _show_health(service: ServiceSettings, readiness: Readiness) -> None:
    st.subheader(_("Health and versions"), anchor=False)
    for name, well in ((_("Networks"), readiness.model), (_("Database"), readiness.database)):
        st.badge(name, icon=":material/check_circle:" if well else ":material/error:", color="green" if well else "red")
    st.markdown(
        _(
            "API {version} on Python {python}, {platform}",
            version=service.version,
            python=service.python,
            platform=service.platform,
        )
    )
    st.markdown(
        _(
            "Database: {database}",
            database={"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(service.database, service.database),
        )
    )
    st.markdown(_("Networks by {runtime} on {device}", runtime=service.runtime, device=service.device.upper()))
    st.markdown(
        _(
            "Dashboard {version} on Python {python}, Streamlit {streamlit}",
            version=__version__,
            python=platform.python_version(),
            streamlit=st.__version__,
        )
    )
    st.caption(_("Encoder `{encoder}`", encoder=service.encoder_id))


def _show_decision(decision: Decision) -> None:
    st.subheader(_("Tolerance"), anchor=False)
    sources = {
        "setting": _("set by the operator, in `FACE_API_TOLERANCE`"),
        "applied": _("applied by an administrator"),
        "calibration_file": _("recommended by the operator's calibration file"),
        "default": _("the default"),
    }
    st.metric(_("A face matches up to the distance"), number(decision.tolerance, 4), help=sources[decision.source])
    st.caption(_("It is {source}.", source=sources[decision.source]))
    if decision.calibration is not None:
        rate = _(
            "False match rates are estimated from {comparisons} comparisons of {persons} persons: {source}.",
            comparisons=number(decision.calibration.comparisons),
            persons=number(decision.calibration.persons),
            source=plain(decision.calibration.source),
        )
        st.caption(rate)
    if decision.source == "applied":
        st.caption(
            _(
                "Applied {time} by {who}. {note}",
                time=moment(decision.applied_at),
                who=decision.applied_by,
                note=plain(decision.note or ""),
            )
        )
        if st.button(
            _("Go back to {tolerance}", tolerance=number(decision.default_tolerance, 4)),
            icon=":material/undo:",
            key="service_decision_withdraw",
        ):
            st.dialog(_("Go back to the former tolerance"), icon=":material/undo:")(_withdraw)(decision)
    elif decision.changeable:
        st.caption(_("The page *Accuracy* finds a tolerance for the people who use your service, and applies it."))


def _withdraw(decision: Decision) -> None:
    st.markdown(
        _(
            "From the next analysis on a face matches up to **{after}** instead of **{before}**.",
            after=number(decision.default_tolerance, 4),
            before=number(decision.tolerance, 4),
        )
    )
    if st.button(_("Go back"), type="primary", key="service_decision_withdraw_now"):
        try:
            access.api().withdraw_decision()
        except ApiError as error:
            elements.failure(error)
        else:
            st.toast(_("The tolerance is {tolerance} again.", tolerance=number(decision.default_tolerance, 4)))
            st.rerun()


def _show_settings(service: ServiceSettings) -> None:
    st.subheader(_("Effective settings"), anchor=False)
    st.caption(_("Set by variables of the API's environment; an operator changes them and starts it again."))
    only_changed = st.toggle(_("Only those that were set"), key="service_settings_changed")
    rows = [
        {
            "name": one.name,
            "value": _("(secret)")
            if one.is_secret and not one.is_default
            else one.value
            if one.value is not None
            else NOTHING,
            "origin": _("default") if one.is_default else _("set"),
        }
        for one in service.settings
        if not (only_changed and one.is_default)
    ]
    if not rows:
        st.info(_("All settings have their defaults."), icon=":material/info:")
        return
    elements.read_only_table(
        rows,
        {
            "name": st.column_config.TextColumn(_("Setting")),
            "value": st.column_config.TextColumn(_("Value"), width="large"),
            "origin": st.column_config.TextColumn(_("Origin")),
        },
        "service_settings_table",
        height="content",
    )
