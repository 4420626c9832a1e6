"""What somebody sees who is not signed in, or no longer."""

import streamlit as st

from face_dashboard import access
from face_dashboard.signing_in.gate import SIGN_IN
from face_dashboard.words import _


def show_signing_in() -> None:
    """Offer the identity providers, where there are any, and the password's page."""
    st.title(_("Sign in"), anchor=False)
    if access.is_oidc():
        if st.user.get("is_logged_in") and not access.is_oidc_user():
            st.error(
                _("{email} may not use this dashboard. An operator can add the address.", email=st.user.get("email")),
                icon=":material/block:",
            )
            st.button(_("Use another account"), on_click=st.logout)
        for provider in access.providers():
            name = provider or _("your organisation's account")
            if st.button(_("Sign in with {provider}", provider=name), type="primary", key=f"oidc_{provider}"):
                st.login(provider or None)
    else:
        st.info(_("You are not signed in, or your session has ended."), icon=":material/lock_clock:")
    # A plain link: the page with the form is not one of Streamlit's.
    st.link_button(_("Sign in with the password"), SIGN_IN, icon=":material/key:")
