"""What a registry that is broken, slow or hostile may answer, played by a server that is no registry."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from lexport.errors import InputError, LexportError, RefusedError, SystemProblem
from lexport.serving.stores.oci.artifact import ARTIFACT_TYPE, pull, push

from ....refusals import refused
from ..conftest import Fill, Pack, names
from .registries import PASSWORD, USER, Scripted, Signer, docker_login, login_of, scripted

MANIFEST = "/v2/a/topics/manifests/1"


def layer(content: bytes, **changes: Any) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": "application/zip", "digest": digest, "size": len(content), **changes}


def offered(script: Scripted, content: bytes, **changes: Any) -> str:
    """Offer an artefact as a/topics:1, its layer changed, and return the path of its blob."""
    one = layer(content, **changes)
    manifest = {"schemaVersion": 2, "artifactType": ARTIFACT_TYPE, "layers": [one]}
    script.answer("GET", MANIFEST, body=json.dumps(manifest).encode())
    path = f"/v2/a/topics/blobs/{one['digest']}"
    script.answer("GET", path, body=content)
    return path


@pytest.fixture
def content(pack: Pack) -> bytes:
    return pack("1.0").read_bytes()


@pytest.fixture
def elsewhere() -> Iterator[Scripted]:
    """A second server."""
    with scripted() as running:
        yield running


def not_pulled(script: Scripted, store: Path, kind: type[LexportError], code: str, *values: object) -> None:
    with refused(kind, code, *values):
        pull(script.named("a/topics:1"), store=store)
    assert not store.exists()


def test_what_it_offers_is_pulled(script: Scripted, content: bytes, tmp_path: Path) -> None:
    """That the other tests fail for the reason they name."""
    offered(script, content)
    assert pull(script.named("a/topics:1"), store=tmp_path / "store").path.read_bytes() == content
    assert [one.headers["Accept-Encoding"] for one in script.asked] == ["identity", "identity"]


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"{}",
        json.dumps({"artifactType": ARTIFACT_TYPE}).encode(),
        json.dumps({"artifactType": ARTIFACT_TYPE, "layers": []}).encode(),
        json.dumps({"artifactType": ARTIFACT_TYPE, "layers": [layer(b"a"), layer(b"b")]}).encode(),
        json.dumps({"artifactType": ARTIFACT_TYPE, "layers": [layer(b"a", digest="sha256:../../x")]}).encode(),
        json.dumps({"artifactType": ARTIFACT_TYPE, "layers": [layer(b"a", digest=7)]}).encode(),
        json.dumps({"artifactType": ARTIFACT_TYPE, "layers": [layer(b"a", size="1")]}).encode(),
        json.dumps({"artifactType": ARTIFACT_TYPE, "layers": [layer(b"a", size=-1)]}).encode(),
        json.dumps({"artifactType": ARTIFACT_TYPE, "layers": [layer(b"a", size=2**60)]}).encode(),
        json.dumps({"artifactType": "application/other", "layers": [layer(b"a")]}).encode(),
        b'{"artifactType": ' + b"[" * 100_000,
    ],
    ids=lambda manifest: repr(manifest[:40]),
)
def test_a_manifest_that_is_none_of_an_archive(script: Scripted, tmp_path: Path, manifest: bytes) -> None:
    script.answer("GET", MANIFEST, body=manifest)
    not_pulled(script, tmp_path / "store", RefusedError, "LX-SERVE-169", script.named("a/topics:1"), ARTIFACT_TYPE)


def test_the_older_way_to_say_the_type_is_read(script: Scripted, content: bytes, tmp_path: Path) -> None:
    offered(script, content)
    manifest = {"schemaVersion": 2, "config": {"mediaType": ARTIFACT_TYPE}, "layers": [layer(content)]}
    script.answer("GET", MANIFEST, body=json.dumps(manifest).encode())
    assert pull(script.named("a/topics:1"), store=tmp_path / "store").new


def test_a_manifest_that_is_not_the_one_of_the_digest(script: Scripted, tmp_path: Path) -> None:
    digest = f"sha256:{'1' * 64}"
    script.answer("GET", f"/v2/a/topics/manifests/{digest}", body=b"{}")
    with refused(RefusedError, "LX-SERVE-157", digest, hashlib.sha256(b"{}").hexdigest(), digest):
        pull(script.named(f"a/topics@{digest}"), store=tmp_path / "store")


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65536)


def test_an_endless_manifest_is_not_read_to_its_end(script: Scripted, tmp_path: Path) -> None:
    script.answers["GET", MANIFEST] = endless
    not_pulled(script, tmp_path / "store", SystemProblem, "LX-SERVE-167", "4,194,304 bytes")


def test_an_endless_blob_is_not_read_beyond_its_size(script: Scripted, content: bytes, tmp_path: Path) -> None:
    script.answers["GET", offered(script, content)] = endless
    not_pulled(script, tmp_path / "store", RefusedError, "LX-SERVE-157", f"more than {len(content):,} bytes")


@pytest.mark.parametrize(
    ("change", "size"),
    [
        (lambda content: content[:-1], -1),
        (lambda content: content + b"x", 1),
        (lambda content: content[:100] + b"\0" + content[101:], 0),
        (gzip.compress, None),
    ],
    ids=["shorter", "longer", "altered", "compressed"],
)
def test_a_blob_that_is_not_the_one_of_the_manifest(
    script: Scripted, content: bytes, tmp_path: Path, change: Callable[[bytes], bytes], size: int | None
) -> None:
    sent = change(content)
    assert size is None or len(sent) == len(content) + size
    headers = {"Content-Encoding": "gzip"} if size is None else {}
    script.answer("GET", offered(script, content), body=sent, headers=headers)
    not_pulled(script, tmp_path / "store", RefusedError, "LX-SERVE-157", script.named("a/topics:1"))


def test_a_connection_that_breaks_leaves_nothing(script: Scripted, content: bytes, tmp_path: Path) -> None:
    def half(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])

    script.answers["GET", offered(script, content)] = half
    not_pulled(script, tmp_path / "store", SystemProblem, "LX-SERVE-167", "RemoteProtocolError")


def test_what_matches_its_digest_and_is_no_archive(script: Scripted, tmp_path: Path) -> None:
    offered(script, b"not a zip")
    not_pulled(script, tmp_path / "store", InputError, "LX-ARCHIVE-070", script.named("a/topics:1"))


def test_an_error_is_told_in_the_registrys_words_made_visible(script: Scripted, tmp_path: Path) -> None:
    told = {"errors": [{"code": "TOOMANYREQUESTS", "message": "slow\ndown \x1b[2J"}]}
    script.answer("GET", MANIFEST, 429, json.dumps(told).encode())
    not_pulled(
        script, tmp_path / "store", SystemProblem, "LX-SERVE-167", "429", "TOOMANYREQUESTS", r"slow\ndown \x1b[2J"
    )


def test_nobody_listens(tmp_path: Path) -> None:
    with scripted() as script:
        pass
    not_pulled(script, tmp_path / "store", SystemProblem, "LX-SERVE-167", "http")


class TestRedirects:
    """Registries keep blobs in other places and say where."""

    def test_a_blob_is_fetched_where_the_registry_says_and_credentials_stay(
        self, script: Scripted, elsewhere: Scripted, content: bytes, tmp_path: Path
    ) -> None:
        path = offered(script, content)
        docker_login(tmp_path / "docker", login_of(script.address))
        manifest = script.answers["GET", MANIFEST]

        def guarded(handler: BaseHTTPRequestHandler) -> None:
            if handler.headers.get("Authorization"):
                return manifest(handler)
            handler.send_response(401)
            handler.send_header("WWW-Authenticate", 'Basic realm="x"')
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return None

        script.answers["GET", MANIFEST] = guarded
        script.answer("GET", path, 307, headers={"Location": f"http://{elsewhere.address}/blob?signature=x"})
        elsewhere.answer("GET", "/blob", body=content)
        assert pull(script.named("a/topics:1"), store=tmp_path / "store").new
        assert ["Authorization" in one.headers for one in script.asked] == [False, True, True]
        assert ["Authorization" in one.headers for one in elsewhere.asked] == [False]

    @pytest.mark.parametrize(
        "where",
        [
            "http://registry.example/blob",
            "http://127.0.0.1@registry.example/blob",
            "http://127.0.0.1\\@registry.example/",
            "http://127.0.0.1:70000/blob",
            "http://:80/",
            "ftp://127.0.0.1/blob",
            "file:///etc/passwd",
        ],
    )
    def test_not_to_where_nothing_is_encrypted(
        self, script: Scripted, content: bytes, tmp_path: Path, where: str
    ) -> None:
        script.answer("GET", offered(script, content), 302, headers={"Location": where})
        not_pulled(script, tmp_path / "store", InputError, "LX-SERVE-162", repr(where), "--plain-http")

    @pytest.mark.parametrize("where", ["http://[::1", "//127.0.0.1:x/", ""])
    def test_not_to_what_is_no_address(self, script: Scripted, content: bytes, tmp_path: Path, where: str) -> None:
        script.answer("GET", offered(script, content), 302, headers={"Location": where})
        not_pulled(script, tmp_path / "store", SystemProblem, "LX-SERVE-167", script.address)

    def test_not_from_https_to_http(
        self, elsewhere: Scripted, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        signer = Signer(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(signer.certificate_file))
        with scripted(signer) as script:
            path = offered(script, content)
            assert pull(script.named("a/topics:1"), store=tmp_path / "first", plain_http=False).new
            script.answer("GET", path, 307, headers={"Location": f"http://{elsewhere.address}/blob"})
            with refused(InputError, "LX-SERVE-162", elsewhere.address):
                pull(script.named("a/topics:1"), store=tmp_path / "second", plain_http=False)
        assert elsewhere.asked == []

    def test_a_redirect_to_nowhere(self, script: Scripted, content: bytes, tmp_path: Path) -> None:
        script.answer("GET", offered(script, content), 302)
        not_pulled(script, tmp_path / "store", SystemProblem, "LX-SERVE-167", "302")

    def test_not_in_circles(self, script: Scripted, content: bytes, tmp_path: Path) -> None:
        path = offered(script, content)
        script.answer("GET", path, 302, headers={"Location": path})
        not_pulled(script, tmp_path / "store", SystemProblem, "LX-SERVE-167", "302")
        assert len(script.asked) == 7

    def test_a_manifest_comes_from_the_registry_alone(
        self, script: Scripted, elsewhere: Scripted, tmp_path: Path
    ) -> None:
        script.answer("GET", MANIFEST, 302, headers={"Location": f"http://{elsewhere.address}/"})
        not_pulled(script, tmp_path / "store", SystemProblem, "LX-SERVE-167", "302")
        assert elsewhere.asked == []


class TestTokens:
    """A registry that names a token service."""

    @pytest.fixture
    def realm(self, script: Scripted, elsewhere: Scripted, tmp_path: Path) -> Scripted:
        challenge = f'Bearer realm="http://{elsewhere.address}/token",service="s",scope="repository:a/topics:pull"'
        script.answer("GET", MANIFEST, 401, headers={"WWW-Authenticate": challenge})
        docker_login(tmp_path / "docker", login_of(script.address))
        return elsewhere

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"{}", b'{"token": 7}', b'{"token": "a\\r\\nb"}', b'{"token": ""}'], ids=repr
    )
    def test_without_a_token(self, script: Scripted, realm: Scripted, tmp_path: Path, body: bytes) -> None:
        realm.answer("GET", "/token", body=body)
        not_pulled(script, tmp_path / "store", SystemProblem, "LX-SERVE-167", realm.address, "no token")

    def test_that_refuses(self, script: Scripted, realm: Scripted, tmp_path: Path) -> None:
        realm.answer("GET", "/token", 403, b"go away")
        not_pulled(script, tmp_path / "store", SystemProblem, "LX-SERVE-167", realm.address, "403", "go away")

    def test_whose_token_the_registry_does_not_take(self, script: Scripted, realm: Scripted, tmp_path: Path) -> None:
        realm.answer("GET", "/token", body=b'{"access_token": "abc"}')
        not_pulled(script, tmp_path / "store", SystemProblem, "LX-SERVE-167", "401")
        assert [one.headers.get("Authorization") for one in script.asked] == [None, "Bearer abc"]
        [asked] = realm.asked
        assert asked.path == "/token?service=s&scope=repository%3Aa%2Ftopics%3Apull"

    @pytest.mark.parametrize(
        "realm", ["http://tokens.example/", "file:///etc/passwd", "", "no url", "http://[::1"], ids=repr
    )
    def test_no_credentials_are_sent_unencrypted(self, script: Scripted, tmp_path: Path, realm: str) -> None:
        script.answer("GET", MANIFEST, 401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})
        not_pulled(script, tmp_path / "store", InputError, "LX-SERVE-162", script.named("a/topics:1"))


def test_an_upload_goes_where_the_registry_says_and_credentials_stay(
    script: Scripted, elsewhere: Scripted, store: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store("1.0")
    monkeypatch.setenv("LOGIN", f"{USER}:{PASSWORD}")

    def start(handler: BaseHTTPRequestHandler) -> None:
        known = handler.headers.get("Authorization")
        handler.send_response(202 if known else 401)
        handler.send_header("Content-Length", "0")
        handler.send_header("WWW-Authenticate", 'Basic realm="x"')
        handler.send_header("Location", f"http://{elsewhere.address}/up?state=1")
        handler.end_headers()

    script.answers["POST", "/v2/a/topics/blobs/uploads/"] = start
    elsewhere.answer("PUT", "/up", 201)
    script.answer("PUT", MANIFEST, 201)
    content = (folder / "topics-1.0.mar").read_bytes()
    path = f"/v2/a/topics/blobs/sha256:{hashlib.sha256(content).hexdigest()}"
    script.answer("HEAD", path, 307, headers={"Location": f"http://{elsewhere.address}/absent"})
    assert push("topics:1.0", script.named("a/topics:1"), store=folder, credentials="LOGIN").new
    sent = [one for one in elsewhere.asked if one.method == "PUT"]
    assert [one.body for one in sent] == [content, b"{}"]
    assert sent[0].path == f"/up?state=1&digest=sha256%3A{hashlib.sha256(content).hexdigest()}"
    assert not [one for one in elsewhere.asked if "Authorization" in one.headers]
    assert names(folder) == ["topics-1.0.mar"]


def test_only_the_loopback_interface_is_asked_over_plain_http(
    script: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script plays the proxy, which sees what would leave this machine."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://{script.address}")
    with refused(SystemProblem, "LX-SERVE-167", "registry.example", "https"):
        pull("oci://registry.example/a/topics:1", store=tmp_path)
    assert [(one.method, one.path) for one in script.asked] == [("CONNECT", "registry.example:443")]
    with refused(InputError, "LX-SERVE-168"):
        pull("oci://registry.example/a/topics:1", store=tmp_path, plain_http=True)
    assert script.asked[-1].method == "GET"
    assert script.asked[-1].path == f"http://registry.example{MANIFEST}"
    script.asked.clear()
    with refused(InputError, "LX-SERVE-168"):
        pull(script.named("a/topics:1"), store=tmp_path)
    assert [one.path for one in script.asked] == [MANIFEST]
