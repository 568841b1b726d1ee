"""Everything that can be wrong with a command line: one clear line, the right exit code, nothing left behind."""

from __future__ import annotations

import io
import os
import shutil
import socket
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.__main__ import run
from lexport.cli import catalog
from lexport.serving.folders import make_private

from .conftest import Place, Result, split_error

Command = Callable[..., Result]

MEMBERS = ["run.json", "weights.safetensors", "text.json", "vocabulary.txt", "labels.json", "metrics.json"]

TABLES = {
    "good.csv": "text,label\n" + "".join(f"word{i} text,{'ab'[i % 2]}\n" for i in range(200)),
    "empty.csv": "",
    "header.csv": "text,label\n",
    "one-class.csv": "text,label\nup,x\ndown,x\n",
    "two-rows.csv": "text,label\nup,x\ndown,y\n",
    "unlabelled.csv": "text,label\nup,x\ndown,\n",
    "nobody-labelled.csv": "text,label\nup,\ndown,\n",
    "strangers.csv": "text,label\nup,x\ndown,y\n",
    "notes.txt": "neither a table nor a folder",
}


@pytest.fixture
def here(place: Place) -> Place:
    """A folder with the files that the cases below name."""
    for name, content in TABLES.items():
        (place.cwd / name).write_text(content)
    (place.cwd / "binary.csv").write_bytes(bytes(range(256)) * 20)
    (place.cwd / "zeros.csv").write_bytes(b"\0" * 100)
    (place.cwd / "folder").mkdir()
    (place.cwd / "folder" / "precious").write_text("x")
    return place


def refused(command: Command, place: Place, arguments: str, code: int = 2) -> str:
    """Run a command that must be refused without a trace; the line it says."""
    before = place.files()
    result = command(*arguments.split(" "))
    assert (result.code, result.out) == (code, "")
    assert place.files() == before
    return result.error[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("absent.csv", "no file absent.csv and no sample set of that name"),
        ("folder", "folder is a folder without texts in folders by label"),
        ("notes.txt", "neither the ending of its name nor its content says what it is"),
        ("empty.csv", "empty.csv is empty"),
        ("header.csv", "there are columns but no rows"),
        ("one-class.csv", "all 2 texts have the label 'x'"),
        ("two-rows.csv", "too few to split"),
        ("unlabelled.csv", "1 of 2 rows have a text but no label (line 3)"),
        ("nobody-labelled.csv", "2 of 2 rows have a text but no label (lines 2, 3)"),
        ("binary.csv", "binary.csv is not UTF-8 text"),
        ("zeros.csv", "zeros.csv is binary"),
        ("good.csv --text-column body", "no column 'body'. Its columns are: text, label. Name the right one with"),
        ("good.csv --label-column stars", "no column 'stars'"),
        ("good.csv --label-column text", "named for both text and label"),
        ("rotten-tomatoes --text-column body", "Leave out --text-column"),
    ],
)
def test_data_that_cannot_be_trained_on(here: Place, lexport: Command, arguments: str, words: str) -> None:
    assert words in refused(lexport, here, f"train {arguments} --out new/folders/run")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--out notes.txt", "notes.txt exists already"),
        ("--out notes.txt --force", "notes.txt is not a folder"),
        ("--out notes.txt/run", "notes.txt is not a folder"),
        ("--out notes.txt/deep/run", "notes.txt is not a folder"),
        ("--out folder", "exists already. Choose another --out, or replace it with --force"),
        ("--out folder --force", "folder holds files that are not a run"),
        ("--out . --force", "holds files that are not a run"),
        ("--out /proc/self/run", "Cannot write /proc/self/run: "),
        (f"--out {'x' * 300}", "File name too long"),
        ("--out run --model nope", "no recipe 'nope'. --model takes a file *.toml or one of: bag"),
        ("--out run --min-count 0", "min_count=0 must be at least 1"),
        ("--out run --max-vocabulary 0", "max_vocabulary=0 must be at least 1"),
        ("--out run --epochs 0", "epochs=0"),
        ("--out run --epochs many", "--epochs"),
        ("--out run --dim 0", "dim=0"),
        ("--out run --seed -1", "--seed"),
        (f"--out run --seed {2**70}", "--seed"),
        ("--out run --nope", "No such option"),
        ("", "--out"),
    ],
)
def test_a_run_that_cannot_be_made(here: Place, lexport: Command, arguments: str, words: str) -> None:
    assert words in refused(lexport, here, f"train good.csv {arguments}".strip())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--pair-column more", "no column 'more'"),
        ("--language-column more --model multilingual", "no column 'more'"),
        ("--pair-column text", "named for both text and pair"),
        ("--pair-column label --model vectors --label-column label", "named for both label and pair"),
        ("--model multilingual", "'multilingual' needs the language of every text"),
        ("--model joint", "good.csv has no images, which the head 'joint' needs. Name --image-column"),
        ("--model vectors", "none of its 200 texts is long enough to be halved"),
        ("--model vectors --multi-label", "has no option multi_label"),
        ("--model hashed --vectors words.vec", "has no option vectors"),
        ("--vectors absent.vec", "There is no file absent.vec and no package of vectors"),
        ("--vectors notes.txt", "notes.txt"),
        ("--model absent.toml", "The recipe absent.toml cannot be read"),
        ("--model notes.txt", "no recipe 'notes.txt'. --model takes a file *.toml or one of"),
        ("--model transformer --dim 30", "heads=4 do not divide the embedding's dim=30"),
        ("--from absent", "absent is not a run"),
        ("--from folder", "folder is not a run"),
        ("--from run --model bag", "leave out --model"),
        ("--from run --dim 8 --vectors x --min-count 2", "leave out --min-count, --dim, --vectors"),
        ("--from run --multi-label", "leave out --multi-label"),
        ("--from run", "good.csv has labels that run does not know: a, b; its labels are: kitchen, sport"),
    ],
)
def test_a_model_that_the_data_do_not_suit(
    here: Place, lexport: Command, run_folder: Path, arguments: str, words: str
) -> None:
    shutil.copytree(run_folder, here.cwd / "run", ignore=shutil.ignore_patterns("export"))
    before = here.files()
    result = lexport("train", "good.csv", "--out", "new/run", *arguments.split())
    assert result.code == 2
    assert words in result.err.splitlines()[-1]
    assert "Traceback" not in result.err
    assert here.files() == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "images is empty; expected one JSON list of numbers per line"),
        (b"\xff\n", "images cannot be read"),
        (b"[1, 2, 3]\n[1,\n", "images, line 2 is not an image; expected [0.1, 0.2, \u2026]"),
        (b"[1, 2, 3]\n\n[1, 2, 3]\n", "line 2 is not an image"),
        (b'"123"\n', "line 1 is not an image"),
        (b'{"image": "123"}\n', "line 1 is not an image"),
        (b'{"picture": [1, 2, 3]}\n', "line 1 is not an image"),
        (b"[1, true, 3]\n", "line 1 is not an image"),
        (b'[1, "2", 3]\n', "line 1 is not an image"),
        (b"[1, [2], 3]\n", "line 1 is not an image"),
        (b"7\n", "line 1 is not an image"),
        (b"[1" + b"0" * 400 + b", 2, 3]\n", "line 1 is not an image"),
        (b"[" * 100_000, "line 1 is not an image"),
        (b"[1, 2]\n", "refused the images"),
        (b"[]\n", "refused the images"),
        (b"[1, NaN, 3]\n", "refused the images"),
        (b"[1e39, 2, 3]\n", "refused the images"),
    ],
)
def test_images_that_are_none(
    here: Place, lexport: Command, task_archive: Callable[[str], Path], content: bytes, words: str
) -> None:
    (here.cwd / "images").write_bytes(content)
    assert words in refused(lexport, here, f"run {task_archive('joint')} --images images")


@pytest.mark.parametrize(
    ("task", "arguments", "words"),
    [
        ("joint", "--images absent", "absent cannot be read"),
        ("joint", "--images folder", "folder cannot be read"),
        ("joint", "text --images one.jsonl", "Texts or a language were given beside --images"),
        ("joint", "--images one.jsonl --lang en", "Texts or a language were given beside --images"),
        ("joint", "text --lang en", "refused the texts"),
        ("vector", "--images one.jsonl", "refused the images"),
        ("languages", "text", "refused the texts"),
        ("languages", "text --lang fr", "refused the texts"),
        ("multilabel", "text --lang en", "refused the texts"),
    ],
)
def test_questions_that_a_model_cannot_answer(
    here: Place, lexport: Command, task_archive: Callable[[str], Path], task: str, arguments: str, words: str
) -> None:
    (here.cwd / "one.jsonl").write_text("[1, 2, 3]\n")
    assert words in refused(lexport, here, f"run {task_archive(task)} {arguments}")
    if "--images" in arguments and "refused" not in words:
        assert words in refused(lexport, here, f"predict {task} {arguments}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes wherever it wants")
def test_a_folder_without_the_right_to_write(here: Place, lexport: Command) -> None:
    (here.cwd / "folder").chmod(0o500)
    try:
        assert "folder is not writable" in refused(lexport, here, "train good.csv --out folder/run")
    finally:
        (here.cwd / "folder").chmod(0o700)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("nope", "No such command 'nope'"),
        ("--nope", "No such option"),
        ("train", "DATA"),
        ("train --out", "--out"),
        ("archive run", "--version"),
        ("serve --port high", "--port"),
    ],
)
def test_a_command_line_that_is_not_understood(here: Place, lexport: Command, arguments: str, words: str) -> None:
    line = refused(lexport, here, arguments)
    assert words in line
    assert line.endswith("--help")


@pytest.mark.parametrize(("command", "before"), [("predict", "predict NAME"), ("run", "run MAR")])
@pytest.mark.parametrize("text", ["-5 stars", "--great film", "-highly recommended"])
def test_a_text_that_begins_with_a_dash_is_told_where_it_goes(
    lexport: Command, command: str, before: str, text: str
) -> None:
    result = lexport(command, "reviews.mar", text)
    assert (result.code, result.out) == (2, "")
    assert f"(a text that begins with - goes after --: lexport {before} -- '-5 stars')" in result.line


def test_only_commands_that_take_texts_say_so(lexport: Command) -> None:
    assert "goes after --" not in lexport("serve", "-5").line


def test_texts_after_two_dashes_are_texts(lexport: Command) -> None:
    assert "There is no archive absent.mar" in lexport("run", "absent.mar", "--", "-5 stars").line


@pytest.mark.parametrize("command", ["serve", "loadtest nobody"])
@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("", "There is no model store model_store"),
        (" --model-store absent", "There is no model store absent"),
        (" --model-store folder", "The model store folder holds no .mar file"),
    ],
)
def test_where_there_is_nothing_to_serve_the_ways_to_an_archive_are_shown(
    here: Place, lexport: Command, command: str, store: str, words: str
) -> None:
    before = here.files()
    result = lexport(*f"{command}{store}".split())
    first, *below = result.err.splitlines()
    assert (result.code, result.out, here.files()) == (2, "", before)
    assert split_error(first)[1].startswith(words)
    folder = store.split()[-1] if store else "model_store"
    for way in ("lexport serve path/to/NAME-1.0.mar", "lexport demo", f"--version 1.0 --out {folder}"):
        assert any(line.endswith(way) for line in below), way


def test_a_group_without_a_command_shows_its_help(lexport: Command) -> None:
    result = lexport("store")
    assert result.code == 2
    assert "Usage: lexport" in result.out + result.err


@pytest.mark.parametrize("damage", ["absent", "empty", "binary"])
@pytest.mark.parametrize("member", MEMBERS)
def test_a_run_without_a_whole_member(
    here: Place, lexport: Command, run_folder: Path, member: str, damage: str
) -> None:
    shutil.copytree(run_folder, here.cwd / "run", ignore=shutil.ignore_patterns("export"))
    (here.cwd / "run" / member).unlink()
    if damage != "absent":
        (here.cwd / "run" / member).write_bytes(b"" if damage == "empty" else b"\xff\0\x89")
    line = refused(lexport, here, "export run")
    assert ("run is not a run" if damage == "absent" else "The run run is damaged") in line
    assert refused(lexport, here, "evaluate run good.csv") == line


@pytest.mark.parametrize("part", ["validation.jsonl.gz", "test.jsonl.gz"])
def test_a_run_without_its_held_out_texts(here: Place, lexport: Command, run_folder: Path, part: str) -> None:
    shutil.copytree(run_folder, here.cwd / "run")
    (here.cwd / "run" / part).unlink()
    assert f"{part} cannot be read" in refused(lexport, here, "export run")
    (here.cwd / "run" / part).write_bytes(b"junk")
    assert f"{part} cannot be read" in refused(lexport, here, "export run")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("export absent", "absent is not a run: it is not a folder"),
        ("export good.csv", "good.csv is not a run: it is not a folder"),
        ("export folder", "folder is not a run: it has no run.json"),
        ("export run --variants onnx-fp64", "no variant 'onnx-fp64'. Did you mean 'onnx-fp16'? Known are: "),
        ("evaluate folder good.csv", "folder is not a run"),
        (
            "evaluate run strangers.csv",
            "label that the model does not know: x, y. Its labels are: kitchen, sport, weather",
        ),
        ("evaluate run good.csv --part half", "--part 'half' is not known"),
        ("evaluate run absent.csv", "no file absent.csv"),
        ("archive run --version 1.0 --variant onnx-fp64", "'onnx-fp64' was not exported; known variants: "),
        ("archive run --version ../1", "version '../1' cannot be used"),
        ("archive run --version 1/0", "version '1/0' cannot be used"),
        ("archive run --version=", "version '' cannot be used"),
        ("archive run --version 1.0 --name ../other", "name '../other' cannot be used"),
        ("archive run --version 1.0 --name=", "name '' cannot be used"),
        ("archive run --version 1.0 --out notes.txt", "notes.txt is not a folder"),
        ("archive run --version 1.0 --out notes.txt/deep", "notes.txt is not a folder"),
        ("archive run --version 1.0 --out /proc/self", "Cannot write /proc/self/run-1.0.mar: "),
        ("archive absent --version 1.0", "absent has not been exported yet"),
        ("archive folder --version 1.0", "folder has not been exported yet: no folder/export/evidence.json. Run: "),
    ],
)
def test_what_cannot_be_done_with_a_run(
    here: Place, lexport: Command, run_folder: Path, arguments: str, words: str
) -> None:
    shutil.copytree(run_folder, here.cwd / "run")
    assert words in refused(lexport, here, arguments)


def test_an_archive_of_a_run_that_was_not_exported(here: Place, lexport: Command, run_folder: Path) -> None:
    shutil.copytree(run_folder, here.cwd / "run", ignore=shutil.ignore_patterns("export"))
    assert "has not been exported yet" in refused(lexport, here, "archive run --version 1.0 --out new/store")


@pytest.mark.parametrize("content", [b"", b"{", b'{"schema": 1}', b'{"schema": 2}', b"\xff"])
def test_evidence_that_cannot_be_read(here: Place, lexport: Command, run_folder: Path, content: bytes) -> None:
    shutil.copytree(run_folder, here.cwd / "run")
    (here.cwd / "run" / "export" / "evidence.json").write_bytes(content)
    assert "evidence.json" in refused(lexport, here, "archive run --version 1.0")


def test_a_different_archive_is_kept_unless_forced(here: Place, lexport: Command, run_folder: Path) -> None:
    shutil.copytree(run_folder, here.cwd / "run")
    (here.cwd / "run-1.0.mar").write_bytes(b"something else")
    line = refused(lexport, here, "archive run --version 1.0 --out .")
    assert "exists and differs. Choose another --version, or replace it with --force" in line
    assert (here.cwd / "run-1.0.mar").read_bytes() == b"something else"
    assert lexport("archive", "run", "--version", "1.0", "--out", ".", "--force").code == 0
    assert zipfile.is_zipfile(here.cwd / "run-1.0.mar")


@pytest.fixture
def bad_archives(here: Place, archive_of: Callable[[str], Path]) -> Place:
    content = archive_of("onnx-int8").read_bytes()
    (here.cwd / "good.mar").write_bytes(content)
    (here.cwd / "cut.mar").write_bytes(content[: len(content) // 2])
    (here.cwd / "text.mar").write_text("hello")
    (here.cwd / "nothing.mar").write_bytes(b"")
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    (here.cwd / "flipped.mar").write_bytes(flipped)
    for name, member in (("climbing.mar", "../evil"), ("rooted.mar", "/tmp/evil"), ("plain.mar", "a.txt")):
        with zipfile.ZipFile(here.cwd / name, "w") as archive:
            archive.writestr(member, "x")
    return here


@pytest.mark.parametrize(
    "command", ["run MAR text", "evaluate MAR good.csv", "serve MAR", "loadtest MAR", "tune MAR --slo p99=1s"]
)
@pytest.mark.parametrize(
    ("archive", "words"),
    [
        ("absent.mar", "There is no archive"),
        ("folder/absent.mar", "There is no archive"),
        ("cut.mar", "not a readable archive"),
        ("text.mar", "not a readable archive"),
        ("nothing.mar", "not a readable archive"),
        ("climbing.mar", "'../evil', which would be written outside"),
        ("rooted.mar", "'/tmp/evil', which would be written outside"),
        ("plain.mar", "MAR-INF/"),
    ],
)
def test_a_bad_archive(bad_archives: Place, lexport: Command, command: str, archive: str, words: str) -> None:
    # Without digests nothing can be verified.
    verified = command.startswith(("run", "evaluate")) and archive == "plain.mar"
    arguments = command.replace("MAR", archive)
    assert words in refused(lexport, bad_archives, arguments, code=1 if verified else 2)


@pytest.mark.parametrize("command", ["run flipped.mar text", "evaluate flipped.mar good.csv"])
def test_an_archive_with_a_flipped_bit(bad_archives: Place, lexport: Command, command: str) -> None:
    before = bad_archives.files()
    result = lexport(*command.split())
    assert result.code in (1, 2)  # the zip's own checksum, or the digests
    assert "flipped.mar" in result.line
    assert bad_archives.files() == before


def test_a_text_that_is_none(bad_archives: Place, lexport: Command) -> None:
    assert "refused the texts" in refused(lexport, bad_archives, "run good.mar \udcff")


@pytest.mark.parametrize(("content", "words"), [(b"", "stdin is empty"), (b"\xff\n", "stdin is not UTF-8 (byte 0)")])
def test_texts_from_stdin_that_cannot_be_read(
    bad_archives: Place, lexport: Command, monkeypatch: pytest.MonkeyPatch, content: bytes, words: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert words in refused(lexport, bad_archives, "run good.mar")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("nobody --model-store .", "has no model 'nobody'. It has: topics"),
        ("good.mar --slo fast", "--slo 'fast' is not an objective"),
        ("good.mar --slo p99=50kg", "--slo 'p99=50kg'"),
        ("good.mar --users few", "--users 'few' is not understood"),
        ("good.mar --users 0", "--users 0 is out of range"),
        ("good.mar --users 1,1", "names one twice"),
        ("good.mar --duration soon", "--duration 'soon' is not understood"),
        ("good.mar --duration 0s", "--duration 0 s is out of range"),
        ("good.mar --workers tpu:1", "--workers 'tpu:1' is not understood"),
        ("good.mar --unknown-share 2", "--unknown-share 2 is not a share"),
        ("good.mar --texts absent.txt", "There is no file absent.txt"),
        ("good.mar --out notes.txt", "notes.txt is not a folder"),
        ("good.mar --out folder", "folder contains other files (precious)"),
    ],
)
def test_a_load_test_that_cannot_be_run(bad_archives: Place, lexport: Command, arguments: str, words: str) -> None:
    for path in bad_archives.cwd.glob("*.mar"):  # --model-store reads them all
        if path.name != "good.mar":
            path.unlink()
    assert words in refused(lexport, bad_archives, f"loadtest {arguments}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("good.mar --model-store .", "Give either archives or --model-store"),
        ("good.mar good.mar", "both contain the model topics"),
        ("good.mar --workers many", "--workers 'many' is not understood"),
        ("good.mar --port 70000", "--port 70000 is not possible"),
        ("good.mar --port -1", "--port"),
        ("good.mar --timeout 0", "--timeout"),
        ("good.mar --config absent.properties", "Cannot read the settings absent.properties"),
        ("good.mar --state-dir notes.txt", "as state folder: "),
        ("good.mar --state-dir notes.txt/state", "as state folder: "),
        ("good.mar --state-dir folder", "contains other files (precious)"),
    ],
)
def test_a_server_that_cannot_be_started(bad_archives: Place, lexport: Command, arguments: str, words: str) -> None:
    assert words in refused(lexport, bad_archives, f"serve {arguments}".strip())


def test_a_port_in_use_is_said_before_anything_starts(bad_archives: Place, lexport: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = min(taken.getsockname()[1], 65_000)
        make_private(bad_archives.cwd / "state" / "lexport")
        line = refused(lexport, bad_archives, f"serve good.mar --port {port}", code=3)
    assert f"Port {port} (inference) is in use" in line
    assert "--port" in line
    assert bad_archives.processes() == []


@pytest.mark.parametrize("command", ["predict topics text", "status", "stop"])
def test_without_a_server(here: Place, lexport: Command, command: str) -> None:
    assert "No server runs" in refused(lexport, here, command, code=3)
    assert "lexport serve" in refused(lexport, here, f"{command} --state-dir absent", code=3)


def test_a_server_elsewhere_that_is_not_there(here: Place, lexport: Command) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, but nobody listens
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        assert f"No server listens at http://{host}" in refused(
            lexport, here, f"predict topics text --host {host}", code=3
        )
        line = refused(lexport, here, f"predict topics text --host {host} --token-file absent", code=3)
        assert "The key file absent cannot be read" in line
    assert "--host 'ftp://x' is not understood" in refused(lexport, here, "predict topics text --host ftp://x")


@pytest.mark.parametrize("arguments", ["--out notes.txt", "--out notes.txt/demo", "--duration 0", "--duration nan"])
def test_a_demo_that_cannot_be_run(here: Place, lexport: Command, arguments: str) -> None:
    before = here.files()
    result = lexport("demo", *arguments.split())
    assert result.code == 2
    assert result.error[0].startswith("LX-")
    assert here.files() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("train absent.csv --out new/run", 2, "no file absent.csv"),
        ("train good.csv --label-column stars --out new/run", 2, "no column 'stars'"),
        ("trian good.csv", 2, "No such command 'trian'"),
        ("status", 3, "No server runs"),
    ],
)
def test_the_real_console_command(here: Place, arguments: str, code: int, words: str) -> None:
    assert words in refused(here.console, here, arguments, code=code)


def test_what_the_system_refuses_is_one_line_and_a_bug_keeps_its_traceback(
    lexport: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "run.partial")

    def bug(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(catalog, "print_line", full)
    result = lexport("recipes")
    assert (result.code, result.line) == (
        3,
        "error[LX-SYSTEM-001]: the system says: No space left on device: run.partial",
    )
    monkeypatch.setattr(catalog, "print_line", bug)
    with pytest.raises(ZeroDivisionError):
        run(["recipes"])
