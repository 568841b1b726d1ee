"""`lexport doctor --config`: what a config.properties leaves open, both ways for each finding."""

from __future__ import annotations

import json
import re
import time
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lexport
from lexport.__main__ import run
from lexport.errors import InputError
from lexport.serving.settings.audit import LAST, SettingFinding, audit, is_dangerous
from lexport.serving.settings.files import PACKAGED
from lexport.serving.settings.rules.advisories import ADVISORIES, Advisory
from lexport.serving.settings.rules.catalogue import DEFAULTS, KNOWN
from lexport.serving.settings.rules.reach import is_local

from ...refusals import refused

Audit = Callable[..., dict[str, SettingFinding]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.properties"


@pytest.fixture
def audited(path: Path) -> Audit:
    """The findings on the lines of a file by setting, the worst of each."""

    def look(*lines: str, torchserve: str = LAST) -> dict[str, SettingFinding]:
        path.write_text("\n".join(lines), encoding="utf-8")
        path.chmod(0o600)
        found: dict[str, SettingFinding] = {}
        for one in audit(path, torchserve):
            found.setdefault(one.setting, one)
        return found

    return look


def levels(found: dict[str, SettingFinding], level: str) -> set[str]:
    return {name for name, one in found.items() if one.level == level}


def test_lexports_own_file_has_no_danger() -> None:
    found = audit(PACKAGED, LAST)
    assert not is_dangerous(found)
    assert [one.setting for one in found if one.level == "note"] == ["load_models", "blacklist_env_vars"]


def test_what_torchserve_takes_for_an_empty_file_has_several(audited: Audit) -> None:
    assert levels(audited(), "danger") == {"allowed_urls", "token_expiration_min"}
    assert levels(audited(torchserve="0.8.1"), "danger") == {
        *("disable_token_authorization", "enable_model_api", "allowed_urls"),
        *(one.number for one in ADVISORIES),
    }


# By name of the case: the lines that leave it open, the setting, and lines that close it.
DANGERS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "management for others": (
        ("management_address=http://0.0.0.0:8081",),
        "management_address",
        ("management_address=http://127.0.0.2:8081",),
    ),
    "management encrypted": (
        ("management_address=https://10.0.0.5", "keystore=k.p12", "keystore_pass=ours"),
        "management_address",
        ("management_address=unix:/run/management.sock",),
    ),
    "inference unencrypted": (
        ("inference_address=http://models.internal:8080",),
        "inference_address",
        ("inference_address=http://localhost:8080",),
    ),
    "inference without tokens": (
        ("inference_address=https://0.0.0.0", "disable_token_authorization=true"),
        "inference_address",
        ("disable_token_authorization=true",),
    ),
    "a certificate of nobody": (
        ("inference_address=https://127.0.0.1:8443",),
        "certificate_file",
        ("inference_address=https://127.0.0.1:8443", "certificate_file=c.pem", "private_key_file=k.pem"),
    ),
    "gRPC inference": (
        ("grpc_inference_address=0.0.0.0",),
        "grpc_inference_address",
        ("grpc_inference_address=::1",),
    ),
    "gRPC management": (
        ("grpc_management_address=::", "enable_grpc_ssl=true"),
        "grpc_management_address",
        ("grpc_management_address=127.0.0.1",),
    ),
    "no tokens": (
        ("disable_token_authorization=TRUE",),
        "disable_token_authorization",
        # Java does not take these for true.
        ("disable_token_authorization=true ",),
    ),
    "tokens for an hour": (
        ("# nothing",),
        "token_expiration_min",
        ("token_expiration_min=5256000",),
    ),
    "any URL": (("allowed_urls=https?://.*",), "allowed_urls", ("allowed_urls=(?!)",)),
    "any unencrypted URL": (
        ("allowed_urls=http://.*",),
        "allowed_urls",
        (r"allowed_urls=https://models\\.example\\.com/.*",),
    ),
    "any file": (
        ("allowed_urls=file://.*",),
        "allowed_urls",
        ("allowed_urls=file:///srv/models/[^/]+",),
    ),
    "an unencrypted host": (
        (r"allowed_urls=http://models\\.example\\.com/.*",),
        "allowed_urls",
        (r"allowed_urls=https://models\\.example\\.com/.*",),
    ),
    "a host that may go on": (
        (r"allowed_urls=https://models\\.example\\.com.*",),
        "allowed_urls",
        (r"allowed_urls=https://models\\.example\\.com/.*",),
    ),
    "one of several": (
        (r"allowed_urls=https://models\\.example\\.com/.*,.*",),
        "allowed_urls",
        (r"allowed_urls=https://models\\.example\\.com/.*,https://more\\.example\\.com/.*",),
    ),
    "the model API": (("enable_model_api=true",), "enable_model_api", ("enable_model_api=yes",)),
    "URLs from a variable": (
        ("use_env_allowed_urls=true", "enable_envvars_config=true"),
        "use_env_allowed_urls",
        ("use_env_allowed_urls=false", "enable_envvars_config=true"),
    ),
    "pip": (("install_py_dep_per_model=true",), "install_py_dep_per_model", ("install_py_dep_per_model=false",)),
    "models from URLs": (
        ("load_models=a.mar,b=https://models.example.com/b.mar",),
        "load_models",
        ("load_models=a.mar,b=b.mar",),
    ),
    "CORS without tokens": (
        ("cors_allowed_origin=*", "disable_token_authorization=true"),
        "cors_allowed_origin",
        ("disable_token_authorization=true",),
    ),
    "a debugger": (
        ("vmargs=-Xmx1g -agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address=*:5005",),
        "vmargs",
        ("vmargs=-Xmx1g",),
    ),
    "JMX": (
        ("vmargs=-Dcom.sun.management.jmxremote.port=9010",),
        "vmargs",
        ("vmargs=-Dcom.sun.management.jmxremote.port=9010 -Dcom.sun.management.jmxremote.authenticate=true",),
    ),
    "log4j": (("vmargs=-Dlog4j2.formatMsgNoLookups=false",), "vmargs", ("vmargs=-Dlog4j2.formatMsgNoLookups=true",)),
    "bodies of 2 GB": (("max_request_size=2000000000",), "max_request_size", ("max_request_size=6553500",)),
    "ShellTorch": (
        ("management_address=http://0.0.0.0:8081",),
        "CVE-2023-43654",
        ("management_address=http://0.0.0.0:8081", "allowed_urls=(?!)"),
    ),
    "ShellTorch without tokens": (
        ("disable_token_authorization=true",),
        "CVE-2023-43654",
        ("# the management port is this machine's, and asks for a token",),
    ),
}


@pytest.mark.parametrize("case", DANGERS)
def test_a_danger_is_named_with_its_line_and_a_way_out(case: str, audited: Audit) -> None:
    loose, name, _ = DANGERS[case]
    one = audited(*loose)[name]
    assert one.level == "danger"
    assert len(one.danger) > 20
    assert one.fix
    keys = [line.partition("=")[0] for line in loose]
    assert one.line == (keys.index(name) + 1 if name in keys else None)


@pytest.mark.parametrize("case", DANGERS)
def test_what_is_closed_is_no_danger(case: str, audited: Audit) -> None:
    _, name, closed = DANGERS[case]
    found = audited(*closed)
    assert name not in levels(found, "danger"), found[name]


# By line: the setting that is noted, and a line without a note on it.
NOTES = {
    "metrics_address=http://0.0.0.0:8082": ("metrics_address", "metrics_address=http://127.0.0.1:8082"),
    "management_address=ftp://127.0.0.1": ("management_address", "management_address=http://127.0.0.1"),
    "inference_address=http://127.0.0.1:70000": ("inference_address", "inference_address=http://127.0.0.1:7000"),
    "cors_allowed_origin=https://site.example": ("cors_allowed_origin", "cors_allowed_origin="),
    "enable_envvars_config=true": ("enable_envvars_config", "enable_envvars_config=false"),
    "use_env_allowed_urls=true": ("use_env_allowed_urls", "use_env_allowed_urls=false"),
    "load_models=all": ("load_models", "load_models=a.mar"),
    "plugins_path=plugins": ("plugins_path", "plugins_path="),
    "system_metrics_cmd=mine.py": ("system_metrics_cmd", "system_metrics_cmd="),
    "cpu_launcher_enable=true": ("cpu_launcher_enable", "cpu_launcher_enable=false"),
    "python=/opt/python": ("python", "python="),
    "vmargs=-javaagent:a.jar": ("vmargs", "vmargs=-Xmx2g"),
    "vmargs=-XX:+HeapDumpOnOutOfMemoryError": ("vmargs", "vmargs=-XX:-HeapDumpOnOutOfMemoryError"),
    "max_request_size=100000000": ("max_request_size", "max_request_size=60000000"),
    "max_response_size=100000000": ("max_response_size", "max_response_size=60000000"),
    "prefer_direct_buffer=true": ("prefer_direct_buffer", "prefer_direct_buffer=false"),
    "job_queue_size=100000": ("job_queue_size", "job_queue_size=1000"),
    "limit_max_image_pixels=false": ("limit_max_image_pixels", "limit_max_image_pixels=true"),
    "decode_input_request=true": ("decode_input_request", "decode_input_request=false"),
    "# blacklist": ("blacklist_env_vars", "blacklist_env_vars=.*KEY.*"),
    "disable_system_metrics=false": ("disable_system_metrics", "disable_system_metrics=true"),
    "debug=true": ("debug", "debug=false"),
    "token_expiration_min=30": ("token_expiration_min", "token_expiration_min=100000"),
    "enable_grpc_ssl=true": ("enable_grpc_ssl", "enable_grpc_ssl=false"),
    "keystore=k.p12": ("keystore_pass", "# no keystore"),
    r"allowed_urls=https://s3.amazonaws.com/.*": ("allowed_urls", r"allowed_urls=https://s3\\.amazonaws\\.com/.*"),
    "allowed_urls=(": ("allowed_urls", "allowed_urls=(?!)"),
    "models={": ("models", "models={}"),
    "model_snapshot=[]": ("model_snapshot", "model_snapshot={}"),
    "job_queue_size=1,000": ("job_queue_size", "job_queue_size=+1000"),
    "job_queue_size=1000 ": ("job_queue_size", "job_queue_size=  1000"),
    f"max_request_size={2**31}": ("max_request_size", f"max_response_size={2**31 - 1}"),
    f"netty_client_threads={'9' * 5000}": ("netty_client_threads", f"netty_client_threads={'0' * 5000}9"),
    "grpc_inference_max_connection_age_ms=x": (
        "grpc_inference_max_connection_age_ms",
        f"grpc_inference_max_connection_age_ms={2**62}",
    ),
    "debug=yes": ("debug", "debug=False"),
    "token_expiration_min=soon": ("token_expiration_min", "token_expiration_min=1e5"),
    "inference_adress=http://127.0.0.1": ("inference_adress", "inference_address=http://127.0.0.1"),
    "max_request_size=$$SIZE$$": ("max_request_size", "max_request_size=1"),
}


@pytest.mark.parametrize("line", NOTES, ids=lambda line: line[:60])
def test_a_note_is_given_and_withheld(line: str, audited: Audit) -> None:
    name, other = NOTES[line]
    one = audited(line)[name]
    assert one.level == "note"
    assert one.danger
    assert one.fix
    assert one.line == (None if name in ("blacklist_env_vars", "keystore_pass") else 1)
    found = audited(other)
    assert name not in levels(found, "note"), found[name]


def test_a_repeated_setting_is_named_and_its_last_value_counts(path: Path) -> None:
    path.write_text("enable_model_api=false\n\nenable_model_api : true\n", encoding="utf-8")
    found = [one for one in audit(path, LAST) if one.setting == "enable_model_api"]
    assert [(one.level, one.line) for one in found] == [("danger", 3), ("note", 3)]
    assert "lines 1, 3" in found[1].danger


def test_an_unknown_setting_is_named_with_the_one_that_was_meant(audited: Audit) -> None:
    found = audited("allow_urls=(?!)", "something=else")
    assert found["allow_urls"].fix == "was allowed_urls meant?"
    assert found["something"].fix == "leave it out"
    assert found["allowed_urls"].level == "danger"  # it is still missing


def test_a_value_from_the_environment_is_not_called_closed(audited: Audit) -> None:
    found = audited("disable_token_authorization=$$TOKENS_OFF$$")
    assert found["disable_token_authorization"].level == "note"
    assert "TOKENS_OFF" in found["disable_token_authorization"].danger


def test_lines_are_read_as_java_reads_them(audited: Audit) -> None:
    found = audited("! a remark", "  allowed\\_urls \\", "   : (?!)", "enable_model_api\\u003dx=1", "ké=1")
    assert found["allowed_urls"].level == "ok"
    assert found["allowed_urls"].line == 2
    assert "enable_model_api=x" in found


def test_a_pattern_that_takes_for_ever_ends(audited: Audit) -> None:
    began = time.monotonic()
    one = audited("allowed_urls=https://(([a-z.]+)+)+!")["allowed_urls"]
    assert (one.level, time.monotonic() - began < 5) in [("note", True), ("ok", True)]


def test_what_others_can_write_is_named(tmp_path: Path, path: Path, audited: Audit) -> None:
    store = tmp_path / "store"
    store.mkdir()
    lines = [f"model_store={store}", f"plugins_path={store}/*"]
    store.chmod(0o755)
    assert not {"model_store", "workflow_store"} & audited(*lines).keys()
    assert audited(*lines)["plugins_path"].level == "note"
    store.chmod(0o777)
    assert {"model_store", "plugins_path"} <= levels(audited(*lines), "danger")
    path.chmod(0o666)
    assert "this file" in {one.setting for one in audit(path, LAST) if one.level == "danger"}


def test_a_password_is_not_shown_and_its_file_is_private(path: Path, audited: Audit) -> None:
    lines = ("inference_address=https://127.0.0.1", "keystore=k.p12", "keystore_pass=hunter2")
    assert "keystore_pass" not in audited(*lines)
    path.chmod(0o644)
    found = audit(path, LAST)
    [one] = [one for one in found if one.setting == "keystore_pass"]
    assert one.level == "danger"
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("advisory", ADVISORIES, ids=lambda one: one.number)
def test_an_advisory_counts_for_the_versions_that_it_names(advisory: Advisory, audited: Audit) -> None:
    opened = ("management_address=http://0.0.0.0:8081",)
    assert audited(*opened, torchserve=str(advisory.first))[advisory.number].level == "danger"
    assert audited(*opened, torchserve=str(advisory.fixed))[advisory.number].level == "ok"
    before = audited(*opened, torchserve="0.0.9")[advisory.number]
    assert before.level == "ok"


def test_before_0_11_settings_for_grpc_addresses_do_not_help(audited: Audit) -> None:
    found = audited("grpc_inference_address=127.0.0.1", torchserve="0.10.0")
    assert "grpc_inference_address" not in found
    assert found["CVE-2024-35199"].level == "danger"


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *(("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("LOCALHOST", True)),
        *(("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("localhost.example.com", False), ("", False)),
    ],
)
def test_a_loopback_address_is_known(host: str, local: bool) -> None:
    assert is_local(host) is local


@given(st.binary(max_size=300) | st.text("ab=:\\u0\n #$!\t", max_size=60).map(str.encode))
def test_any_bytes_are_audited_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.properties"
    path.write_bytes(content)
    if b"\0" in content:
        with refused(InputError, "LX-SERVE-131", "any.properties"):
            audit(path, LAST)
    else:
        assert audit(path, LAST)


def test_the_command_prints_a_table_or_json_and_exits_with_1_for_a_danger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "theirs.properties"
    path.write_text("management_address=http://0.0.0.0:8081\n")
    assert run(["doctor", "--config", str(path), "--torchserve", "0.10.0"]) == 1
    out = capsys.readouterr().out
    assert "management_address, line 1" in out
    assert "CVE-2024-35199" in out
    assert run(["doctor", "--config", str(path), "--json"]) == 1
    [one] = [one for one in json.loads(capsys.readouterr().out) if one["setting"] == "management_address"]
    assert (one["level"], one["found"], one["line"]) == ("danger", "http://0.0.0.0:8081", 1)
    assert run(["doctor", "--config", str(PACKAGED), "--json"]) == 0
    assert {one["level"] for one in json.loads(capsys.readouterr().out)} == {"note", "ok"}


def test_what_is_no_file_of_settings_is_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--config", str(tmp_path / "none")]) == 2
    assert run(["doctor", "--config", str(tmp_path)]) == 2
    assert run(["doctor", "--torchserve", "0.8.1"]) == 2
    capsys.readouterr()
    with refused(InputError, "LX-SERVE-130", "none"):
        audit(tmp_path / "none")
    (tmp_path / "zip").write_bytes(b"PK\0\0")
    with refused(InputError, "LX-SERVE-131", "zip"):
        audit(tmp_path / "zip")
    with refused(InputError, "LX-SERVE-132", "'new'", LAST):
        lexport.audit(PACKAGED, torchserve="new")


def test_from_python_it_is_a_function() -> None:
    assert lexport.audit(str(PACKAGED)) == audit(PACKAGED)


def test_the_catalogue_has_the_names_and_defaults_of_the_installed_torchserve() -> None:
    """The names are strings of TorchServe's own class, but for those that its start program reads."""
    home = Path(str(metadata.distribution("torchserve").locate_file("ts")))
    with zipfile.ZipFile(home / "frontend" / "model-server.jar") as jar:
        code = jar.read("org/pytorch/serve/util/ConfigManager.class")
    strings = {found.decode() for found in re.findall(rb"[a-z][a-z_]{2,60}", code)}
    program = (home / "model_server.py").read_text(encoding="utf-8")
    assert {name for name in KNOWN - {"tsConfigFile"} if name not in strings and f'"{name}"' not in program} == set()
    for default in ("http://127.0.0.1:8081", DEFAULTS["allowed_urls"], DEFAULTS["keystore_pass"], "7071"):
        assert default.encode() in code
