"""docs/ci.md: its workflow's steps are run for real, in the shell that GitHub runs them in, and do refuse."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from lexport.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "ci.md"


def workflow() -> dict[str, Any]:
    [text] = re.findall(r'^```yaml title="release.yml"\n(.*?)^```$', PAGE.read_text(encoding="utf-8"), re.M | re.S)
    # YAML 1.1 takes `on` for a truth value, as GitHub does not.
    found: dict[str, Any] = yaml.safe_load(text.replace("\non:", '\n"on":'))
    return found


JOB: dict[str, Any] = workflow()["jobs"]["release"]
STEPS: list[dict[str, Any]] = JOB["steps"]
SHELL: dict[str, str] = {step["name"]: step["run"] for step in STEPS if "run" in step}


def commands() -> Iterator[list[str]]:
    """Every line of the page's code that calls lexport, split as a shell does."""
    indented = re.findall(r"^    (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    for text in (*SHELL.values(), "\n".join(indented)):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line)
            if words[:1] == ["lexport"]:
                yield words[1:]


def test_it_is_a_workflow_that_runs_on_tags_in_the_order_of_the_chain() -> None:
    assert workflow()["on"] == {"push": {"tags": ["reviews-*"]}}
    verbs = [words[0] for text in SHELL.values() for words in [shlex.split(text)] if words[0] == "lexport"]
    assert verbs == ["lexport"] * 5
    called = [shlex.split(text)[1] for text in SHELL.values() if text.startswith("lexport")]
    assert called == ["train", "export", "archive", "verify", "loadtest"]
    assert all(("uses" in step) != ("run" in step) for step in STEPS)
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in STEPS if "uses" in step)
    # GitHub puts such an expression into the script as text; in a step's env it is data.
    assert not any("${{" in text for text in SHELL.values())


@pytest.mark.parametrize("words", list(commands()), ids=lambda words: words[0])
def test_every_command_is_one_of_ours_with_options_that_it_has(words: list[str]) -> None:
    command: Any = get_command(app)
    command.commands[words[0]].make_context(words[0], list(words[1:]))


class Runner:
    """A checkout in which steps run as on GitHub's runner: `bash -e -o pipefail`, what GITHUB_ENV holds set."""

    def __init__(self, folder: Path, key: str) -> None:
        """`key` is the secret SIGNING_KEY."""
        self.folder, self.variables = folder / "checkout", folder / "variables"
        temporary, programs = folder / "temporary", folder / "bin"
        for one in (self.folder, temporary, programs):
            one.mkdir()
        self.variables.touch()
        program = programs / "lexport"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lexport "$@"\n')
        program.chmod(0o755)
        self.environment = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "GITHUB_ENV": str(self.variables),
            "GITHUB_REF_NAME": "reviews-1.4",
            "RUNNER_TEMP": str(temporary),
            "SIGNING_KEY": key,
            **JOB["env"],
            # What is fast enough on a busy machine is not for a test to say.
            "DURATION": "2s",
            "P99": "60s",
        }

    def step(self, name: str) -> subprocess.CompletedProcess[str]:
        set_before = dict(line.split("=", 1) for line in self.variables.read_text().splitlines())
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", SHELL[name]],
            cwd=self.folder,
            env=self.environment | set_before,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.mark.long
def test_the_steps_release_a_model_and_refuse_a_bad_one(tmp_path: Path, tiny_csv: Path) -> None:
    from cryptography.hazmat.primitives import serialization as kinds
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    secret = key.private_bytes(kinds.Encoding.PEM, kinds.PrivateFormat.PKCS8, kinds.NoEncryption()).decode().strip()
    public = key.public_key().public_bytes(kinds.Encoding.PEM, kinds.PublicFormat.SubjectPublicKeyInfo)
    runner = Runner(tmp_path, secret)
    (runner.folder / "data").mkdir()
    shutil.copy(tiny_csv, runner.folder / "data" / "reviews.csv")
    (runner.folder / "signing.pub").write_bytes(public)

    for name in ("Version and key", "Train", "Export and judge", "Pack and sign", "Verify", "Load-test"):
        done = runner.step(name)
        assert done.returncode == 0, (name, done.stdout, done.stderr)
    assert (tmp_path / "temporary" / "signing.pem").stat().st_mode & 0o777 == 0o600
    kept = next(step["with"]["path"].split() for step in STEPS if step.get("name") == "Keep what was measured")
    assert all((runner.folder / path).exists() for path in kept)
    assert "loadtest.xml" in kept

    mar = runner.folder / "model_store" / "reviews-1.4.mar"
    good = mar.read_bytes()
    middle = len(good) // 2
    mar.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
    assert runner.step("Verify").returncode == 1
    mar.write_bytes(good)
    (runner.folder / "signing.pub").write_bytes(
        Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))
        .public_key()
        .public_bytes(kinds.Encoding.PEM, kinds.PublicFormat.SubjectPublicKeyInfo)
    )
    assert runner.step("Verify").returncode == 1
    with (runner.folder / "runs" / "reviews" / "vocabulary.txt").open("a") as handle:
        handle.write("\nsmuggled")
    refused = runner.step("Pack and sign")
    assert refused.returncode == 1
    assert "vocabulary.txt was altered" in refused.stderr
