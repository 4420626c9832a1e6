"""Choose a labelled set, and say what is to be measured."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import streamlit as st

from face_dashboard import access, elements
from face_dashboard.accuracy.evaluations import EvaluationRefusedError, evaluations
from face_dashboard.accuracy.labelled_sets import NO_LAYOUT, Contents, PhotoSet, contents
from face_dashboard.accuracy.orders import Order
from face_dashboard.accuracy.shared import NEW_SET, level
from face_dashboard.accuracy.uploading import delete, show_layouts, show_upload
from face_dashboard.settings import settings
from face_dashboard.words import _, number, zone
from face_engine.evaluation.data_set import Protocol
from face_engine.evaluation.encodings import FaceChoice
from face_engine.matching import DEFAULT_TOLERANCE, MAX_TOLERANCE

SET = "accuracy_set"
TARGETS = (0.1, 0.01, 0.001, 0.0001, 0.00001)
DEFAULT_TARGET = 0.001

MAX_SET_NAME = 40
"""Characters of the set's name in that of its report."""

CONTENTS_KEPT_S = 60


def show_ordering(sets: Sequence[PhotoSet]) -> None:
    """Show the sets, and the form that starts an evaluation of one."""
    if not sets:
        elements.empty_state(
            _("There is no labelled set"),
            _(
                "Upload a zip archive of photos, or put a folder of photos into `{folder}` on the server.",
                folder=settings().sets_dir,
            ),
            ":material/photo_library:",
        )
    left, right = st.columns(2, gap="large")
    with left:
        chosen = _show_sets(sets) if sets else None
        with st.expander(_("Upload a set"), icon=":material/upload:", expanded=not sets):
            show_upload()
        with st.expander(_("How a set is laid out"), icon=":material/help:"):
            show_layouts()
    if chosen is not None and chosen.layout is not None:
        with right:
            _show_form(chosen)


def start(order: Order, name: str) -> None:
    """Start an evaluation and show its progress, or say why not."""
    access.api()
    try:
        evaluations(settings().sets_dir, settings().reports_dir).start(order, name)
    except EvaluationRefusedError as error:
        st.error(_(error.template, **error.values), icon=":material/error:")
    else:
        st.rerun(scope="app")


def _show_sets(sets: Sequence[PhotoSet]) -> PhotoSet:
    by_name = {one.name: one for one in sets}
    if (unpacked := st.session_state.pop(NEW_SET, None)) in by_name:
        st.session_state[SET] = unpacked
    elif st.session_state.get(SET) not in by_name:
        st.session_state[SET] = sets[0].name
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = by_name[st.selectbox(_("Labelled set"), list(by_name), key=SET)]
        if st.button(_("Delete"), icon=":material/delete:", key="accuracy_set_delete"):
            delete(chosen.name)
    if chosen.layout is None:
        st.warning(
            _("This set cannot be evaluated. {problem}", problem=_(chosen.problem or NO_LAYOUT)),
            icon=":material/warning:",
        )
        return chosen
    counted = _counted(chosen.images)
    st.caption(
        _(
            "{layout}: {photos} photos in {folders} folders",
            layout=layout_name(chosen),
            photos=number(counted.photos),
            folders=number(counted.folders),
        )
    )
    return chosen


def layout_name(found: PhotoSet) -> str:
    names = {
        "lfw_pairs": _("Pairs of LFW's form, `pairs.txt`"),
        "csv_pairs": _("A list of pairs, `pairs.csv`"),
        "labels": _("Photos with labels, `labels.csv`"),
        "persons": _("A folder for each person"),
    }
    return names[found.layout or "persons"]


@st.cache_data(ttl=CONTENTS_KEPT_S, show_spinner=False)
def _counted(images: Path) -> Contents:
    return contents(images)


def _show_form(chosen: PhotoSet) -> None:
    with st.form("accuracy_order"):
        st.markdown(_("**What is measured**"))
        target = st.selectbox(
            _("Wanted false match rate (FMR)"),
            TARGETS,
            index=TARGETS.index(DEFAULT_TARGET),
            format_func=lambda one: _("{rate}: one stranger in {number}", rate=level(one), number=number(1 / one)),
            help=_("For this share of strangers a tolerance is recommended. It takes 3 / FMR pairs of strangers."),
        )
        tolerance = st.number_input(
            _("Tolerance"),
            0.0,
            MAX_TOLERANCE,
            DEFAULT_TOLERANCE,
            step=0.01,
            format="%.4f",
            help=_("The distance up to which a face is a match; errors and subgroups are told at this one."),
        )
        face: FaceChoice = st.segmented_control(
            _("Whose face, where a photo shows several"),
            ["centre", "largest"],
            default="centre",
            required=True,
            format_func=lambda one: _("nearest to the centre") if one == "centre" else _("the largest"),
        )
        is_unrestricted = chosen.layout == "lfw_pairs" and st.toggle(
            _("LFW's unrestricted protocol"),
            help=_(
                "The tolerance of a fold is chosen on all pairs of the other folds' persons, not on the listed ones."
            ),
        )
        skip = st.toggle(
            _("Leave out what is wrong with the set"),
            help=_(
                "Missing files, repeated or contradictory labels. Otherwise the set is refused, and they are listed."
            ),
        )
        name = st.text_input(
            _("Name of the report"), value=_report_name(chosen.name), max_chars=64, key=f"accuracy_name_{chosen.name}"
        )
        is_wanted = st.form_submit_button(_("Start"), type="primary", icon=":material/play_arrow:")
    if is_wanted:
        protocol: Protocol = "unrestricted" if is_unrestricted else "restricted"
        start(Order(chosen.name, target, tolerance, protocol, face, skip_problems=skip), name.strip())


def _report_name(set_name: str) -> str:
    return f"{set_name[:MAX_SET_NAME]}-{datetime.now(zone()):%Y%m%d-%H%M%S}"
