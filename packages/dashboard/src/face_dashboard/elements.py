"""What pages share: how a failure, an emptiness, a chart and a verdict look."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from face_dashboard.client import AccessDeniedError, ApiError, RefusedError
from face_dashboard.reasons import WORDS, in_short, what_helps
from face_dashboard.settings import API_URL_VARIABLE, PREFIX, settings
from face_dashboard.words import _

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:])")

CHART_CONFIG = {
    "displaylogo": False,
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}


def heading(title: str, explanation: str) -> None:
    """Begin a page."""
    st.title(title, anchor=False)
    st.caption(explanation)


def chart(figure: go.Figure, key: str) -> None:
    """Draw a figure whose ground is transparent, in the colours that it has."""
    st.plotly_chart(figure, key=key, theme=None, config=CHART_CONFIG, width="stretch")


def empty_state(title: str, advice: str, icon: str = ":material/inbox:") -> None:
    """Say that there is nothing yet, and what to do next."""
    with st.container(border=True):
        st.markdown(f"#### {icon} {title}")
        st.markdown(advice)


def plain(text: str) -> str:
    """Return a text that comes from elsewhere as Markdown that shows it as it is: no link, picture or heading."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def failure(error: ApiError) -> None:
    """Say what went wrong, and what helps."""
    is_ours = error.reason in {"unreachable", "unexpected"}  # the client's own words, which name the address
    what = _(error.template, **error.values) if is_ours or error.reason not in WORDS else in_short(error.reason, _)
    st.error(f"**{what}**", icon=":material/error:")
    if error.reason == "unreachable":
        advice = _(
            "Start the API with `make run` or `face-api serve`. If it runs elsewhere, set `{variable}` to its address "
            "and start the dashboard again.",
            variable=API_URL_VARIABLE,
        )
    elif isinstance(error, AccessDeniedError):
        advice = _(
            "The dashboard needs an administrator's key: make one with `face-api keys create --admin`, write it into "
            "the file that `{variable}` names.",
            variable=f"{PREFIX}API_KEY_FILE",
        )
    elif error.reason == "unexpected":
        advice = _(
            "`{variable}` is {url}. Is that the API, in the version of this dashboard?",
            variable=API_URL_VARIABLE,
            url=settings().api_url,
        )
    elif isinstance(error, RefusedError):
        advice = what_helps(error.reason, _)
    elif error.request_id is not None:
        advice = _("The API's log has more, under the request `{request_id}`.", request_id=error.request_id)
    else:
        advice = ""
    if advice:
        st.caption(advice)


@contextmanager
def failures_shown() -> Iterator[None]:
    """Show what the API says went wrong in the block, in the place of what the block had yet to show."""
    try:
        yield
    except ApiError as error:
        failure(error)


def read_only_table(rows: list[dict[str, Any]], columns: dict[str, Any], key: str, **options: Any) -> Any:
    """Show rows; `columns` gives each key its st.column_config, in their order."""
    return st.dataframe(
        rows, column_config=columns, column_order=list(columns), hide_index=True, width="stretch", key=key, **options
    )
