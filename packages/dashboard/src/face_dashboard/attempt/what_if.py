"""A slider that asks: what if the tolerance were another one?"""

import streamlit as st

from face_dashboard.attempt.rates import strangers
from face_dashboard.words import _, number
from face_engine.calibration import Calibration

KEY = "attempt_what_if"
LEAST, MOST, STEP = 0.30, 0.90, 0.01


def chosen_tolerance(decided: float, calibration: Calibration | None) -> float:
    """Return the tolerance whose verdicts are to be shown: the one decided by, unless the reader chose another."""
    st.session_state.setdefault(KEY, decided)
    with st.container(border=True):
        slider, reset = st.columns([3, 1], vertical_alignment="bottom")
        chosen: float = slider.slider(
            _("What if the tolerance were …"),
            min(LEAST, decided),
            max(MOST, decided),
            step=STEP,
            format="%.2f",
            key=KEY,
            help=_(
                "Changes what is shown here, and nothing in the service. No photo is sent again. The share of "
                "strangers is that of one comparison: a user with several references gives a stranger as many chances."
            ),
        )
        is_other = abs(chosen - decided) > STEP / 2
        reset.button(
            _("Reset"),
            icon=":material/restart_alt:",
            disabled=not is_other,
            key="attempt_reset",
            on_click=_reset,
            args=(decided,),
            width="stretch",
        )
        rate = None if calibration is None else calibration.false_match_rate(chosen if is_other else decided)
        if is_other:
            st.warning(
                _(
                    "**What if: {tolerance} instead of {decided}.** Boxes, verdicts and scale show that. {rate}",
                    tolerance=number(chosen, 2),
                    decided=number(decided, 4),
                    rate=strangers(rate, calibration, _),
                ),
                icon=":material/science:",
            )
        else:
            st.caption(
                _("The service decides at {decided}.", decided=number(decided, 4))
                + " "
                + strangers(rate, calibration, _)
            )
    return chosen if is_other else decided


def _reset(decided: float) -> None:
    st.session_state[KEY] = decided
