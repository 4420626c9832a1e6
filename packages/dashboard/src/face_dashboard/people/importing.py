"""Importing many photos: choose them, see what was understood, follow how they are enrolled, keep the result."""

from collections.abc import Sequence

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from face_dashboard import access, elements
from face_dashboard.archives import MAX_ARCHIVE_BYTES, ArchiveError
from face_dashboard.names import is_name
from face_dashboard.people.chosen import Chosen, unpacked, uploaded
from face_dashboard.people.import_progress import show_import
from face_dashboard.people.imports import Import, desk
from face_dashboard.people.photo_list import MAX_FILES, Entry, PhotoList, PhotoListError, of_csv, of_folder
from face_dashboard.people.place import Place
from face_dashboard.settings import settings
from face_dashboard.words import _, number

MEGABYTE = 1_000_000
MAX_PHOTO_MB = 50
MAX_CSV_MB = 5

LISTED = 1000
"""Shown of the photos, and of the problems."""

COUNT = "people_import_count"
"""How many imports were begun: the next form is another one, and empty."""

UNPACKED = "people_import_unpacked"
"""The archive that was unpacked last, and its files."""

FOLDER_LAYOUT = "staff/tamy/1.jpg\nstaff/tamy/2.jpg\nstaff/bob.jpg\nstaff/eve_1.jpg\nstaff/eve_2.jpg"
CSV_LAYOUT = "id,file,gender,age\ntamy,tamy1.jpg,0,28\ntamy,tamy2.jpg,0,28\nbob,photos/bob.jpg,1,"


def show_importing(place: Place) -> None:
    """Show the import that there is, or ask for one."""
    st.subheader(_("Import photos"), anchor=False)
    current = desk().current
    if current is not None:
        show_import(current)
        return
    st.caption(
        _(
            "At most {count} photos at a time. Importing the same again is safe: a photo that is enrolled already "
            "changes nothing. Of a user with more photos than the service keeps, the last ones stay.",
            count=number(MAX_FILES),
        )
    )
    key = f"people_import_{st.session_state.get(COUNT, 0)}"
    company = str(
        st.text_input(_("Company"), value=place.company or "", key=f"{key}_company", max_chars=128, width=320) or ""
    ).strip()
    if company and not is_name(company):
        st.warning(_("A company has lower-case letters and digits only."), icon=":material/warning:")
    understood = _choose(key)
    if understood is None:
        return
    chosen, photos = understood
    _show_preview(photos)
    if st.button(
        _("Import {count} photos", count=number(len(photos.entries))),
        type="primary",
        icon=":material/upload:",
        disabled=not (photos.entries and is_name(company)),
        help=None if is_name(company) else _("Enter the company first."),
        key="people_import_start",
    ):
        _begin(company, chosen, photos)


def _begin(company: str, chosen: Chosen, photos: PhotoList) -> None:
    def read(entry: Entry) -> bytes:
        return chosen.read(entry.index)

    if not desk().begin(Import(access.api(), company, photos.entries, read)):
        st.error(
            _("Somebody else imports photos, or has not looked at the result yet. Load the page again to see it."),
            icon=":material/error:",
        )
        return
    st.session_state[COUNT] = st.session_state.get(COUNT, 0) + 1
    st.session_state.pop(UNPACKED, None)
    st.rerun()


def _choose(key: str) -> tuple[Chosen, PhotoList] | None:
    """Return the files that were chosen, and what was understood of them; None until there are some."""
    sources = {"folder": _("A folder"), "csv": _("A CSV file and photos")}
    source = st.segmented_control(
        _("What"),
        list(sources),
        format_func=lambda one: sources[one],
        default="folder",
        required=True,
        key=f"{key}_source",
        label_visibility="collapsed",
    )
    try:
        return _choose_folder(key) if source == "folder" else _choose_csv(key)
    except (PhotoListError, ArchiveError) as error:
        st.error(_(error.template, **error.values), icon=":material/error:")
        return None


def _choose_folder(key: str) -> tuple[Chosen, PhotoList] | None:
    ask, layout = st.columns([3, 2], gap="large")
    with layout:
        st.caption(
            _("A folder for each user, or files that are named as the user, with a number where there are more:")
        )
        st.code(FOLDER_LAYOUT, language=None)
    with ask:
        files = st.file_uploader(
            _("A folder of JPEG and PNG photos; others are left out"),
            ["jpg", "jpeg", "png"],
            accept_multiple_files="directory",
            key=f"{key}_folder",
            max_upload_size=MAX_PHOTO_MB,
        )
    if not files:
        return None
    chosen = uploaded(files)
    return chosen, of_folder(chosen.names)


def _choose_csv(key: str) -> tuple[Chosen, PhotoList] | None:
    ask, layout = st.columns([3, 2], gap="large")
    with layout:
        st.caption(_("The first line names the columns. `gender` (0 female, 1 male) and `age` may be left out:"))
        st.code(CSV_LAYOUT, language=None)
    with ask:
        listing = st.file_uploader(_("The CSV file"), ["csv"], key=f"{key}_csv", max_upload_size=MAX_CSV_MB)
        files = st.file_uploader(
            _("The photos: JPEG and PNG files, or one zip archive"),
            ["jpg", "jpeg", "png", "zip"],
            accept_multiple_files=True,
            key=f"{key}_photos",
            max_upload_size=MAX_ARCHIVE_BYTES // MEGABYTE,
        )
    if listing is None or not files:
        return None
    chosen = _files(files)
    return chosen, of_csv(listing.getvalue(), chosen.names)


def _files(files: Sequence[UploadedFile]) -> Chosen:
    """Return the photos, of the archive where there is one. Raises ArchiveError."""
    archive = next((file for file in files if file.name.lower().endswith(".zip")), None)
    if archive is None:
        return uploaded(files)
    kept: tuple[str, Chosen] | None = st.session_state.get(UNPACKED)
    if kept is None or kept[0] != archive.file_id:
        with st.spinner(_("Unpacking …")):
            kept = archive.file_id, unpacked(archive, settings().data_dir)
        st.session_state[UNPACKED] = kept
    return kept[1]


def _show_preview(photos: PhotoList) -> None:
    st.markdown("##### " + _("What was understood"))
    users, count, problems = st.columns(3)
    users.metric(_("Users"), number(photos.users), border=True)
    count.metric(_("Photos"), number(len(photos.entries)), border=True)
    problems.metric(_("Files that are left out"), number(len(photos.problems)), border=True)
    if photos.problems:
        with st.expander(_("Why files are left out"), icon=":material/warning:", expanded=not photos.entries):
            elements.read_only_table(
                [{"file": one.file, "reason": _(one.text)} for one in photos.problems[:LISTED]],
                {
                    "file": st.column_config.TextColumn(_("File")),
                    "reason": st.column_config.TextColumn(_("Why"), width="large"),
                },
                "people_import_problems",
            )
    if photos.entries:
        with st.expander(_("Whose the photos are"), icon=":material/list:"):
            elements.read_only_table(
                [
                    {"file": one.file, "user": one.user, "gender": one.gender, "age": one.age}
                    for one in photos.entries[:LISTED]
                ],
                {
                    "file": st.column_config.TextColumn(_("File"), width="large"),
                    "user": st.column_config.TextColumn(_("User")),
                    "gender": st.column_config.NumberColumn(_("Gender")),
                    "age": st.column_config.NumberColumn(_("Age")),
                },
                "people_import_entries",
            )
