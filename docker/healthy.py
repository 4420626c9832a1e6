"""Exit with 0 where an address of this container answers with 200; what HEALTHCHECK runs: `healthy.py URL`.

Where FACE_API_TLS_CERT_FILE makes the API speak TLS alone, it is asked by TLS. Needs nothing but Python, and takes a
twentieth of a second.
"""

import os
import ssl
import sys
import urllib.request

TIMEOUT_S = 4


def main(url: str) -> int:
    if os.environ.get("FACE_API_TLS_CERT_FILE"):
        url = url.replace("http:", "https:", 1)
    unchecked = ssl._create_unverified_context()  # noqa: S323 - itself, by an address that no certificate names
    try:
        urllib.request.urlopen(url, timeout=TIMEOUT_S, context=unchecked).close()  # noqa: S310 - the image's own
    except OSError as error:  # every other status is one, too
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
