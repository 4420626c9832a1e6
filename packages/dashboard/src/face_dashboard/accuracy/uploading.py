"""The labelled sets of the server: upload one, see how one is laid out, delete one."""

import re
from pathlib import Path

import streamlit as st

from face_dashboard import access
from face_dashboard.accuracy.labelled_sets import delete_set
from face_dashboard.accuracy.shared import NEW_SET
from face_dashboard.archives import MAX_ARCHIVE_BYTES, MAX_ENTRIES, MAX_UNPACKED_BYTES, ArchiveError, unpack
from face_dashboard.elements import plain
from face_dashboard.folders import is_name
from face_dashboard.settings import settings
from face_dashboard.words import _, number

UPLOADS = "accuracy_uploads"
"""How many archives were unpacked: the next upload is another widget, and empty."""

MEGABYTE = 1_000_000
MAX_NAME = 40
"""Characters that are taken of the archive's name for that of the set."""


def show_upload() -> None:
    """Take an archive, and unpack it into a set."""
    uploads = st.session_state.setdefault(UPLOADS, 0)
    uploaded = st.file_uploader(
        _("A zip archive of photos"),
        type=["zip"],
        max_upload_size=MAX_ARCHIVE_BYTES // MEGABYTE,
        key=f"accuracy_upload_{uploads}",
    )
    st.caption(
        _(
            "JPEG and PNG photos with CSV or TXT lists: at most {archive} MB, {entries} files and {unpacked} MB "
            "unpacked. The photos stay on this server until you delete the set.",
            archive=number(MAX_ARCHIVE_BYTES / MEGABYTE),
            entries=number(MAX_ENTRIES),
            unpacked=number(MAX_UNPACKED_BYTES / MEGABYTE),
        )
    )
    if uploaded is None:
        return
    name = st.text_input(
        _("Name of the set"), value=_set_name(uploaded.name), max_chars=64, key=f"accuracy_upload_name_{uploads}"
    ).strip()
    if not is_name(name):
        st.error(
            _("A name has 1 to 64 letters (A to Z), digits, dots, dashes or underscores, and begins with no dot."),
            icon=":material/error:",
        )
    if st.button(_("Unpack"), type="primary", disabled=not is_name(name), key="accuracy_unpack"):
        access.api()
        try:
            with st.spinner(_("Unpacking …")):
                count = unpack(uploaded, settings().sets_dir / name)
        except ArchiveError as error:
            st.error(_(error.template, **error.values), icon=":material/error:")
            return
        st.session_state[UPLOADS] = uploads + 1
        st.session_state[NEW_SET] = name
        st.toast(
            _("The set {name} is there, with {count} files.", name=name, count=number(count)),
            icon=":material/check_circle:",
        )
        st.rerun()


def _set_name(file_name: str) -> str:
    """Return a name for a set that comes from a file of this name."""
    return re.sub("[^A-Za-z0-9._-]+", "-", Path(file_name).stem).strip(".-")[:MAX_NAME]


def show_layouts() -> None:
    """Say how a set must look."""
    st.markdown(
        _(
            "A set is a folder, and its photos lie in it or in a folder `images` of it. What says whose a photo is:\n"
            "- a folder for each person, with their photos\n"
            "- `labels.csv`, with the columns `file` and `person`; every other column is one of subgroups\n"
            "- `pairs.csv`, with the columns `file_x`, `file_y` and `Decision` (`Yes`: one person, or `No`)\n"
            "- `pairs.txt` of LFW"
        )
    )
    st.code("ann/1.jpg\nann/2.jpg\nbo/1.jpg", language=None)


@st.dialog(" ", icon=":material/delete:")
def delete(name: str) -> None:
    """Ask before a set is deleted."""
    st.subheader(_("Delete a set"), anchor=False)
    st.markdown(
        _(
            "The set **{name}** and all its photos are removed from this server. Reports of it stay, without photos.",
            name=plain(name),
        )
    )
    typed = st.text_input(_("Type {text} to confirm", text=f"`{name}`"), key="accuracy_set_confirm")
    if st.button(_("Delete"), type="primary", disabled=typed.strip() != name, key="accuracy_set_delete_now"):
        access.api()
        try:
            delete_set(settings().sets_dir, name)
        except OSError as error:
            st.error(
                _("The set cannot be deleted: {reason}", reason=plain(error.strerror or str(error))),
                icon=":material/error:",
            )
        else:
            st.rerun()
