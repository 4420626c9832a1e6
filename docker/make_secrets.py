"""Make the secrets of compose.yaml, each in a file that the containers' user alone may read; never overwrite one.

Run by the service `secrets`, as root and without a network. Without a word it makes all that can be made by chance;
`certificate NAME` makes a certificate for trying things out, that nobody trusts; `keep NAME` keeps what it reads from
standard input (an API key, or a certificate from elsewhere).
"""

import base64
import hashlib
import os
import secrets
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from face_engine.files import creating_file

FOLDER = Path("/secrets")
OWNER = 10001
"""The user of all containers: see the Dockerfiles and compose.yaml."""

KEPT = {"dashboard-key": b"fk_", "tls-certificate": b"-----BEGIN", "tls-key": b"-----BEGIN"}
"""What can be kept, and what is in each: not in an empty file, in one of DER's form, or in a message of an error."""

CERTIFICATE_DAYS = 90


class SecretsError(Exception):
    """Something cannot be made; the message says what."""


def main(arguments: list[str]) -> int:
    try:
        _remove_folders()
        match arguments:
            case []:
                _write_missing(_made_by_chance())
            case ["certificate", name]:
                _refuse_existing("tls-certificate", "tls-key")
                _write_missing(_self_signed(name))
            case ["keep", name] if name in KEPT:
                _refuse_existing(name)
                data = sys.stdin.buffer.read()
                if KEPT[name] not in data:
                    raise SecretsError(f"what came is not kept as {name}: there is no {KEPT[name].decode()} in it")
                _write_missing({name: data})
            case _:
                raise SecretsError(f"usage: secrets [certificate NAME | keep {{{','.join(KEPT)}}}]")
    except (SecretsError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _made_by_chance() -> Mapping[str, bytes]:
    """Return new values. What belongs together is looked at together: two halves of two passwords open nothing."""
    key_id, key = secrets.token_hex(4), base64.b64encode(secrets.token_bytes(32)).decode()
    database, limits = secrets.token_hex(32), secrets.token_hex(32)
    digest = hashlib.sha256(limits.encode()).hexdigest()
    groups: tuple[Mapping[str, str], ...] = (
        {"sealing-keys": f"k{key_id}:{key}\n"},
        {"database-password": f"{database}\n", "database-passfile": f"*:*:face:face:{database}\n"},
        {
            "limits-url": f"redis://face:{limits}@redis:6379/0\n",
            "limits-acl": f"user default off\nuser face on #{digest} ~* +@all -@admin -@dangerous\n",
        },
    )
    made: dict[str, bytes] = {}
    for group in groups:
        there = [name for name in group if (FOLDER / name).exists()]
        if there and len(there) < len(group):
            raise SecretsError(f"of {', '.join(group)}, which belong together, only {', '.join(there)} is there")
        made |= {} if there else {name: text.encode() for name, text in group.items()}
    return made


def _self_signed(name: str) -> Mapping[str, bytes]:
    from cryptography import x509  # noqa: PLC0415 - a quarter of a second, for this alone
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    try:
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
    except ValueError:
        raise SecretsError("a certificate's NAME has 1 to 64 ASCII characters; others are written xn--...") from None
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return {
        "tls-certificate": certificate.public_bytes(Encoding.PEM),
        "tls-key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }


def _remove_folders() -> None:
    """Remove what an engine made in the place of a secret that it was to mount, and that was not there."""
    for path in FOLDER.iterdir():
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _refuse_existing(*names: str) -> None:
    for name in names:
        if (FOLDER / name).exists():
            raise SecretsError(f"{name} is there already: move it away first, if a new one is wanted")


def _write_missing(files: Mapping[str, bytes]) -> None:
    with ExitStack() as stack:  # none has its name before all are written
        for name, data in files.items():
            stream = stack.enter_context(creating_file(FOLDER / name))
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), 0o400)  # while it is its own: afterwards that takes another capability
            os.fchown(stream.fileno(), OWNER, OWNER)
    for name in files:
        print(f"made {name}")
    if not files:
        print("all are there")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
