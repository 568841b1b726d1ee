from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lexport.errors import InputError
from lexport.serving.stores.oci.credentials import Credentials, find_credentials

from ....refusals import refused
from .registries import PASSWORD, USER, docker_login, helper, login_of

HOST = "registry.example:5000"
OURS = Credentials(USER, PASSWORD)
ENCODED = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
GIVES = 'read asked\n[ "$1 $asked" = "get registry.example:5000" ] && echo \'{"Username": "ada", "Secret": "word"}\''


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    """The folder of docker's configuration."""
    return tmp_path / "docker"


def test_without_any_there_are_none(docker: Path) -> None:
    assert find_credentials(HOST) is None
    docker_login(docker, {})
    assert find_credentials(HOST) is None
    docker_login(docker, login_of("other.example"))
    assert find_credentials(HOST) is None


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"https://{HOST}/v1/", f"http://{HOST}/"])
def test_what_docker_login_wrote(docker: Path, key: str) -> None:
    docker_login(docker, login_of(key))
    assert find_credentials(HOST) == OURS


def test_in_the_home_folder_where_nothing_else_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_CONFIG")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    docker_login(tmp_path / "home" / ".docker", login_of(HOST))
    assert find_credentials(HOST) == OURS


def test_a_variable_is_preferred_and_its_word_may_have_colons(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker_login(docker, login_of(HOST))
    monkeypatch.setenv("LOGIN", "bob:a:b")
    assert find_credentials(HOST, "LOGIN") == Credentials("bob", "a:b")


@pytest.mark.parametrize("value", [None, "", "bob", ":word", "bob:"], ids=repr)
def test_a_variable_without_credentials(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("LOGIN", raising=False)
    if value is not None:
        monkeypatch.setenv("LOGIN", value)
    with refused(InputError, "LX-SERVE-166", HOST, "LOGIN", "USER:PASSWORD"):
        find_credentials(HOST, "LOGIN")


def test_a_program_that_keeps_them(docker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    helper(tmp_path, "keys", GIVES)
    docker_login(docker, {"auths": {HOST: {}}, "credsStore": "keys"})
    assert find_credentials(HOST) == Credentials("ada", "word")
    docker_login(docker, {"credHelpers": {HOST: "keys"}, "auths": login_of(HOST)["auths"]})
    assert find_credentials(HOST) == Credentials("ada", "word")
    helper(tmp_path, "keys", "echo 'credentials not found in native keychain'; exit 1")
    assert find_credentials(HOST) is None


@pytest.mark.parametrize(
    ("program", "named"),
    [
        ("echo 'the keychain is locked' >&2; exit 1", "the keychain is locked"),
        ("echo '{}'", "KeyError"),
        ("echo secret", "JSONDecodeError"),
        ('echo \'{"Username": "<token>", "Secret": "secret"}\'', "identity token"),
    ],
)
def test_a_program_that_cannot_say(
    docker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, named: str
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    helper(tmp_path, "keys", program)
    docker_login(docker, {"credsStore": "keys"})
    with refused(InputError, "LX-SERVE-166", HOST, docker / "config.json", named) as caught:
        find_credentials(HOST)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [
        [],
        {"auths": []},
        {"auths": {HOST: None}},
        {"auths": {HOST: {"auth": "no base64"}}},
        {"auths": {HOST: {"auth": base64.b64encode(b"nocolon").decode()}}},
        {"auths": {HOST: {"auth": ENCODED, "identitytoken": "x"}}},
        {"credsStore": "../../bin/sh"},
        {"credsStore": "not-on-the-path"},
        {"credHelpers": {HOST: 7}},
    ],
    ids=json.dumps,
)
def test_a_configuration_that_cannot_be_used(docker: Path, config: Any) -> None:
    docker_login(docker, config)
    with refused(InputError, "LX-SERVE-166", HOST, docker / "config.json"):
        find_credentials(HOST)


def test_a_file_that_cannot_be_read(docker: Path) -> None:
    docker.mkdir()
    (docker / "config.json").write_bytes(b'{"auths": {"' + ENCODED.encode())
    with refused(InputError, "LX-SERVE-166", HOST, docker / "config.json") as caught:
        find_credentials(HOST)
    assert ENCODED not in str(caught.value)
    (docker / "config.json").unlink()
    (docker / "config.json").mkdir()
    with refused(InputError, "LX-SERVE-166", HOST, docker / "config.json"):
        find_credentials(HOST)


def test_the_password_is_not_shown() -> None:
    assert PASSWORD not in repr(OURS)
