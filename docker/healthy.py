"""Exit with 0 where an address of this container answers with 200; what HEALTHCHECK runs: `healthy.py URL`.

Where FACE_API_TLS_CERT_FILE makes the API speak TLS alone, it is asked by TLS. Needs nothing but Python, and takes a
twentieth of a second. The proxy that an engine's settings may name (`http_proxy`) is for what is outside: not used.
"""

import os
import ssl
import sys
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

TIMEOUT_S = 4


def main(url: str) -> int:
    if os.environ.get("FACE_API_TLS_CERT_FILE"):
        url = url.replace("http:", "https:", 1)
    unchecked = ssl._create_unverified_context()  # noqa: S323 - itself, by an address that no certificate names
    direct = build_opener(ProxyHandler({}), HTTPSHandler(context=unchecked))
    try:
        direct.open(url, timeout=TIMEOUT_S).close()
    except OSError as error:  # every other status is one, too
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
