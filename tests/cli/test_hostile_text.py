"""Text that somebody else wrote, in every place a command shows one: it moves no cursor and forges no line."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from lexport.export.archive.format.reader import EVIDENCE
from lexport.export.archive.format.writer import write_zip
from lexport.handlers.model.digests import MANIFEST
from lexport.models import recipes
from lexport.training.train import train

from ..hostile import EVIL, check, spoiled
from ..trust_cases import fitted
from .conftest import CONSOLE, Place, Result

Command = Callable[..., Result]
ArchiveOf = Callable[[str], Path]
Members = dict[str, bytes]


def rewritten(source: Path, target: Path, change: Callable[[Members], None]) -> Path:
    """A copy of an archive whose members were changed, with digests that fit."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    members = fitted(members)
    with target.open("wb") as handle:
        write_zip(handle, members)
    return target


def spoil(members: Members) -> None:
    """Something hostile in the names, the evidence, the card, the requirements, the recorded answers."""
    evidence = json.loads(members[EVIDENCE])
    run = evidence["run"]
    keep = frozenset(
        {run["task"], run["metric"], evidence["variant"], *(one["name"] for one in evidence["variants"])}
    )
    for one in evidence["variants"]:
        one["warning"] = f"long {EVIL} {'signed by words ' * 60}"
    evidence["left_out"] = {f"signed by {EVIL}": EVIL}
    members[EVIDENCE] = json.dumps(spoiled(evidence, keep)).encode()
    told = EVIL.encode()
    members["README.md"] = told + b"\n\n&#x202e;&#x1b;[a](http://x)\n\n```\n" + told + b"\n```\n<b>" + told
    members["requirements.txt"] += f"pack\x1b[2Jage==1\x9b\u202e{' signed by' * 40}\n".encode()


@pytest.fixture
def hostile(archive_of: ArchiveOf, tmp_path: Path) -> Path:
    return rewritten(archive_of("onnx-int8"), tmp_path / "hostile\x1b[2J.mar", spoil)


def test_inspect_and_verify_show_codes(lexport: Command, hostile: Path) -> None:
    for command in ("inspect", "verify"):
        result = lexport(command, str(hostile))
        check(result.out)
        check(result.err)
        assert r"\x1b[2J" in result.out + result.err
    assert "| x" in lexport("inspect", str(hostile)).out, "each line of the card stands behind a bar"


def test_a_newline_in_a_name_does_not_sign_an_archive(
    lexport: Command, archive_of: ArchiveOf, tmp_path: Path
) -> None:
    def change(members: Members) -> None:
        manifest = json.loads(members[MANIFEST])
        manifest["model"]["modelName"] = "topics\nsigned by SHA256:forged"
        members[MANIFEST] = json.dumps(manifest).encode()

    result = lexport("verify", str(rewritten(archive_of("onnx-int8"), tmp_path / "a.mar", change)))
    lines = [line for line in (result.out + result.err).splitlines() if "signed by SHA256:forged" in line]
    assert all(r"topics\nsigned by" in line for line in lines)
    check(result.out + result.err)


def test_json_carries_the_same_text_in_escapes(lexport: Command, hostile: Path) -> None:
    result = lexport("inspect", str(hostile), "--json")
    check(result.out)
    if result.code == 0:
        assert EVIL in json.loads(result.out)["card"]


def test_diff_shows_codes(lexport: Command, hostile: Path, archive_of: ArchiveOf) -> None:
    for pair in ((str(hostile), str(archive_of("onnx-int8"))), (str(archive_of("onnx-fp32")), str(hostile))):
        result = lexport("diff", *pair)
        check(result.out + result.err)
        assert "README.md" in result.out


def test_on_a_terminal_only_our_own_styles_are_written(hostile: Path, place: Place) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [CONSOLE, "inspect", str(hostile)],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"},
    ) as child:
        os.close(theirs)
        written = b"".join(_chunks(ours))
        child.wait(timeout=120)
    os.close(ours)
    text = written.decode().replace("\r\n", "\n")
    assert r"\x1b[2J" in text
    check(text, styled=True)


def _chunks(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # the child has closed its side
            return
        if not chunk:
            return
        yield chunk


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run trained on labels and texts that are hostile."""
    rows = [{"text": f"goal {EVIL} match {row}", "label": EVIL} for row in range(30)]
    rows += [{"text": f"oven butter salt {row}", "label": "kitchen\x1b[31m"} for row in range(30)]
    rows += [{"text": f"goal match {row}", "label": "kitchen\x1b[31m"} for row in range(6)]
    folder = tmp_path_factory.mktemp("hostile")
    data = folder / "da\x1bta.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    recipe = recipes.load("bag").changed("text", min_count=1, buckets=64).changed("training", epochs=2)
    train(str(data), folder / "run\n\x1b", recipe=recipe.changed("embedding", dim=4))
    return folder / "run\n\x1b"


def test_train_shows_hostile_labels_and_columns_as_codes(place: Place, lexport: Command, hostile_run: Path) -> None:
    data = str(hostile_run.parent / "da\x1bta.jsonl")
    result = lexport("train", data, "--out", "new\x1b[2J", "--epochs", "1", "--dim", "4")
    assert result.code == 0
    assert r"x\x1b[2J" in result.out
    check(result.out + result.err)
    result = lexport("train", data, "--out", "other", "--label-column", EVIL)
    assert result.code == 2
    assert r"\x1b" in result.line
    check(result.err)


def test_evaluate_shows_hostile_labels_texts_and_names_as_codes(
    place: Place, lexport: Command, hostile_run: Path
) -> None:
    data = str(hostile_run.parent / "da\x1bta.jsonl")
    result = lexport("evaluate", str(hostile_run), data, "--report", "pa\x1bge.html")
    assert result.code == 0
    assert r"x\x1b[2J" in result.out
    check(result.out + result.err)
    page = Path("pa\x1bge.html").read_text(encoding="utf-8")
    check(page)
    assert "<script" not in page


def test_the_card_of_a_run_shows_hostile_labels_as_plain_text(hostile_run: Path) -> None:
    card = (hostile_run / "README.md").read_text(encoding="utf-8")
    check(card)
    assert r"\[red\]" in card
    assert not re.search(r"(?<!\\)<script", card)
    rows = [line for line in card.splitlines() if line.startswith("| ")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) in (4, 6) for row in rows)


def test_run_and_explain_show_hostile_texts_as_codes(lexport: Command, archive_of: ArchiveOf) -> None:
    for option in ((), ("--explain",)):
        result = lexport("run", str(archive_of("onnx-int8")), EVIL, f"goal {EVIL}", *option)
        assert result.code == 0
        check(result.out + result.err)


def test_names_of_files_and_options_in_errors_are_codes(place: Place, lexport: Command) -> None:
    (place.cwd / f"here{EVIL[:40]}.mar").write_bytes(b"no zip")
    for arguments in (
        ["verify", f"gone{EVIL[:90]}"],
        ["inspect", f"here{EVIL[:40]}.mar"],
        ["train", f"gone{EVIL}", "--out", "x"],
        ["run", "\udcff\x1b.mar", "text"],
        ["evaluate", f"gone{EVIL}"],
        ["loadtest", f"gone{EVIL}"],
        ["predict", "x", "text", "--host", f"h{EVIL}"],
        [f"gone{EVIL}"],
        ["status", f"--gone{EVIL}"],
        ["doctor", "--state-dir", f"gone{EVIL[:60]}"],
        ["status", "--state-dir", f"gone{EVIL[:60]}"],
    ):
        result = lexport(*arguments)
        check(result.out + result.err)
        if arguments[0] != "doctor":
            assert result.code in (2, 3)
            assert result.error[0].startswith("LX-")


class Reply(BaseHTTPRequestHandler):
    """Answers what the server was told to."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, answer = self.server.told  # type: ignore[attr-defined]
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


COUNTS = {"tokens": 1, "unknown": 0, "truncated": False}


@pytest.mark.parametrize(
    ("status", "answer", "code"),
    [
        (200, [{"label": EVIL, "score": 0.5, "scores": {EVIL: 0.5}, **COUNTS}], 0),
        (
            200,
            [{"labels": [{"label": EVIL, "score": 0.5}, {"label": EVIL, "score": 0.4}], "scores": {}, **COUNTS}],
            0,
        ),
        (200, [{"label": EVIL, "score": EVIL, "scores": {}, **COUNTS}], 3),
        (200, [EVIL], 0),
        (200, {EVIL: EVIL}, 0),
        (200, EVIL, 0),
        (400, {"error": EVIL, "expected": EVIL}, 2),
        (404, {"code": 404, "type": EVIL, "message": f"{EVIL} not found"}, 2),
        (500, {"error": EVIL}, 3),
        (500, EVIL, 3),
    ],
)
def test_what_a_server_answers_is_shown_as_codes(lexport: Command, status: int, answer: Any, code: int) -> None:
    with HTTPServer(("127.0.0.1", 0), Reply) as server:
        server.told = (status, answer)  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            result = lexport("predict", "films", "a text", "--host", f"127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
    assert result.code == code, result.err
    check(result.out + result.err)
    if code:
        assert result.error[0].startswith("LX-")
