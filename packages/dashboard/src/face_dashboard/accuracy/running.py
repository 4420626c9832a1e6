"""Run an evaluation: its progress, how the last one ended, and what can go on."""

from datetime import UTC, datetime

import streamlit as st

from face_dashboard import access
from face_dashboard.accuracy.evaluation_reports import delete_report
from face_dashboard.accuracy.evaluations import Run, Step, evaluations
from face_dashboard.accuracy.labelled_sets import list_sets
from face_dashboard.accuracy.ordering import show_ordering, start
from face_dashboard.accuracy.orders import Order, unfinished
from face_dashboard.accuracy.shared import go_to
from face_dashboard.elements import plain
from face_dashboard.settings import settings
from face_dashboard.words import _, moment, number
from face_engine.errors import ReportError

REFRESH_S = 1.0

SEEN = "accuracy_seen"
"""The run whose end was read."""

LAST_STEP = "drawing persons anew"

ENOUGH_TO_GUESS_S = 3.0
"""Of a step, before it is told how long it will take."""

MINUTE_S = 60


def show_running() -> None:
    made = evaluations(settings().sets_dir, settings().reports_dir)
    run = made.run
    if run is not None and run.state == "running":
        _follow()
        return
    if run is not None and st.session_state.get(SEEN) != (run.name, run.began):
        _show_ended(run)
    _show_unfinished()
    show_ordering(list_sets(settings().sets_dir))


@st.fragment(run_every=REFRESH_S)
def _follow() -> None:
    """Show how far the run is, again every second."""
    access.api(use=False)
    made = evaluations(settings().sets_dir, settings().reports_dir)
    run = made.run
    if run is None or run.state != "running":
        st.rerun(scope="app")
    with st.container(border=True):
        st.subheader(_("{name} is being made", name=plain(run.name)), anchor=False)
        st.caption(
            _(
                "Of the set {name}, since {time}. You may leave this page meanwhile.",
                name=plain(run.order.set_name),
                time=moment(run.began),
            )
        )
        _show_step(run.step)
        if st.button(_("Stop"), icon=":material/stop_circle:", key="accuracy_stop"):
            made.stop()
        st.caption(_("What has been encoded is kept: a stopped evaluation can go on later."))


def _show_step(step: Step | None) -> None:
    if step is None:
        st.progress(0.0, text=_("Starting: the networks are loaded"))
        return
    if step.title == LAST_STEP and step.done == step.total:
        st.progress(1.0, text=_("Writing the report"))
        return
    unit = _("photos") if step.unit == "photo" else _("pairs")
    text = _(
        "{step}: {done} of {total} {unit}",
        step=step_name(step.title),
        done=number(step.done),
        total=number(step.total),
        unit=unit,
    )
    elapsed_s = (datetime.now(UTC) - step.began).total_seconds()
    if step.done and elapsed_s > ENOUGH_TO_GUESS_S:
        left_s = elapsed_s / step.done * (step.total - step.done)
        text += " · " + (
            _("about {minutes} minutes left in this step", minutes=number(left_s / MINUTE_S))
            if left_s > 2 * MINUTE_S
            else _("about {seconds} seconds left in this step", seconds=number(left_s))
        )
    st.progress(min(1.0, step.done / step.total) if step.total else 1.0, text=text)


def step_name(title: str) -> str:
    """Return what a step of the engine is called."""
    if title.startswith("encoding"):
        return _("Step 2 of 4, encoding the photos")
    names = {
        "reading the set": _("Step 1 of 4, reading the set"),
        "comparing": _("Step 3 of 4, comparing the pairs"),
        LAST_STEP: _("Step 4 of 4, intervals and subgroups"),
    }
    return names.get(title, title)


def _show_ended(run: Run) -> None:
    with st.container(border=True):
        if run.state == "done":
            st.success(_("The report **{name}** is done.", name=plain(run.name)), icon=":material/check_circle:")
        elif run.state == "stopped":
            st.info(_("The evaluation **{name}** was stopped.", name=plain(run.name)), icon=":material/stop_circle:")
        else:
            _show_failure(run)
        left, right = st.columns([1, 1]) if run.state == "done" or run.problems else (st.container(), st.container())
        if run.state == "done":
            left.button(
                _("See the report"),
                icon=":material/analytics:",
                type="primary",
                on_click=_leave_to,
                args=(run,),
                key="accuracy_see",
            )
        elif run.problems and left.button(
            _("Leave out what is wrong, and start again"), icon=":material/rule:", type="primary", key="accuracy_skip"
        ):
            order = run.order
            start(
                Order(
                    order.set_name, order.target_fmr, order.tolerance, order.protocol, order.face, skip_problems=True
                ),
                run.name,
            )
        right.button(_("Dismiss"), on_click=_mark_seen, args=(run,), key="accuracy_dismiss")


def _show_failure(run: Run) -> None:
    why = plain(run.message)
    if run.signal is not None:
        why = _("The system ended it with signal {number}: perhaps there was not enough memory.", number=run.signal)
    st.error(_("**The evaluation {name} failed.** {why}", name=plain(run.name), why=why), icon=":material/error:")
    if run.problems:
        with st.expander(_("What is wrong with the set"), expanded=True):
            st.code("\n".join(run.problems), language=None)
            st.caption(_("Correct the set, or leave out what is wrong: the report then lists it."))


def _show_unfinished() -> None:
    """Show what was begun, and how it may go on."""
    for name, order in unfinished(settings().reports_dir).items():
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(
                _(
                    "**{name}**, of the set {set_name}, is not finished.",
                    name=plain(name),
                    set_name=plain(order.set_name),
                ),
                width="stretch",
            )
            if st.button(_("Go on"), icon=":material/resume:", key=f"accuracy_resume_{name}"):
                start(order, name)
            if st.button(_("Discard"), icon=":material/delete:", key=f"accuracy_discard_{name}"):
                _discard(name)


def _discard(name: str) -> None:
    try:
        delete_report(settings().reports_dir, name)
    except ReportError as error:
        st.error(plain(str(error)), icon=":material/error:")
    else:
        st.rerun()


def _mark_seen(run: Run) -> None:
    st.session_state[SEEN] = run.name, run.began


def _leave_to(run: Run) -> None:
    _mark_seen(run)
    go_to("report", run.name)
