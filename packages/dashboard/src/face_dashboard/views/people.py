"""Companies and users: who is enrolled, one by one; enrolling, importing, erasing."""

from face_dashboard import access, elements
from face_dashboard.people.companies import show_companies
from face_dashboard.people.enrolling import show_enrolling
from face_dashboard.people.erasing import show_receipts
from face_dashboard.people.importing import show_importing
from face_dashboard.people.place import here, show_path
from face_dashboard.people.user import show_user
from face_dashboard.people.users import show_users
from face_dashboard.words import _

access.api()
elements.heading(_("Companies and users"), _("Who is enrolled, with which photos; enroll, import, export, erase."))
show_receipts()
place = here()
show_path(place)
with elements.failures_shown():
    if place.view == "enroll":
        show_enrolling(place)
    elif place.view == "import":
        show_importing(place)
    elif place.company is None:
        show_companies()
    elif place.user is None:
        show_users(place.company)
    else:
        show_user(place.company, place.user)
