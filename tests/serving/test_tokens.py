"""Tokens that a user gives, as a real TorchServe takes them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

from lexport.client.tokens import Keys
from lexport.errors import InputError, SystemProblem
from lexport.serving.settings import properties
from lexport.serving.settings.addresses import addresses
from lexport.serving.settings.files import read_settings
from lexport.serving.settings.ports import pick_free
from lexport.serving.state import read_token
from lexport.serving.tokens import (
    Accepted,
    Former,
    Tokens,
    accepted,
    generate,
    read_key_file,
    read_token_file,
    write_key_file,
)
from lexport.serving.torchserve import http as api
from lexport.serving.torchserve.java import PLUGIN, find_java

from ..refusals import refused

LONG = "k3y-of_32.characters~with/all+==="
COMPILED_BY = 17  # the javac that made the class in this folder: `javac --release 11`


def private(path: Path, content: str) -> Path:
    path.write_text(content)
    path.chmod(0o600)
    return path


def test_generated_tokens_have_256_bits_and_are_not_shown() -> None:
    one, other = generate(), generate()
    assert len({one.inference, one.management, other.inference, other.management}) == 4
    assert all(len(token) == 43 for token in (one.inference, one.management))
    assert one.inference not in repr(one)
    assert one.management not in repr(one)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", " \n\n"])
def test_one_line_is_the_inference_token(tmp_path: Path, end: str) -> None:
    tokens = read_token_file(private(tmp_path / "token", LONG + end))
    assert tokens.inference == LONG
    assert len(tokens.management) == 43


def test_a_key_file_has_both(tmp_path: Path) -> None:
    content = {"inference": {"key": LONG}, "management": {"key": LONG[::2]}, "API": {"key": "ignored"}}
    assert read_token_file(private(tmp_path / "keys", json.dumps(content))) == Tokens(LONG, LONG[::2])
    del content["management"]
    assert len(read_token_file(private(tmp_path / "keys", json.dumps(content))).management) == 43


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", ("LX-SERVE-033", "0 characters", "16 to 512")),
        ("short", ("LX-SERVE-033", "inference token", "5 characters", "16 to 512")),
        ("x" * 513, ("LX-SERVE-033", "513 characters", "16 to 512")),
        (f"{LONG}\n{LONG}", ("LX-SERVE-033", f"{2 * len(LONG) + 1} characters", "A-Z a-z 0-9")),
        ("two words are not one token", ("LX-SERVE-033", "27 characters", "A-Z a-z 0-9")),
        ("schlüssel-mit-umlaut", ("LX-SERVE-033", "20 characters", "A-Z a-z 0-9")),
        ("x" * 70_000, ("LX-SERVE-036", "openssl rand")),
        ("{}", ("LX-SERVE-032", "inference token", "openssl rand")),
        ("{" * 20_000, ("LX-SERVE-031", "JSONDecodeError")),
        ('{"inference": "abc"}', ("LX-SERVE-031", "TypeError")),
        ('{"inference": {"key": 1234567890123456}}', ("LX-SERVE-033", "inference token", "int")),
        (
            f'{{"inference": {{"key": "{LONG}"}}, "management": {{"key": "8letters"}}}}',
            ("LX-SERVE-033", "management token", "8 characters"),
        ),
        (f'{{"inference": {{"key": "{LONG}"}}, "management": {{"key": "{LONG}"}}}}', ("LX-SERVE-034", "token")),
    ],
)
def test_what_is_no_good_token_is_refused(tmp_path: Path, content: str, error: tuple[str, ...]) -> None:
    with refused(InputError, *error):
        read_token_file(private(tmp_path / "token", content))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = private(tmp_path / "token", LONG)
    path.chmod(mode)
    with refused(InputError, "LX-SERVE-037", f"{mode:04o}", path):
        read_token_file(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="makes files of root's")
def test_a_mounted_secret_of_roots_may_be_readable_by_the_services_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "inference.token"
    path.write_text(LONG)
    path.chmod(0o440)
    with refused(InputError, "LX-SERVE-037", "0440"):  # root's own
        read_token_file(path)
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    assert read_token_file(path).inference == LONG
    path.chmod(0o444)
    with refused(InputError, "LX-SERVE-037", "0444"):
        read_token_file(path)
    os.chown(path, 10001, 10001)
    path.chmod(0o440)
    with refused(InputError, "LX-SERVE-037", "0440"):  # others of a user's group are others
        read_token_file(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with refused(InputError, "LX-SERVE-035", "No such file"):
        read_token_file(tmp_path / "absent")
    with refused(InputError, "LX-SERVE-035"):
        read_token_file(tmp_path)


def test_clients_take_a_file_of_one_line_too(tmp_path: Path) -> None:
    path = private(tmp_path / "token", f"{LONG}\n")
    assert read_token(path, "inference") == LONG
    assert Keys(file=path).token() == LONG
    with refused(SystemProblem, "LX-SERVE-020", "management token"):
        read_token(path, "management")
    for wrong in ("", "two words", f"{LONG}\nX-Header: 1"):
        with refused(SystemProblem, "LX-SERVE-020"):
            read_token(private(path, wrong), "inference")


def test_the_classes_are_what_their_sources_say(tmp_path: Path) -> None:
    javac = shutil.which("javac")
    if javac is None:
        pytest.skip("needs javac")
    version = subprocess.run([javac, "-version"], capture_output=True, text=True, check=True)
    major = re.search(r"javac ([0-9]+)", version.stdout + version.stderr)
    if major is None or int(major[1]) != COMPILED_BY:
        pytest.skip(f"needs javac {COMPILED_BY}; another writes other bytes")
    options = ["--release", "11", "-Xlint:all,-processing", "-Werror", "-cp", f"{frontend()}/*", "-d", str(tmp_path)]
    subprocess.run([javac, *options, *map(str, sorted(PLUGIN.rglob("*.java")))], check=True)
    made, kept = (
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.class")}
        for folder in (tmp_path, PLUGIN)
    )
    assert sorted(made) == sorted(kept)
    assert [name for name in made if made[name] != kept[name]] == []


def frontend() -> Path:
    return Path(str(distribution("torchserve").locate_file(""))) / "ts" / "frontend"


class TorchServe:
    """TorchServe without models, started with given tokens."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder = folder
        settings = read_settings()
        endpoints = pick_free(addresses(settings, 0))
        self.inference, self.management = endpoints["inference"].url, endpoints["management"].url
        del settings["vmargs"]
        settings |= {f"{name}_address": endpoints[name].url for name in ("inference", "management", "metrics")}
        settings |= {"load_models": "", "model_store": str(folder), **more}
        (folder / "server.properties").write_text(properties.render(settings, "test"))
        command = [
            *(str(find_java().path), f"-Djava.io.tmpdir={folder}", f"-Dmodel_server_home={frontend().parents[1]}"),
            *("-cp", f"{PLUGIN}:{frontend()}/*"),
            *("org.pytorch.serve.ModelServer", "--python", sys.executable, "-f", "server.properties", "-ncs"),
        ]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment()
        )

    def environment(self) -> dict[str, str]:
        return os.environ | {"LOG_LOCATION": str(self.folder), "METRICS_LOCATION": str(self.folder)}

    def wait(self) -> bool:
        """Return whether it answers; False if another program took one of its ports before it did."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                for url in (self.inference, self.management):
                    api.request("GET", url, "/ping", token="")
                return True
            time.sleep(0.1)
        self.process.kill()
        said = self.process.communicate()[0]
        assert "Address already in use" in said, said
        return False

    def statuses(self, inference: str, management: str) -> tuple[int, int]:
        first, _ = api.request("GET", self.inference, "/ping", token=inference)
        second, _ = api.request("GET", self.management, "/models", token=management)
        return first, second


@contextlib.contextmanager
def started(folder: Path, tokens: Tokens | None, **settings: str) -> Iterator[TorchServe]:
    folder.mkdir(exist_ok=True, mode=0o700)
    for _ in range(3):
        if tokens is not None:
            write_key_file(folder / "key_file.json", accepted(tokens))
        server = TorchServe(folder, **settings)
        try:
            if server.wait():
                yield server
                return
        finally:
            with server.process:
                server.process.kill()
    raise AssertionError("another program took its ports three times")


@pytest.mark.usefixtures("java")
def test_given_tokens_are_the_servers_at_every_start(tmp_path: Path) -> None:
    tokens = Tokens(LONG, generate().management)
    for _ in range(2):
        with started(tmp_path / "server", tokens) as server:
            assert server.statuses(tokens.inference, tokens.management) == (200, 200)
            assert server.statuses(tokens.management, tokens.inference) == (400, 400)
            assert server.statuses("", "") == server.statuses(LONG[:8], LONG[:-1]) == (400, 400)
            key_file = server.folder / "key_file.json"
            assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
            assert read_key_file(key_file) == accepted(tokens)
            for file in ("cmdline", "environ"):
                content = Path(f"/proc/{server.process.pid}/{file}")
                if content.exists():
                    assert not any(token.encode() in content.read_bytes() for token in vars(tokens).values())
            # The token API would replace the tokens by short ones.
            for token in (tokens.inference, tokens.management, "", "null"):
                path = "/token?type=inference"
                assert api.request("GET", server.management, path, token=token)[0] == 400
            assert server.statuses(tokens.inference, tokens.management) == (200, 200)
            left = "".join(path.read_text() for path in server.folder.rglob("*.log"))
            assert tokens.inference not in left
            assert tokens.management not in left


@pytest.mark.usefixtures("java")
def test_tokens_end_when_the_settings_say_so(tmp_path: Path) -> None:
    tokens = generate()
    with started(tmp_path / "server", tokens, token_expiration_min="0") as server:
        assert server.statuses(tokens.inference, tokens.management) == (400, 400)


@pytest.mark.usefixtures("java")
def test_a_server_without_authorization_starts_as_well(tmp_path: Path) -> None:
    with started(tmp_path / "server", None, disable_token_authorization="true") as server:
        assert server.statuses("", "") == (200, 200)
        assert not (server.folder / "key_file.json").exists()


@pytest.mark.usefixtures("java")
def test_a_server_that_cannot_read_its_tokens_ends_and_says_so(tmp_path: Path) -> None:
    server = TorchServe(tmp_path)
    printed, _ = server.process.communicate(timeout=120)
    assert server.process.returncode == 1
    assert f"The tokens cannot be read from {tmp_path}/key_file.json: java.nio.file.NoSuchFileException" in printed


def test_a_key_file_has_the_tokens_before_while_they_are_taken(tmp_path: Path) -> None:
    path, soon = tmp_path / "key_file.json", time.time() + 60
    first = accepted(generate())
    second = {kind: one.followed_by(f"second-{kind}-token", soon) for kind, one in first.items()}
    write_key_file(path, second)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key_file(path) == second
    assert second["inference"].former == (Former(first["inference"].key, soon),)
    assert read_token(path, "inference") == "second-inference-token"
    assert first["inference"].key not in repr(second)
    # A grace period that is over leaves nothing, and neither does a token that is the newest again.
    assert Accepted("one", (Former("none", time.time() - 1),)).followed_by("two", soon).former == (
        Former("one", soon),
    )
    assert Accepted("one", (Former("two", soon),)).followed_by("two", soon).former == (Former("one", soon),)
    for damaged in ("", "{}", '{"inference": {"key": "x"}, "management": {"key": "y"}}', "[" * 20_000):
        with refused(SystemProblem, "LX-SERVE-230", path):
            read_key_file(private(path, damaged))
    with refused(SystemProblem, "LX-SERVE-230", "FileNotFoundError"):
        read_key_file(tmp_path / "absent")
