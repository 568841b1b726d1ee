"""`lexport generate haproxy|nginx`: the files it writes, with TLS, and the page that explains them."""

from __future__ import annotations

import os
import re
import shlex
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lexport.__main__ import run
from lexport.errors import InputError
from lexport.serving.proxies.configuration import Limits, Proxy, parse_address, proxy_configuration
from lexport.serving.settings.addresses import Address

from ...refusals import refused
from .proxy_cases import KINDS, SHORT, command, program, proxied
from .proxy_requests import BODY, POST

each = pytest.mark.parametrize("kind", KINDS)


@each
@pytest.mark.parametrize("together", [False, True], ids=["key beside", "key in the same file"])
def test_over_tls_it_speaks_http_1_alone(kind: str, together: bool, certificate: Path, tmp_path: Path) -> None:
    key = Path(f"{certificate}.key")
    shown: dict[str, Path] = {"certificate": certificate, "key": key}
    if together:
        both = tmp_path / "both.pem"
        both.write_bytes(certificate.read_bytes() + key.read_bytes())
        shown = {"certificate": both}
    trusting = ssl.create_default_context(cafile=certificate)
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    with (
        proxied(kind, SHORT, tmp_path, **shown) as (address, _),
        socket.create_connection((address.host, address.port), 5) as plain,
        trusting.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        assert client.version() in ("TLSv1.2", "TLSv1.3")
        assert client.selected_alpn_protocol() == "http/1.1"
        client.sendall(POST + BODY)
        assert client.recv(1000).endswith(b"ok")
        # Who never begins to speak TLS is closed, too.
        with socket.create_connection((address.host, address.port), 4) as silent:
            assert silent.recv(1000) == b""


@each
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--listen", "[::1]:9443", "--max-body", "8000000", "--max-connections", "100", "--max-per-address", "100"],
        ["--metrics", "127.0.0.1:8082", "--upstream", "localhost:9000", "--max-form", "100"],
    ],
    ids=["defaults", "limits", "metrics"],
)
def test_the_proxys_own_checker_finds_nothing(kind: str, options: list[str], tmp_path: Path) -> None:
    assert run(["generate", kind, "--out", str(tmp_path / "proxy.cfg"), *options]) == 0
    done = subprocess.run(
        command(kind, tmp_path, check=True), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower()
    assert "[warn]" not in done.stderr


@each
def test_without_out_it_is_printed(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", kind]) == 0
    assert capsys.readouterr() == (proxy_configuration(kind, Proxy()), "")


def test_unencrypted_on_the_network_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", "haproxy", "--listen", "0.0.0.0:8080"]) == 0
    assert "unencrypted: 0.0.0.0:8080 without --tls-certificate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["haproxy", "--listen", "8443"], 2, "'8443' is not an address. Expected ADDRESS:PORT"),
        (["haproxy", "--listen", "127.0.0.1:70000"], 2, "is not an address"),
        (["nginx", "--upstream", "a b:1"], 2, "is not an address"),
        (["nginx", "--tls-key", "k.pem"], 2, "without a certificate. Give --tls-certificate too."),
        (["haproxy", "--tls-certificate", "c.pem", "--tls-key", "k.pem"], 2, "haproxy does not take the key"),
        (["nginx", "--tls-certificate", "c';.pem"], 2, "characters that mean something"),
        (["nginx", "--max-body", "10"], 2, "Forms may have 65,536 bytes and bodies 10"),
        (["nginx", "--max-connections", "10"], 2, "64 connections and all together 10"),
        (["nginx", "--max-connections", "0"], 2, "limit connections is 0; expected 1 or more"),
        (["haproxy", "--max-body", "100000000"], 2, "expected up to 67,108,864"),
        (["haproxy", "--state-dir", "none"], 3, "No server runs"),
        (["haproxy", "--out", "."], 2, "a folder is there"),
    ],
)
def test_what_cannot_be_written_is_refused(
    options: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["generate", *options]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert list(tmp_path.iterdir()) == []


PAGE = Path(__file__).parents[3] / "docs" / "proxy.md"


@each
def test_the_pages_commands_make_what_the_checker_accepts(
    kind: str, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    key = Path(f"{certificate}.key").read_bytes()
    Path("site.pem").write_bytes(certificate.read_bytes() + key)
    Path("site.key").write_bytes(key)
    path = f"{Path(program(kind)).parent}:{os.environ['PATH']}"
    lines = re.findall(
        r"^    (lexport generate .*|haproxy .*|nginx .*|mkdir .*)$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    done = []
    for line in lines:
        words = shlex.split(line)
        if words[:3] == ["lexport", "generate", kind]:
            assert run(words[1:]) == 0
        elif words[0] == "mkdir" or (words[0] == kind and {"-c", "-t"} & set(words[1:2])):
            subprocess.run(
                ["bash", "-c", line], check=True, env={"PATH": path, "PWD": str(tmp_path)}, capture_output=True
            )
        else:  # of the other proxy, or what stays in the foreground
            continue
        done.append(words[0])
    assert done.count("lexport") == 1
    assert kind in done


def test_the_pages_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    [block] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    exec(compile(block, "the page", "exec"), {})
    assert capsys.readouterr().out.startswith("# haproxy before a model server")


@each
def test_the_page_tells_the_defaults(kind: str) -> None:
    page, limits = PAGE.read_text("utf-8"), Limits()
    for option in (limits.body, limits.form, limits.connections, limits.per_address):
        assert f"| {option:,}" in page
    for seconds in (limits.header_time, limits.body_time, limits.idle_time, limits.answer_time):
        assert f"{seconds}s" in proxy_configuration(kind, Proxy())
        assert f"{seconds} s" in page


def test_another_kind_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", "apache"]) == 2
    assert "No such command 'apache'. See: lexport generate --help" in capsys.readouterr().err
    with refused(InputError, "LX-PROXY-001", "haproxy or nginx"):
        proxy_configuration("apache", Proxy())


def test_addresses_are_read_as_written() -> None:
    assert parse_address("[::1]:8443") == Address("[::1]", 8443)
    assert parse_address(" localhost:80 ") == Address("localhost", 80)


@each
def test_probes_are_passed_on_only_where_their_address_is_given(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "proxy.cfg"
    assert run(["generate", kind, "--health", "127.0.0.1:8083", "--out", str(path)]) == 0
    assert "127.0.0.1:8083" in path.read_text()
    subprocess.run(command(kind, tmp_path, check=True), check=True, capture_output=True, cwd=tmp_path)
    assert not {"livez", "readyz"} & set(re.findall(r"\w+", proxy_configuration(kind, Proxy())))
    assert run(["generate", kind, "--health", "8083"]) == 2
    assert "'8083' is not an address" in capsys.readouterr().err
