"""What somebody sees who is not signed in, or no longer."""

import streamlit as st

from face_dashboard import access
from face_dashboard.elements import plain
from face_dashboard.signing_in.gate import SIGN_IN
from face_dashboard.words import _

PROVIDER = "sign_in_with_"


def forget_what_was_shown() -> None:
    """Empty the state of the page: what was looked at is not for whoever signs in next."""
    for key in st.session_state:
        if not str(key).startswith(PROVIDER):  # a click on one of the buttons below
            del st.session_state[key]


def show_signing_in() -> None:
    """Offer the identity providers, where there are any, and the password's page."""
    st.title(_("Sign in"), anchor=False)
    if access.is_oidc():
        identity = access.identity_at_provider()
        if identity is not None and not access.is_welcome(identity):
            if identity.email:
                problem = _(
                    "{email} may not use this dashboard. An operator can add the address.",
                    email=plain(identity.email),
                )
            else:
                problem = _("The identity provider tells no address of yours that it has verified.")
            st.error(problem, icon=":material/block:")
            st.button(_("Use another account"), on_click=st.logout)
        for provider in access.providers():
            name = provider or _("your organisation's account")
            if st.button(_("Sign in with {provider}", provider=name), type="primary", key=f"{PROVIDER}{provider}"):
                st.login(provider or None)
    else:
        st.info(_("You are not signed in, or your session has ended."), icon=":material/lock_clock:")
    # A plain link: the page with the form is not one of Streamlit's.
    st.link_button(_("Sign in with the password"), SIGN_IN, icon=":material/key:")
