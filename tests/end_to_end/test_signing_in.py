"""Signing in to the dashboard through an identity provider, in a browser."""

from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Browser, expect

from support.browser import Window, chromium
from support.dashboard import Dashboard, free_port, running_dashboard
from support.identity_provider import IdentityProvider, identity_provider

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as running:
        yield running


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory, provider: IdentityProvider) -> Iterator[Dashboard]:
    folder = tmp_path_factory.mktemp("dashboard")
    port = free_port()
    secrets = folder / "secrets.toml"
    provider.write_secrets(secrets, f"http://127.0.0.1:{port}")
    users = "me@example.com,@example.org"
    with running_dashboard(folder, NOWHERE, port, secrets_file=secrets, oidc_users=users, session_hours=1) as running:
        yield running


@pytest.fixture
def window(browser: Browser, dashboard: Dashboard) -> Iterator[Window]:
    opened = Window(browser, dashboard.url)
    yield opened
    opened.context.close()


def sign_in(window: Window) -> None:
    window.page.goto(window.url)
    window.page.get_by_role("button", name="Sign in with").click()


@pytest.mark.parametrize("email", ["ME@Example.com", "anybody@example.org"])
def test_who_is_listed_signs_in_and_out(window: Window, provider: IdentityProvider, email: str) -> None:
    provider.email, provider.signed_in_s_ago = email, 0
    sign_in(window)
    expect(window.page.get_by_text(f"Signed in: {email.lower()}")).to_be_visible()
    window.page.get_by_role("button", name="Sign out").click()
    expect(window.page.get_by_role("button", name="Sign in with")).to_be_visible()
    window.page.goto(window.url)
    expect(window.page.get_by_role("button", name="Sign in with")).to_be_visible()


@pytest.mark.parametrize("email", ["me@example.com.evil.example", "anybody@sub-example.org"])
def test_who_is_not_listed_sees_nothing(window: Window, provider: IdentityProvider, email: str) -> None:
    provider.email, provider.signed_in_s_ago = email, 0
    sign_in(window)
    expect(window.page.get_by_text("may not use this dashboard")).to_be_visible()
    expect(window.page.get_by_text("Signed in:")).to_have_count(0)


def test_an_address_that_is_not_verified_is_nobodys(window: Window, provider: IdentityProvider) -> None:
    provider.email, provider.signed_in_s_ago, provider.is_verified = "me@example.com", 0, "false"
    sign_in(window)
    expect(window.page.get_by_text("no address of yours that it has verified")).to_be_visible()
    provider.is_verified = True


def test_files_are_for_who_is_signed_in_alone(window: Window, dashboard: Dashboard, provider: IdentityProvider) -> None:
    paths = ("/media/0123.png", "/_stcore/upload_file/session/file", "/_stcore/metrics")
    for path in paths:
        assert httpx2.get(dashboard.url + path).status_code == 401
    provider.email, provider.signed_in_s_ago = "me@example.com", 0
    sign_in(window)
    expect(window.page.get_by_text("Signed in: me@example.com")).to_be_visible()
    cookies = "; ".join(f"{one.get('name')}={one.get('value')}" for one in window.context.cookies())
    for path in paths[:2]:
        assert httpx2.get(dashboard.url + path, headers={"Cookie": cookies}).status_code != 401
    forged = cookies.replace("_streamlit_user=", "_streamlit_user=x")
    assert httpx2.get(dashboard.url + paths[0], headers={"Cookie": forged}).status_code == 401


def test_a_sign_in_that_is_too_old_has_ended(window: Window, provider: IdentityProvider) -> None:
    provider.email, provider.signed_in_s_ago = "me@example.com", 3700
    sign_in(window)
    expect(window.page.get_by_role("button", name="Sign in with")).to_be_visible()
    expect(window.page.get_by_text("Signed in:")).to_have_count(0)


def test_the_password_is_another_way_in(window: Window, dashboard: Dashboard) -> None:
    window.page.goto(window.url)
    with window.context.expect_page() as opened:
        window.page.get_by_role("link", name="Sign in with the password").click()
    page = opened.value
    page.fill("input[name=password]", dashboard.password)
    page.click("button[type=submit]")
    expect(page.get_by_text("Signed in: administrator")).to_be_visible()
