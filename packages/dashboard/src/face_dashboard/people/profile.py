"""What is known of a user besides their photos, and the fields that ask for it."""

import streamlit as st

from face_dashboard.words import _, number

MAX_AGE = 150


def gender_name(gender: int) -> str:
    return _("male") if gender else _("female")


def profile_line(gender: int | None, age: int | None) -> str:
    """Return gender and age as far as they are known."""
    known = [gender_name(gender)] if gender is not None else []
    if age is not None:
        known.append(_("{age} years", age=number(age)))
    return ", ".join(known) or _("gender and age are not known")


def ask_profile(key: str) -> tuple[int | None, int | None]:
    """Ask for gender and age; None for what is left out."""
    left, right = st.columns(2)
    gender = left.segmented_control(_("Gender (optional)"), [0, 1], format_func=gender_name, key=f"{key}_gender")
    age = right.number_input(
        _("Age (optional)"), min_value=0, max_value=MAX_AGE, value=None, step=1, key=f"{key}_age", format="%d"
    )
    return gender, age
