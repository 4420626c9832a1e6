"""What a server needs before it serves: an address, and files for TLS. Without them it says what is wrong."""

import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from face_api.server import UNSENT_BYTES, allow_open_files, bound_sockets, tls_context
from face_api.settings import Settings, SettingsError
from support.tls import certificate


def settings(cert: Path, key: Path) -> Settings:
    return Settings(tls_cert_file=cert, tls_key_file=key)


def test_without_files_there_is_no_tls() -> None:
    assert tls_context(Settings()) is None


def test_tls_of_today(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    context = tls_context(settings(files.cert, files.key))
    assert context is not None
    assert context.minimum_version.name == "TLSv1_2"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    with pytest.raises(SettingsError, match=r"TLS_CERT_FILE: .*missing\.pem cannot be read: No such file"):
        tls_context(settings(tmp_path / "missing.pem", files.key))
    with pytest.raises(SettingsError, match=r"TLS_KEY_FILE: .* cannot be read: Is a directory"):
        tls_context(settings(files.cert, tmp_path))


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    one, other = certificate(tmp_path / "one"), certificate(tmp_path / "other")
    (tmp_path / "text").write_text("no certificate")
    for cert, key in (
        (one.cert, other.key),
        (one.key, one.cert),
        (tmp_path / "text", one.key),
        (one.cert, tmp_path / "text"),
    ):
        with pytest.raises(SettingsError, match="not a certificate and its key") as caught:
            tls_context(settings(cert, key))
        assert str(cert) in str(caught.value) and str(key) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_key_with_a_passphrase_is_refused_rather_than_asked_for(tmp_path: Path) -> None:
    files = certificate(tmp_path, b"secret")
    with pytest.raises(SettingsError, match="without a passphrase"):
        tls_context(settings(files.cert, files.key))


def test_an_address_is_bound_and_not_listened_on_yet() -> None:
    (bound,) = bound_sockets("127.0.0.1", 0)
    with bound, socket.socket() as caller:
        assert caller.connect_ex(bound.getsockname()) != 0
        bound.listen()
        with socket.create_connection(bound.getsockname()):
            accepted, _ = bound.accept()
            with accepted:
                lowat = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
                assert lowat == UNSENT_BYTES


def test_all_addresses_of_a_name_get_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", 0)) for last in (1, 2)]
    unavailable = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))  # kept for documentation, so nobody's
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: [*found, unavailable])
    sockets = bound_sockets("several", 0)
    addresses = [each.getsockname() for each in sockets]
    for each in sockets:
        each.close()
    assert [host for host, _ in addresses] == ["127.0.0.1", "127.0.0.2"]
    assert len({port for _, port in addresses}) == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_somebody_else_is_named(host: str) -> None:
    with pytest.raises(SettingsError, match=f"cannot listen on {host} port 0: "):
        bound_sockets(host, 0)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1 port {port}: Address already in use"):
            bound_sockets("127.0.0.1", port)


@pytest.fixture
def few_files() -> Iterator[int]:
    """Let this process open few more files than it has, as far as it does not allow itself more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] == resource.RLIM_INFINITY:
        pytest.skip("this system sets no limit that could be reached")
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_as_many_files_as_needed_may_be_open(few_files: int, caplog: pytest.LogCaptureFixture) -> None:
    needed = min(300, few_files)
    allow_open_files(needed)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (needed, few_files)
    allow_open_files(10)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == needed, "it is never lowered"
    assert not caplog.records
    allow_open_files(few_files + 1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == few_files
    assert f"{few_files} open files are allowed" in caplog.text
