"""Registries to test with: the real one of Debian's package docker-registry, and a server that answers as it is told.

The first is CNCF Distribution, which the Docker Hub grew from. The second is no registry: it plays what a broken or
hostile one, or its token service, may send.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

USER, PASSWORD = "ada", "correct horse"
# Of PASSWORD, by bcrypt, the only hash that the registry reads.
_HTPASSWD = f"{USER}:$2b$04$TxpD4JIvLGeo87rFnhvdbOH0DfXomc6b7fjP3f6eYaMqvb8mAjEUC\n"
SERVICE, ISSUER = "registry.test", "tokens.test"


@dataclass(frozen=True)
class Running:
    """A registry that listens."""

    address: str
    """HOST:PORT."""
    storage: Path
    """Where it keeps what was pushed."""

    def named(self, repository: str) -> str:
        """The reference of REPOSITORY:TAG or REPOSITORY@DIGEST."""
        return f"oci://{self.address}/{repository}"

    def blob(self, digest: str) -> Path:
        """The file of a blob, by its hex digest."""
        return self.storage / "docker/registry/v2/blobs/sha256" / digest[:2] / digest / "data"


@contextmanager
def registry(folder: Path, **settings: Any) -> Iterator[Running]:
    """A registry that keeps its files in `folder`; skips where it is not installed."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed; Debian's package has that name")
    folder.mkdir(exist_ok=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    http = {"addr": address, "secret": "test", **settings.pop("http", {})}
    values = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": http,
        **settings,
    }
    (folder / "config.yml").write_text(json.dumps(values))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while not _accepts(address):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield Running(address, folder / "storage")
    finally:
        process.terminate()
        process.wait(20)


def _accepts(address: str) -> bool:
    host, _, port = address.partition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


def with_passwords(folder: Path) -> dict[str, Any]:
    """The settings of a registry that wants USER and PASSWORD."""
    (folder / "htpasswd").write_text(_HTPASSWD)
    return {"auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}}


class Signer:
    """A key with a certificate for 127.0.0.1, for TLS and for tokens."""

    def __init__(self, folder: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        now = dt.datetime.now(dt.UTC)
        local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(local, critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        self.certificate_file, self.key_file = folder / "certificate.pem", folder / "key.pem"
        self.certificate_file.write_bytes(self.certificate.public_bytes(pem))
        private = serialization.PrivateFormat.PKCS8
        self.key_file.write_bytes(self.key.private_bytes(pem, private, serialization.NoEncryption()))

    def token(self, access: list[dict[str, Any]]) -> str:
        """A JSON Web Token (RFC 7519) that lets its bearer do what `access` says."""
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": USER, "aud": SERVICE, "nbf": now - 10, "exp": now + 300, "iat": now}
        parts = [_base64(json.dumps(one).encode()) for one in (header, claims | {"jti": "1", "access": access})]
        signed = self.key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256()))
        numbers = b"".join(one.to_bytes(32, "big") for one in utils.decode_dss_signature(signed))
        return ".".join([*parts, _base64(numbers)])


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@dataclass
class Asked:
    """A request that a scripted server got."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Scripted:
    """A server that answers what it is told."""

    address: str
    answers: dict[tuple[str, str], Callable[[BaseHTTPRequestHandler], None]]
    """By method and path without its query; anything else is 404."""
    asked: list[Asked] = field(default_factory=list)

    def answer(
        self, method: str, path: str, status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer requests to a path so."""

        def send(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[method, path] = send

    def named(self, repository: str) -> str:
        """The reference of REPOSITORY:TAG or REPOSITORY@DIGEST."""
        return f"oci://{self.address}/{repository}"


@contextmanager
def scripted(signer: Signer | None = None) -> Iterator[Scripted]:
    """A server on a free port of the loopback interface, over TLS with the certificate of a signer."""

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.asked.append(Asked(self.command, self.path, dict(self.headers), body))
            send = script.answers.get((self.command, self.path.partition("?")[0]))
            with suppress(ConnectionError):
                if send is None:
                    self.send_response(404)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    send(self)

        do_GET = do_HEAD = do_POST = do_PUT = do_CONNECT = _handle  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if signer is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(signer.certificate_file, signer.key_file)
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        script = Scripted(f"127.0.0.1:{server.server_address[1]}", {})
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


def docker_login(folder: Path, values: Mapping[str, Any]) -> None:
    """Write docker's configuration."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(values))


def login_of(address: str, user: str = USER, password: str = PASSWORD) -> dict[str, Any]:
    """What `docker login` writes for a registry where no program keeps it."""
    return {"auths": {address: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}}}


def helper(folder: Path, name: str, program: str) -> None:
    """A credential helper, a shell script, in a folder."""
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
