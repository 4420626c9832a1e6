"""Whom an identity provider signed in, by the claims that it made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Identity:
    """Args:
    email: in lower case; empty where the provider told none, or does not vouch for it.
    token: the same for as long as this sign-in with the provider lasts.
    began: when that was, in seconds since the epoch.
    """

    email: str
    token: str
    began: float

    def is_among(self, users: Sequence[str]) -> bool:
        """Return whether the address is one of these, which are addresses or, as `@example.com`, domains."""
        if "@" not in self.email:
            return False
        return any(self.email == user or (user.startswith("@") and self.email.endswith(user)) for user in users)


def identity_of(claims: Mapping[str, Any], *, trust_unverified: bool) -> Identity | None:
    """Return whom claims are about; None where nobody is signed in.

    Args:
        trust_unverified: take an address that the provider does not call verified.
    """
    if not claims.get("is_logged_in"):
        return None
    is_verified = claims.get("email_verified") in {True, "true"} or trust_unverified
    email = str(claims.get("email") or "").lower() if is_verified else ""
    issued_at = claims.get("iat")
    began = float(issued_at) if isinstance(issued_at, (int, float)) else 0.0
    return Identity(email, f"{claims.get('iss')} {claims.get('sub')} {began}", began)
