"""The commands in generated files, run: as they are in namespaces like a container's, and with a test's own paths."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from lexport.serving.generated.files import deployment_file

from . import containers

TOKEN = "0123456789abcdef" * 4
each_engine = pytest.mark.parametrize("engine", ["embedded", pytest.param("torchserve", marks=pytest.mark.long)])


@pytest.fixture(scope="module")
def archive(archive_of: Callable[[str], Path]) -> Path:
    return archive_of("onnx-int8")


@contextlib.contextmanager
def running(words: list[str], health: str) -> Iterator[subprocess.Popen[str]]:
    """A command in the foreground until it is ready; killed in the end if it still runs."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://{health}/readyz").status_code == 200:
                    break
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


def ask(port: int, token: str = TOKEN) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(f"http://127.0.0.1:{port}/predictions/topics", json={"text": "goal team"}, headers=headers)


@pytest.fixture
def place(tmp_path: Path, archive: Path) -> dict[str, str]:
    """By path and port of a container or unit, those of this test; the files are there."""
    (tmp_path / "models").mkdir()
    shutil.copy(archive, tmp_path / "models")
    token = tmp_path / "inference.token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    inference, management, metrics, health = map(str, free_ports(4))
    (tmp_path / "config.properties").write_text(
        f"inference_address=http://127.0.0.1:{inference}\nmetrics_address=http://127.0.0.1:{metrics}\n"
        f"management_address=http://127.0.0.1:{management}\n"
    )
    return {
        "/srv/lexport/models": str(tmp_path / "models"),
        "/srv/lexport": str(tmp_path),
        "/run/secrets/lexport": str(tmp_path),
        "%d": str(tmp_path),
        "/var/lib/lexport": str(tmp_path / "lib"),
        "0.0.0.0:8083": f"127.0.0.1:{health}",
        "127.0.0.1:8083": f"127.0.0.1:{health}",
        "inference": inference,
    }


def start(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "lexport", *words[1:]]


@each_engine
def test_lexport_serves_with_the_options_of_the_image_and_stops_at_sigterm(
    engine: str, archive: Path, place: dict[str, str]
) -> None:
    port = int(place.pop("inference"))
    image = containers.parsed(deployment_file("dockerfile", [archive], engine=engine))
    words = containers.moved(start(image.entrypoint), place)
    with running(words, place["0.0.0.0:8083"]) as server:
        assert ask(port).json()["label"] == "sport"
        assert ask(port, "another").status_code in (400, 401, 403)
        check = containers.moved(image.health, place)
        subprocess.run([sys.executable, *check[1:]], check=True, timeout=30)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 128 + signal.SIGTERM
    assert not (Path(place["/var/lib/lexport"]) / "state" / "server.json").exists()


def test_lexport_serves_with_the_options_of_the_unit_and_the_wait_for_it_ends(
    archive: Path, place: dict[str, str]
) -> None:
    port = int(place.pop("inference"))
    program = Path(place["/srv/lexport"]) / "lexport"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lexport "$@"\n')
    program.chmod(0o755)
    unit = deployment_file("systemd", [archive], engine="embedded", program=program)
    words = [containers.moved(word, place) for word in shlex.split(containers.setting(unit, "ExecStart"))]
    # Of a unit the ports are the packaged ones, which another test may use.
    words += ["--config", f"{place['/srv/lexport']}/config.properties"]
    with running(words, place["127.0.0.1:8083"]) as server:
        assert ask(port).json()["label"] == "sport"
        ready = shlex.split(containers.moved(containers.setting(unit, "ExecStartPost"), place))
        subprocess.run(ready, check=True, timeout=30, env=os.environ | {"MAINPID": str(server.pid)})
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == int(containers.setting(unit, "SuccessExitStatus"))
    # The server has gone: the wait ends with it.
    ended = subprocess.run(ready, check=False, timeout=30, env=os.environ | {"MAINPID": str(server.pid)})
    assert ended.returncode == 1


@each_engine
def test_the_image_runs_read_only_as_its_user_without_capabilities(
    engine: str, archive: Path, tmp_path: Path
) -> None:
    reason = containers.why_not()
    if reason:
        pytest.skip(reason)
    image = containers.parsed(deployment_file("dockerfile", [archive], engine=engine))
    shutil.copy(archive, tmp_path)
    (tmp_path / "token").write_text(TOKEN)
    asked = (
        '/opt/lexport/bin/python -c \'import httpx; print(httpx.post("http://127.0.0.1:8080/predictions/topics", '
        f'json={{"text": "goal team"}}, headers={{"Authorization": "Bearer {TOKEN}"}}).json()["label"])\''
    )
    done = subprocess.run(
        [*containers.APART, "sh", "-c", containers.script(image, tmp_path, tmp_path / "token", asked)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=os.environ | containers.variables(),
    )
    assert done.stdout.splitlines()[-1:] == ["exit 143"], done.stdout + done.stderr
    assert re.search(r"^Uid:\s+10001\s+10001\s", done.stdout, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", done.stdout, re.MULTILINE)
    assert "\nsport\n" in done.stdout
    assert not Path("/written").exists()
