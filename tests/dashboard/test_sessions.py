import pytest

from face_dashboard.signing_in.sessions import MAX_SESSIONS, Sessions


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(idle_s=60, lifetime_s=600, clock=clock)


def test_a_session_is_found_by_its_token_alone(sessions: Sessions) -> None:
    token = sessions.begin("admin")
    found = sessions.find(token)
    assert found is not None
    assert found.who == "admin"
    for other in (None, "", "admin", token[:-1], token + "x", "\ud800"):
        assert sessions.find(other) is None


def test_a_session_ends_when_it_is_not_used(sessions: Sessions, clock: Clock) -> None:
    token = sessions.begin("admin")
    for _ in range(5):
        clock.now += 59
        assert sessions.find(token) is not None
    clock.now += 61
    assert sessions.find(token) is None


def test_what_a_page_does_by_itself_is_no_use(sessions: Sessions, clock: Clock) -> None:
    token = sessions.begin("admin")
    clock.now += 40
    assert sessions.find(token, use=False) is not None
    clock.now += 40
    assert sessions.find(token, use=False) is None


def test_a_session_ends_after_its_lifetime_however_much_it_is_used(sessions: Sessions, clock: Clock) -> None:
    token = sessions.begin("admin")
    for _ in range(20):
        clock.now += 30
        assert sessions.find(token) is not None
    clock.now += 1
    assert sessions.find(token) is None


def test_a_session_ends_when_somebody_signs_out(sessions: Sessions) -> None:
    token, other = sessions.begin("admin"), sessions.begin("admin")
    sessions.end(token)
    assert sessions.find(token) is None
    assert sessions.find(other) is not None
    sessions.end("unknown")
    sessions.end(None)


def test_a_providers_sign_in_is_resumed_until_it_ended(sessions: Sessions, clock: Clock) -> None:
    began = clock.now - 590
    assert sessions.resume("iss sub 1", "me@example.com", began) is not None
    clock.now += 11
    assert sessions.resume("iss sub 1", "me@example.com", began) is None, "older than a session may be"

    assert sessions.resume("iss sub 2", "me@example.com", clock.now) is not None
    sessions.end("iss sub 2")
    assert sessions.resume("iss sub 2", "me@example.com", clock.now) is None, "signed out"

    assert sessions.resume("iss sub 3", "me@example.com", clock.now) is not None
    clock.now += 61
    assert sessions.resume("iss sub 3", "me@example.com", clock.now - 61) is None, "not used"


def test_a_provider_cannot_tell_of_a_sign_in_to_come(sessions: Sessions, clock: Clock) -> None:
    session = sessions.resume("iss sub", "me@example.com", clock.now + 10_000)
    assert session is not None
    assert session.began == clock.now


def test_a_language_is_remembered(sessions: Sessions) -> None:
    token = sessions.begin("admin")
    sessions.prefer_language(token, "ko")
    found = sessions.find(token)
    assert found is not None
    assert found.language == "ko"
    sessions.prefer_language(None, "ko")


def test_sessions_are_bounded_and_the_least_used_gives_way(sessions: Sessions, clock: Clock) -> None:
    first = sessions.begin("admin")
    clock.now += 1
    tokens = [sessions.begin("admin") for _ in range(MAX_SESSIONS)]
    assert sessions.find(first) is None
    assert all(sessions.find(token) is not None for token in tokens)
