"""Manifest and settings of an archive, as hostile as they come: an InputError that names both, in no time."""

from __future__ import annotations

import contextlib
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError
from lexport.export.archive.format.manifest import MOST_BYTES, read_manifest, read_settings
from lexport.export.archive.profiles import PROFILES, model_config
from lexport.handlers.model.digests import MANIFEST

from ....refusals import refused

CONFIG = "model-config.yaml"


def settings_of(folder: Path, content: bytes, config: Any = CONFIG) -> dict[str, Any]:
    """The settings of an archive whose configFile is `config`, and whose model-config.yaml is `content`."""
    path = folder / "m.mar"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(CONFIG, content)
        archive.writestr(MANIFEST, json.dumps({"model": {"configFile": config}}))
    with zipfile.ZipFile(path) as archive:
        return read_settings(path, archive, read_manifest(path, archive))


@pytest.mark.parametrize("profile", PROFILES)
def test_our_own_are_read(tmp_path: Path, profile: str) -> None:
    assert settings_of(tmp_path, model_config(profile).encode())["batchSize"] == PROFILES[profile]


def test_an_archive_without_settings_has_none(tmp_path: Path) -> None:
    assert settings_of(tmp_path, b"a: 1", config=None) == {}
    assert settings_of(tmp_path, b"# nothing") == {}


@pytest.mark.parametrize("config", [["a"], {"a": 1}, 1, True, "", "absent.yaml", f"./{CONFIG}", "/etc/hosts", "\0"])
def test_a_config_file_that_is_no_member_is_refused(tmp_path: Path, config: Any) -> None:
    """TorchServe resolves a path where we compare names: what we would not read it would obey."""
    with refused(InputError, "LX-ARCHIVE-067", "m.mar", "MAR-INF/MANIFEST.json", "configFile"):
        settings_of(tmp_path, b"a: 1", config=config)


HOSTILE = {
    "a date that is none": b"a: 2025-13-45",
    "a giant integer": b"a: " + b"9" * 5000,
    "a giant number of minutes": b"a: 1" + b":59" * 400 + b".0",
    "an integer without digits": b"a: 0x_",
    "a tab": b"a:\n\t- 1",
    "an end in the middle": b"a: [",
    "two documents": b"a: 1\n--- \nb: 1",
    "no names": b"- 1",
    "a word": b"minWorkers",
    "a NUL": b"a: \0",
    "UTF-16": "a: 1".encode("utf-16"),
    "Latin-1": b"a: \xe9",
    "an anchor": b"a: &x 1",
    "an alias": b"a: *x",
    "a tag": b"a: !!int '1'",
    "a Python tag": b"a: !!python/object/apply:os.system ['true']",
    "a Java tag": b"a: !!javax.script.ScriptEngineManager []",
    "a name twice": b"minWorkers: 1\nminWorkers: 9",
    "a list as a name": b"[a]: 1",
    "too deep": b"a: " + b"[" * 9 + b"]" * 9,
    "far too deep": b"[" * MOST_BYTES,
    "too deep in lines": b"".join(b" " * depth + b"a:\n" for depth in range(300)),
    "too long": b"a: 1\n" + b"#" * MOST_BYTES,
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_used_is_refused_and_named(tmp_path: Path, content: bytes) -> None:
    large = len(content) > MOST_BYTES
    error = ("LX-ARCHIVE-042", "model-config.yaml", "65,541", "65,536") if large else ("LX-ARCHIVE-068", "batchSize")
    with refused(InputError, *error) as caught:
        settings_of(tmp_path, content)
    message = str(caught.value)
    assert len(message) < 500
    assert message.replace("\n", "").isprintable()
    assert "\n" not in message


@pytest.mark.parametrize(
    "content",
    [b"a: " + b"[1]," * 16_000, b"? " * 32_000, b"a" * 65_000, b"".join(b"k%d: 1\n" % n for n in range(6_000))],
)
def test_the_largest_take_seconds_at_most(tmp_path: Path, content: bytes) -> None:
    began = time.process_time()
    with contextlib.suppress(InputError):
        settings_of(tmp_path, content)
    assert time.process_time() - began < 5


def test_ten_levels_of_ten_aliases_are_not_expanded(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with refused(InputError, "LX-ARCHIVE-068", "an anchor or an alias"):
        settings_of(tmp_path, "\n".join(lines).encode())


@given(st.binary(max_size=200) | st.text("a:-[]{}&*!?|>'\"#%@\n 19.", max_size=60).map(str.encode))
def test_any_bytes_are_settings_or_an_input_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    try:
        found = settings_of(tmp_path_factory.getbasetemp(), content)
    except InputError:
        return
    assert isinstance(found, dict)


@pytest.mark.parametrize(
    ("content", "code", "values"),
    [
        (b'{"model": {"handler": "handler.py", "handler": "other.py"}}', "LX-ARCHIVE-065", ["'handler'"]),
        (b'{"a": ' + b"9" * 5000 + b"}", "LX-ARCHIVE-066", []),
        ('{"model": {}}'.encode("utf-16"), "LX-ARCHIVE-066", []),
        (b"\xef\xbb\xbf{}", "LX-ARCHIVE-066", []),
        (b"[" * 60_000, "LX-ARCHIVE-066", []),
        (b"{}" + b" " * MOST_BYTES, "LX-ARCHIVE-042", ["65,538", "65,536"]),
    ],
)
def test_a_manifest_that_java_and_python_could_read_differently_is_refused(
    tmp_path: Path, content: bytes, code: str, values: list[str]
) -> None:
    path = tmp_path / "m.mar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MANIFEST, content)
    with zipfile.ZipFile(path) as archive, refused(InputError, code, "m.mar", MANIFEST, *values):
        read_manifest(path, archive)
