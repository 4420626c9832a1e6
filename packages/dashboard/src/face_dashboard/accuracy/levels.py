"""A report's figures with tables beside them: FNMR at each level of FMR, and the subgroups."""

from collections.abc import Mapping

import plotly.graph_objects as go
import streamlit as st

from face_dashboard import elements
from face_dashboard.accuracy.evaluation_reports import Results
from face_dashboard.accuracy.shared import interval, level, rate
from face_dashboard.words import _, number
from face_engine.calibration import RULE_OF_THREE


def show_fnmr_at_fmr(results: Results, drawn: Mapping[str, go.Figure]) -> None:
    figure, table = st.columns(2, gap="medium")
    with figure.container(border=True, height="stretch"):
        elements.chart(drawn["fnmr_at_fmr"], "accuracy_fnmr_at_fmr")
        st.caption(
            _("Of 100 attempts of the right person so many fail, where the tolerance is chosen for the FMR below.")
        )
    pairs = results["at_tolerance"]["fmr"]["of"]
    rows = []
    for one in results["fnmr_at_fmr"]:
        row = {"fmr": level(one["fmr"])}
        if one["supported"]:
            row |= {
                "fnmr": rate(one["fnmr"]["value"]),
                "interval": interval(one["fnmr"]),
                "tolerance": number(one["tolerance"]["value"], 4),
            }
        else:
            row |= {"fnmr": _("withheld"), "interval": _why_withheld(one["fmr"], pairs), "tolerance": rate(None)}
        rows.append(row)
    with table.container(border=True, height="stretch"):
        st.markdown(_("**FNMR at fixed FMR**"))
        elements.read_only_table(
            rows,
            {
                "fmr": st.column_config.TextColumn("FMR", width="small"),
                "fnmr": st.column_config.TextColumn("FNMR", width="small"),
                "interval": st.column_config.TextColumn(_("95 % interval"), width="medium"),
                "tolerance": st.column_config.TextColumn(_("Tolerance"), width="small"),
            },
            "accuracy_fnmr_table",
        )
        st.caption(_("A level takes 3 / FMR pairs of strangers; where the set has fewer, it is withheld."))


def _why_withheld(fmr: float, pairs: int) -> str:
    needed = RULE_OF_THREE / fmr
    if pairs >= needed:
        return _("the set cannot tell it")
    return _("takes {needed} pairs", needed=number(needed))


def show_subgroups(results: Results, drawn: Mapping[str, go.Figure]) -> None:
    st.subheader(_("Subgroups"), anchor=False)
    if not results["subgroups"]:
        st.caption(_("The set names no subgroups, so whether some people are told worse than others was not measured."))
    for place, column in enumerate(results["subgroups"]):
        with st.container(border=True):
            elements.chart(drawn[f"subgroups {column['column']}"], f"accuracy_subgroups_{place}")
            elements.read_only_table(
                [
                    {
                        "value": one["value"],
                        "photos": number(one["photos"]),
                        "fmr": rate(one["fmr"]["value"]),
                        "fmr_interval": interval(one["fmr"]),
                        "fnmr": rate(one["fnmr"]["value"]),
                        "fnmr_interval": interval(one["fnmr"]),
                    }
                    for one in column["values"]
                ],
                {
                    "value": st.column_config.TextColumn(column["column"]),
                    "photos": st.column_config.TextColumn(_("Photos")),
                    "fmr": st.column_config.TextColumn("FMR"),
                    "fmr_interval": st.column_config.TextColumn(_("95 % interval")),
                    "fnmr": st.column_config.TextColumn("FNMR"),
                    "fnmr_interval": st.column_config.TextColumn(_("95 % interval")),
                },
                f"accuracy_subgroups_table_{place}",
            )
