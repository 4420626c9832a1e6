"""A real OpenID Connect provider on this machine, but for the question who somebody is: that the test says."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT_ID, CLIENT_SECRET = "dashboard", "of the test"


class IdentityProvider(ThreadingHTTPServer):
    """`email`: who signs in; `signed_in_s_ago`: when that was; `is_verified`: what it says of the address."""

    email = "me@example.com"
    signed_in_s_ago = 0.0
    is_verified: bool | str = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
        self.nonces: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def write_secrets(self, path: Path, dashboard_url: str) -> None:
        """Write the file that Streamlit reads."""
        path.write_text(
            "[auth]\n"
            f'redirect_uri = "{dashboard_url}/oauth2callback"\n'
            'cookie_secret = "a secret of the test, long enough"\n'
            f'client_id = "{CLIENT_ID}"\n'
            f'client_secret = "{CLIENT_SECRET}"\n'
            f'server_metadata_url = "{self.url}/.well-known/openid-configuration"\n'
        )

    def id_token(self, nonce: str) -> str:
        now = time.time() - self.signed_in_s_ago
        claims = {
            "iss": self.url,
            "sub": "1",
            "aud": CLIENT_ID,
            "iat": int(now),
            "exp": int(time.time()) + 3600,
            "nonce": nonce,
            "email": self.email,
            "email_verified": self.is_verified,
        }
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)


class _Handler(BaseHTTPRequestHandler):
    server: IdentityProvider

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        url = self.server.url
        if address.path == "/.well-known/openid-configuration":
            self._answer(
                {
                    "issuer": url,
                    "authorization_endpoint": f"{url}/authorize",
                    "token_endpoint": f"{url}/token",
                    "jwks_uri": f"{url}/keys",
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                }
            )
        elif address.path == "/keys":
            self._answer(KeySet([self.server.key]).as_dict(private=False))
        elif address.path == "/authorize":
            self.server.nonces["the code"] = query["nonce"]
            self.send_response(302)
            back = urlencode({"code": "the code", "state": query["state"]})
            self.send_header("Location", f"{query['redirect_uri']}?{back}")
            self.end_headers()
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        token = self.server.id_token(self.server.nonces.pop(form["code"][0]))
        self._answer({"access_token": "a", "token_type": "Bearer", "expires_in": 3600, "id_token": token})

    def _answer(self, document: object) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """Run a provider for the block."""
    with IdentityProvider() as provider:
        threading.Thread(target=provider.serve_forever, args=(0.05,), daemon=True).start()
        yield provider
        provider.shutdown()
