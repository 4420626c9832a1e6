"""What docker/ promises, read from its files; `make images` runs them."""

import re
from pathlib import Path

import pytest

from support.images import COMPOSE, DOCKER, SERVICES, load

ROOT = DOCKER.parent
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
LONG_RUNNING = sorted(set(SERVICES) - {"secrets"})


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_is_built_with_the_uv_of_the_makefile(path: Path) -> None:
    [version] = re.findall(r"^UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"^ARG UV_VERSION=(\S+)", path.read_text(), re.MULTILINE) == [version]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_runs_as_nobody_and_says_how_it_is(path: Path) -> None:
    result = path.read_text().rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\S+)", result, re.MULTILINE) == ["10001:10001"]
    assert re.search(r"^HEALTHCHECK ", result, re.MULTILINE)
    assert re.search(r"^VOLUME /data$", result, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["tini", "--", ', result, re.MULTILINE)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_is_without_what_may_not_be_used_commercially(path: Path) -> None:
    assert "find /opt/face -name shape_predictor_68_face_landmarks.dat -delete" in path.read_text()


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_a_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert (service["cap_drop"], service.get("cap_add")) == (["ALL"], None)
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in service and "privileged" not in service


def test_what_makes_the_secrets_reaches_no_network() -> None:
    service = SERVICES["secrets"]
    assert (service["network_mode"], service["read_only"], service["cap_drop"]) == ("none", True, ["ALL"])


def test_only_the_proxy_is_reached_from_elsewhere() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:") or name == "proxy", (name, port)


def test_the_database_and_the_counts_are_reached_by_the_api_alone() -> None:
    def on(network: str) -> set[str]:
        return {name for name, service in SERVICES.items() if network in service.get("networks", ())}

    assert on("database") == {"postgres", "migrate", "api-production"}
    assert on("limits") == {"redis", "api-production"}
    assert on("outside") == {"proxy"}
    assert {name for name, network in COMPOSE["networks"].items() if network.get("internal")} == {
        "database",
        "inside",
        "limits",
    }


def test_every_secret_is_a_file_that_the_service_for_it_makes_or_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = load(DOCKER / "make_secrets.py")
    monkeypatch.setattr(program, "FOLDER", tmp_path)
    monkeypatch.setattr(program, "OWNER", -1)
    program.main([])
    made = {path.name for path in tmp_path.iterdir()}
    assert set(COMPOSE["secrets"]) == made | set(program.KEPT)
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"${{FACE_SECRETS_DIR:-./secrets}}/{name}"}


def test_no_setting_of_a_service_holds_a_secret() -> None:
    """Only a file's name may stand where one is needed."""
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if re.search("KEY|PASS|SECRET|LIMITS_URL", variable):
                assert str(value).startswith("/run/secrets/"), variable


def test_every_container_has_the_secrets_that_its_settings_name() -> None:
    for name, service in SERVICES.items():
        named = set(re.findall(r"/run/secrets/([\w-]+)", str(service.get("environment")) + str(service.get("command"))))
        assert named <= set(service.get("secrets", ())), name
    proxied = set(re.findall(r"/run/secrets/([\w-]+)", (DOCKER / "nginx.conf").read_text()))
    assert proxied == set(SERVICES["proxy"]["secrets"])


def test_no_answer_of_the_proxys_own_lacks_what_it_adds_to_all_others() -> None:
    """In nginx a location with one `add_header` inherits none."""
    everywhere, *locations = re.split(r"^ +location ", (DOCKER / "nginx.conf").read_text(), flags=re.MULTILINE)
    [added] = re.findall(r"^ +(add_header .+)$", everywhere, re.MULTILINE)
    with_others = [location for location in locations if "add_header" in location]
    assert len(with_others) == 6
    assert all(added in location for location in with_others)


def test_the_proxy_may_open_a_file_for_each_of_its_connections() -> None:
    """Engines give 1024; beyond it nginx's log would tell of those that it cannot serve."""
    settings = (DOCKER / "nginx.conf").read_text()
    [files] = re.findall(r"^worker_rlimit_nofile (\d+);", settings, re.MULTILINE)
    [connections] = re.findall(r"^ +worker_connections (\d+);", settings, re.MULTILINE)
    assert int(files) > int(connections)


def test_the_stand_ins_are_of_the_images_that_the_stack_names() -> None:
    image_bases = load(ROOT / "scripts" / "image_bases.py")
    named = {service["image"] for service in SERVICES.values() if "build" not in service}
    assert named == {f"{image_bases.NAMESPACE}{name}:{version}" for name, version in image_bases.STANDINS.items()}
