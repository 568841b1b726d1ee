"""Archives pushed to the real registry and pulled from it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lexport.errors import InputError, RefusedError, SystemProblem
from lexport.export.archive.trust.keys import PublicKey
from lexport.serving.stores import find_archive
from lexport.serving.stores.adding import add
from lexport.serving.stores.history import read_history
from lexport.serving.stores.oci.artifact import ARTIFACT_TYPE, pull, push
from lexport.storage.atomic import sha256_file

from ....refusals import refused
from ..conftest import Fill, Pack, names
from .registries import (
    ISSUER,
    PASSWORD,
    SERVICE,
    USER,
    Running,
    Scripted,
    Signer,
    docker_login,
    login_of,
    registry,
    with_passwords,
)

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def manifest_of(hub: Running, repository: str, tag: str) -> tuple[dict[str, Any], str]:
    """A manifest and its digest, as another client gets them."""
    url = f"http://{hub.address}/v2/{repository}/manifests/{tag}"
    answer = httpx.get(url, headers={"Accept": OCI_MANIFEST}, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == OCI_MANIFEST
    return answer.json(), answer.headers["Docker-Content-Digest"]


def test_what_is_pulled_is_what_was_pushed(store: Fill, hub: Running, tmp_path: Path) -> None:
    folder = store("1.0")
    said: list[str] = []
    pushed = push("topics:1.0", hub.named("models/topics:1.0"), store=folder, say=said.append)
    assert pushed.new
    added = pull(hub.named("models/topics:1.0"), store=tmp_path / "other", say=said.append)
    assert added.path == tmp_path / "other" / "topics-1.0.mar"
    assert added.path.read_bytes() == (folder / "topics-1.0.mar").read_bytes()
    assert names(tmp_path / "other") == ["topics-1.0.mar"]
    [event] = read_history(tmp_path / "other").events
    assert (event.action, event.command, event.digest) == ("add", "lexport store pull", added.digest)
    assert said == [
        f"Sending {folder}/topics-1.0.mar, {added.size:,} bytes",
        f"{folder}/topics-1.0.mar is now {hub.named('models/topics:1.0')}, {pushed.digest}",
        f"Pulling {hub.named('models/topics:1.0')}, {added.size:,} bytes",
        str(added),
    ]


def test_the_manifest_is_an_artefacts_with_one_layer_and_the_evidence(
    pack: Pack, ours: tuple[Path, PublicKey], hub: Running, tmp_path: Path
) -> None:
    private, public = ours
    [added] = add([pack("2.0", sign=private)], store=tmp_path / "store")
    pushed = push("topics:2.0", hub.named("signed/topics:2.0"), store=tmp_path / "store", trusted=[public])
    manifest, digest = manifest_of(hub, "signed/topics", "2.0")
    assert digest == pushed.digest
    assert (manifest["schemaVersion"], manifest["mediaType"]) == (2, OCI_MANIFEST)
    assert manifest["artifactType"] == ARTIFACT_TYPE == "application/vnd.lexport.archive.v1"
    assert manifest["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    [layer] = manifest["layers"]
    assert layer["digest"] == f"sha256:{added.digest}"
    assert layer["size"] == added.size
    assert layer["annotations"] == {"org.opencontainers.image.title": "topics-2.0.mar"}
    annotations = manifest["annotations"]
    assert annotations["org.opencontainers.image.version"] == "2.0"
    ours_alone = {name.removeprefix("vnd.lexport.archive.") for name in annotations if "lexport" in name}
    assert ours_alone == {"name", "variant", "signed-by", "metric", "value", "gates", "p95-ms"}
    assert annotations["vnd.lexport.archive.signed-by"] == public.fingerprint
    assert annotations["vnd.lexport.archive.metric"] == "accuracy"


def test_the_same_archive_makes_the_same_manifest_and_is_not_sent_again(store: Fill, hub: Running) -> None:
    folder = store("1.0")
    first = push("topics:1.0", hub.named("again/topics:1.0"), store=folder)
    second = push("topics:1.0", hub.named("again/topics:1.0"), store=folder)
    other = push("topics:1.0", hub.named("again/topics:latest"), store=folder)
    assert (second.new, other.new) == (False, True)
    assert first.digest == second.digest == other.digest


def test_a_tag_that_names_something_else_is_moved_by_force_alone(store: Fill, hub: Running) -> None:
    folder = store("1.0", "1.1")
    before = push("topics:1.0", hub.named("moved/topics:latest"), store=folder)
    with refused(RefusedError, "LX-SERVE-161", hub.named("moved/topics:latest"), before.digest, "topics:1.1"):
        push("topics:1.1", hub.named("moved/topics:latest"), store=folder)
    assert manifest_of(hub, "moved/topics", "latest")[1] == before.digest
    after = push("topics:1.1", hub.named("moved/topics:latest"), store=folder, force=True)
    assert manifest_of(hub, "moved/topics", "latest")[1] == after.digest != before.digest


def test_a_digest_pulls_that_very_archive_whatever_the_tag_names_now(
    store: Fill, hub: Running, tmp_path: Path
) -> None:
    folder = store("1.0", "1.1")
    pushed = push("topics:1.0", hub.named("kept/topics:latest"), store=folder)
    push("topics:1.1", hub.named("kept/topics:latest"), store=folder, force=True)
    source = hub.named(f"kept/topics@{pushed.digest}")
    assert find_archive(source, store=tmp_path / "other") == tmp_path / "other" / "topics-1.0.mar"
    assert find_archive(source, store=tmp_path / "other") == tmp_path / "other" / "topics-1.0.mar"


def test_what_the_store_has_is_not_sent_again(store: Fill, hub: Running, tmp_path: Path) -> None:
    folder = store("1.3")
    push("topics:1.3", hub.named("once/topics:1"), store=folder)
    hub.blob(sha256_file(folder / "topics-1.3.mar")).unlink()
    again = pull(hub.named("once/topics:1"), store=folder)
    assert (again.new, again.path) == (False, folder / "topics-1.3.mar")
    with refused(SystemProblem, "LX-SERVE-167", "404"):
        pull(hub.named("once/topics:1"), store=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_blob_that_was_altered_in_the_registry_does_not_enter_the_store(
    store: Fill, hub: Running, tmp_path: Path
) -> None:
    folder = store("1.4")
    push("topics:1.4", hub.named("altered/topics:1"), store=folder)
    digest = sha256_file(folder / "topics-1.4.mar")
    blob = hub.blob(digest)
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    with refused(RefusedError, "LX-SERVE-157", hub.named("altered/topics:1"), found, digest):
        pull(hub.named("altered/topics:1"), store=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_an_archive_that_would_not_be_added_is_not_pulled(
    pack: Pack, hub: Running, tmp_path: Path, ours: tuple[Path, PublicKey]
) -> None:
    add([pack("1.5")], store=tmp_path / "store")
    push("topics:1.5", hub.named("other/topics:1.5"), store=tmp_path / "store")
    with refused(RefusedError, "LX-TRUST-010", hub.named("other/topics:1.5"), ours[1].fingerprint) as caught:
        pull(hub.named("other/topics:1.5"), store=tmp_path / "new", trusted=[ours[1]])
    assert "partial" not in str(caught.value)
    assert not (tmp_path / "new").exists()
    add([pack("1.5", profile="latency")], store=tmp_path / "third")
    with refused(RefusedError, "LX-SERVE-151", "topics 1.5"):
        pull(hub.named("other/topics:1.5"), store=tmp_path / "third")
    assert names(tmp_path / "third") == ["topics-1.5.mar"]


def test_what_would_not_be_accepted_is_not_pushed(
    pack: Pack, hub: Running, tmp_path: Path, ours: tuple[Path, PublicKey]
) -> None:
    add([pack("1.6")], store=tmp_path)
    with refused(RefusedError, "LX-TRUST-010"):
        push("topics:1.6", hub.named("refused/topics:1"), store=tmp_path, trusted=[ours[1]])
    with refused(InputError, "LX-SERVE-155", "'topics'"):
        push("topics", hub.named("refused/topics:1"), store=tmp_path)
    with refused(InputError, "LX-SERVE-154", "topics:9"):
        push("topics:9", hub.named("refused/topics:1"), store=tmp_path)
    with refused(InputError, "LX-SERVE-165", "@sha256"):
        push("topics:1.6", hub.named(f"refused/topics@sha256:{'0' * 64}"), store=tmp_path)
    with refused(InputError, "LX-SERVE-168", hub.named("refused/topics:1")):
        pull(hub.named("refused/topics:1"), store=tmp_path)


def test_an_image_is_no_archive(hub: Running, tmp_path: Path) -> None:
    """What docker pushes has another type."""
    config = b"{}"
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    with httpx.Client(base_url=f"http://{hub.address}/v2/images/busy", trust_env=False) as client:
        where = client.post("/blobs/uploads/").headers["Location"]
        assert client.put(httpx.URL(where).copy_merge_params({"digest": digest}), content=config).status_code == 201
        kind = "application/vnd.oci.image.config.v1+json"
        blob = {"mediaType": kind, "digest": digest, "size": len(config)}
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": blob, "layers": [blob]}
        sent = client.put("/manifests/1", content=json.dumps(manifest), headers={"Content-Type": OCI_MANIFEST})
        assert sent.status_code == 201, sent.text
    with refused(RefusedError, "LX-SERVE-169", hub.named("images/busy:1"), kind, ARTIFACT_TYPE):
        pull(hub.named("images/busy:1"), store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A registry that wants a user and a password."""
    folder = tmp_path_factory.mktemp("passwords")
    with registry(folder, **with_passwords(folder)) as running:
        yield running


class TestPasswords:
    """A registry that wants a user and a password."""

    def test_without_them_it_refuses(self, guarded: Running, store: Fill) -> None:
        with refused(SystemProblem, "LX-SERVE-167", "401", "UNAUTHORIZED", "docker login", "--credentials"):
            push("topics:1.0", guarded.named("a/topics:1"), store=store("1.0"))

    def test_they_come_from_docker(self, guarded: Running, store: Fill, tmp_path: Path) -> None:
        docker_login(tmp_path / "docker", login_of(guarded.address))
        push("topics:1.0", guarded.named("b/topics:1"), store=store("1.0"))
        assert pull(guarded.named("b/topics:1"), store=tmp_path / "other").new

    def test_or_from_a_variable_that_is_named(
        self, guarded: Running, store: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REGISTRY_LOGIN", f"{USER}:{PASSWORD}")
        push("topics:1.0", guarded.named("c/topics:1"), store=store("1.0"), credentials="REGISTRY_LOGIN")
        source = guarded.named("c/topics:1")
        found = find_archive(source, store=tmp_path / "other", credentials="REGISTRY_LOGIN")
        assert found.name == "topics-1.0.mar"

    def test_wrong_ones_are_refused_and_not_shown(
        self, guarded: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REGISTRY_LOGIN", f"{USER}:battery staple")
        with refused(SystemProblem, "LX-SERVE-167", "401") as caught:
            pull(guarded.named("b/topics:1"), store=tmp_path / "other", credentials="REGISTRY_LOGIN")
        assert "battery" not in str(caught.value)


def test_tokens_are_asked_for_at_the_service_that_the_registry_names(
    store: Fill, script: Scripted, tmp_path: Path
) -> None:
    """The real registry checks the tokens; the service that gives them is the test's."""
    signer = Signer(tmp_path)

    def give(handler: Any) -> None:
        query = httpx.URL(handler.path).params
        kind, name, actions = query["scope"].split(":")
        token = signer.token([{"type": kind, "name": name, "actions": actions.split(",")}])
        body = json.dumps({"token": token}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    script.answers["GET", "/token"] = give
    settings = {"realm": f"http://{script.address}/token", "service": SERVICE, "issuer": ISSUER}
    settings["rootcertbundle"] = str(signer.certificate_file)
    with registry(tmp_path / "registry", auth={"token": settings}) as hub:
        docker_login(tmp_path / "docker", login_of(hub.address))
        push("topics:1.0", hub.named("a/topics:1"), store=store("1.0"))
        pushed = [httpx.URL(one.path).params["scope"] for one in script.asked]
        assert pull(hub.named("a/topics:1"), store=tmp_path / "other").new
    what, _, actions = pushed[-1].rpartition(":")
    assert (what, sorted(actions.split(","))) == ("repository:a/topics", ["pull", "push"])
    assert httpx.URL(script.asked[-1].path).params["scope"] == "repository:a/topics:pull"
    assert all(one.headers["Authorization"].startswith("Basic ") for one in script.asked)


def test_over_tls_the_certificate_must_be_trusted(
    store: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = Signer(tmp_path)
    tls = {"certificate": str(signer.certificate_file), "key": str(signer.key_file)}
    with registry(tmp_path / "registry", http={"tls": tls}) as hub:
        with refused(SystemProblem, "LX-SERVE-167", "certificate verify failed"):
            push("topics:1.0", hub.named("a/topics:1"), store=store("1.0"), plain_http=False)
        with refused(SystemProblem, "LX-SERVE-167", "400"):
            pull(hub.named("a/topics:1"), store=tmp_path / "other")
        monkeypatch.setenv("SSL_CERT_FILE", str(signer.certificate_file))
        push("topics:1.0", hub.named("a/topics:1"), store=tmp_path / "store", plain_http=False)
        assert pull(hub.named("a/topics:1"), store=tmp_path / "other", plain_http=False).new
    assert os.environ["SSL_CERT_FILE"]


def test_another_client_copies_it_from_registry_to_registry(store: Fill, hub: Running, tmp_path: Path) -> None:
    program = shutil.which("skopeo")
    if program is None:
        pytest.skip("skopeo is not installed; Debian's package has that name")
    pushed = push("topics:1.0", hub.named("first/topics:1"), store=store("1.0"))
    command = [program, "copy", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"]
    command += [f"docker://{hub.address}/first/topics:1", f"docker://{hub.address}/second/topics:2"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert manifest_of(hub, "second/topics", "2")[1] == pushed.digest
    assert pull(hub.named("second/topics:2"), store=tmp_path / "other").new
