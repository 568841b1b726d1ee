"""Archives: the same bytes every time, what the stock archiver would pack, and nothing that was altered."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lexport.errors import InputError, LexportError, RefusedError
from lexport.export.archive.format.reader import extracted, read_json, read_labels
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.pack import archive
from lexport.export.export import export
from lexport.export.formats import writer
from lexport.export.formats.variants import IDS_IN, TEXT_IN, choose
from lexport.handlers.model.goldens import differences, read_goldens
from lexport.handlers.text.files import load_encoder, read_vocabulary
from lexport.handlers.text.vocabulary import index_of
from lexport.models.run import open_run

from ...conftest import TASKS
from ...refusals import refused

ArchiveOf = Callable[[str], Path]


@pytest.mark.parametrize("variant", [*IDS_IN, *TEXT_IN])
def test_two_archives_of_one_run_are_the_same_bytes(
    run_folder: Path, archive_of: ArchiveOf, variant: str, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "moved" / "topics"
    shutil.copytree(run_folder, elsewhere)
    again = archive(elsewhere, version="1.0", variant=variant, out=tmp_path)
    assert again.read_bytes() == archive_of(variant).read_bytes()


def contents(content: bytes) -> Iterator[bytes]:
    """A member's bytes, and those inside it where it is a zip itself, as a TorchScript file is."""
    yield content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            for name in inner.namelist():
                yield inner.read(name)


@pytest.mark.parametrize("variant", [*IDS_IN, *TEXT_IN])
def test_no_member_holds_a_path_of_this_machine(run_folder: Path, archive_of: ArchiveOf, variant: str) -> None:
    checkout, here = str(Path(__file__).parents[3]).encode(), str(run_folder.parent).encode()
    with zipfile.ZipFile(archive_of(variant)) as mar:
        for member in mar.namelist():
            for content in contents(mar.read(member)):
                assert here not in content, member
                assert checkout not in content, member


def test_every_member_is_listed_with_its_digest(archive_of: ArchiveOf) -> None:
    with zipfile.ZipFile(archive_of("onnx-int8")) as mar:
        listed = dict(line.split("  ")[::-1] for line in mar.read("MAR-INF/DIGESTS").decode().splitlines())
        assert set(listed) == set(mar.namelist()) - {"MAR-INF/DIGESTS"}
        for member, digest in listed.items():
            assert hashlib.sha256(mar.read(member)).hexdigest() == digest


def test_the_archive_holds_what_serving_and_proof_need(archive_of: ArchiveOf) -> None:
    with zipfile.ZipFile(archive_of("onnx-int8")) as mar:
        members = set(mar.namelist())
    expected = {"handler.py", "model.onnx", "model.onnx.data", "model.json", "text.json", "vocabulary.txt"}
    expected |= {"labels.json", "golden.jsonl", "model-config.yaml", "README.md", "requirements.txt"}
    expected |= {"MAR-INF/MANIFEST.json", "MAR-INF/EVIDENCE.json", "MAR-INF/DIGESTS"}
    assert expected <= members
    assert not any("__pycache__" in member for member in members)


def test_exported_files_are_copied_and_the_model_file_gets_a_name_and_a_version(
    run_folder: Path, archive_of: ArchiveOf
) -> None:
    folder = run_folder / "export" / "onnx-int8"
    exported = {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "golden.made.jsonl"}
    with zipfile.ZipFile(archive_of("onnx-int8")) as mar:
        for name in exported.keys() - {"model.json"}:
            assert mar.read(name) == exported[name], name
        packed = json.loads(mar.read("model.json"))
        own = {name for name in mar.namelist() if name not in exported and not (run_folder / name).exists()}
    assert packed == {"name": "topics", "version": "1.0"} | json.loads(exported["model.json"])
    assert {name for name in own if not name.startswith(("MAR-INF/", "lexport_handlers/"))} == {
        "handler.py",
        "model-config.yaml",
    }


def test_the_manifest_is_the_stock_archivers_but_for_the_date(archive_of: ArchiveOf, tmp_path: Path) -> None:
    """The stock command line packs the very same files: manifest and members must come out alike."""
    ours = archive_of("torchscript-int8")
    with extracted(ours) as folder:
        extra = tmp_path / "extra"
        shutil.copytree(folder, extra, ignore=shutil.ignore_patterns("handler.py", "model.pt", "model-config.yaml"))
        (extra / "MAR-INF" / "MANIFEST.json").unlink()
        command = ["--model-name", "topics", "--version", "1.0", "--handler", str(folder / "handler.py")]
        command += ["--serialized-file", str(folder / "model.pt"), "--extra-files", str(extra)]
        command += ["--config-file", str(folder / "model-config.yaml"), "--export-path", str(tmp_path)]
        environment = {"TMPDIR": str(tmp_path), "PATH": ""}
        module = [sys.executable, "-W", "ignore", "-m", "model_archiver.model_packaging"]
        subprocess.run([*module, *command], check=True, env=environment, timeout=60)
    with zipfile.ZipFile(tmp_path / "topics.mar") as stock, zipfile.ZipFile(ours) as own:
        assert set(stock.namelist()) == set(own.namelist())
        manifests = [json.loads(mar.read("MAR-INF/MANIFEST.json")) for mar in (stock, own)]
        for manifest in manifests:
            manifest.pop("createdOn")
        assert manifests[0] == manifests[1]
        for member in set(own.namelist()) - {"MAR-INF/MANIFEST.json"}:
            assert stock.read(member) == own.read(member), member


def test_the_date_comes_from_the_export_or_from_source_date_epoch(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    mar = archive(run_folder, version="1.0", out=tmp_path)
    assert read_json(mar, "MAR-INF/MANIFEST.json")["createdOn"] == "02/01/1970 00:00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with refused(InputError, "LX-ARCHIVE-022", "SOURCE_DATE_EPOCH", "'yesterday'"):
        archive(run_folder, version="2.0", out=tmp_path)


@pytest.mark.parametrize("no_texts", [False, True])
def test_it_says_that_texts_of_the_data_are_packed(run_folder: Path, tmp_path: Path, no_texts: bool) -> None:
    told: list[str] = []
    archive(run_folder, version="1.0", no_texts=no_texts, out=tmp_path, say=told.append)
    assert any("--no-texts" in line for line in told) != no_texts


def test_a_refused_variant_is_not_packed(run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "topics"
    shutil.copytree(run_folder, folder)
    path = folder / "export" / "evidence.json"
    values = json.loads(path.read_text())
    for variant in values["variants"]:
        if variant["name"] != "onnx-fp32":
            variant["refused"] = "max_metric_drop: accuracy fell"
    path.write_text(json.dumps(values))
    with refused(RefusedError, "LX-ARCHIVE-019", "onnx-int8", "max_metric_drop"):
        archive(folder, version="1.0", variant="onnx-int8", out=tmp_path / "store")
    assert not (tmp_path / "store").exists()
    mar = archive(folder, version="1.0", out=tmp_path / "store")
    assert read_json(mar, "MAR-INF/EVIDENCE.json")["variant"] == "onnx-fp32"


@pytest.mark.parametrize("name", ["model.onnx.data", "model.json", "requirements.txt", "golden.jsonl"])
def test_a_file_altered_since_it_was_measured_is_not_packed(run_folder: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "topics"
    shutil.copytree(run_folder, folder)
    with (folder / "export" / "onnx-int8" / name).open("r+b") as handle:
        handle.write(b"x")
    with refused(RefusedError, "LX-ARCHIVE-085", name):
        archive(folder, version="1.0", variant="onnx-int8", out=tmp_path / "store")


@pytest.mark.parametrize("name", ["text.json", "vocabulary.txt", "labels.json"])
def test_a_run_altered_since_its_export_is_not_packed(run_folder: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "topics"
    shutil.copytree(run_folder, folder)
    content = (folder / name).read_text(encoding="utf-8")
    (folder / name).write_text("\n".join(reversed(content.split("\n"))), encoding="utf-8")
    with refused(RefusedError, "LX-ARCHIVE-085", name):
        archive(folder, version="1.0", out=tmp_path / "store")
    (folder / name).unlink()
    with refused(InputError, "LX-ARCHIVE-086", name):
        archive(folder, version="1.0", out=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_an_existing_archive_is_replaced_only_by_force(run_folder: Path, tmp_path: Path) -> None:
    mar = archive(run_folder, version="1.0", variant="onnx-fp32", out=tmp_path)
    said: list[str] = []
    assert archive(run_folder, version="1.0", variant="onnx-fp32", out=tmp_path, say=said.append) == mar
    assert "exists already with the same bytes" in said[0]
    with refused(InputError, "LX-ARCHIVE-017", "--force"):
        archive(run_folder, version="1.0", variant="onnx-int8", out=tmp_path)
    archive(run_folder, version="1.0", variant="onnx-int8", out=tmp_path, force=True)
    assert read_json(mar, "MAR-INF/EVIDENCE.json")["variant"] == "onnx-int8"


@pytest.mark.parametrize(
    ("name", "version", "error"),
    [
        ("a b", "1.0", ("LX-ARCHIVE-020", "'a b'", "--name")),
        ("../x", "1.0", ("LX-ARCHIVE-020", "'../x'", "--name")),
        ("x", "1/0", ("LX-ARCHIVE-021", "'1/0'")),
        ("x", "", ("LX-ARCHIVE-021", "''")),
        ("", "1", ("LX-ARCHIVE-020", "''", "--name")),
    ],
)
def test_names_and_versions_that_no_url_could_hold_are_refused(
    run_folder: Path, tmp_path: Path, name: str, version: str, error: tuple[str, ...]
) -> None:
    with refused(InputError, *error):
        archive(run_folder, version=version, name=name, out=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("variant", [*IDS_IN, *TEXT_IN])
def test_the_archives_own_handler_answers_as_recorded(archive_of: ArchiveOf, run_folder: Path, variant: str) -> None:
    lines = (run_folder / "export" / variant / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    goldens = [json.loads(line) for line in lines]
    with load_archive(archive_of(variant)) as loaded:
        answers = loaded.predict([golden["text"] for golden in goldens])
    for golden, answer in zip(goldens, answers, strict=True):
        assert answer["label"] == golden["variant"]["label"]
        assert answer["scores"] == pytest.approx(golden["variant"]["scores"], abs=1e-6)


@pytest.mark.parametrize("name", [None, "languages"])
def test_a_large_vocabulary_is_packed_with_its_index_and_answers_alike(
    run_folder: Path,
    task_run: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str | None,
) -> None:
    """Word n-grams, whose hashes the index keeps, and a vocabulary for each language."""
    source, folder = run_folder if name is None else task_run(name), tmp_path / "large"
    monkeypatch.setattr(writer, "INDEXED_FROM", 10)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("export"))
    export(open_run(folder), choose("onnx-fp32"))
    before = (source / "export" / "onnx-fp32" / "golden.jsonl").read_bytes()
    assert (folder / "export" / "onnx-fp32" / "golden.jsonl").read_bytes() == before
    mar = archive(folder, version="1.0", out=tmp_path / "store")
    spec, words = load_encoder(folder).spec, read_vocabulary(folder / "vocabulary.txt")
    with zipfile.ZipFile(mar) as packed:
        assert packed.read("vocabulary.index") == index_of(spec, words)
    with load_archive(mar) as loaded:
        encoder = load_encoder(loaded.folder)
        assert encoder.vocabulary == words
        assert encoder.files() == load_encoder(folder).files()
        for golden in read_goldens(folder / "export" / "onnx-fp32" / "golden.jsonl"):
            [answer] = loaded.predict([golden.text], golden.lang and [golden.lang])
            assert differences(golden, answer, "fp32") == []


def test_a_small_vocabulary_has_no_index(archive_of: ArchiveOf) -> None:
    with zipfile.ZipFile(archive_of("onnx-fp32")) as packed:
        assert "vocabulary.index" not in packed.namelist()


@pytest.mark.parametrize("name", TASKS)
def test_the_handler_of_every_task_answers_as_recorded(
    task_run: Callable[[str], Path], task_archive: ArchiveOf, name: str
) -> None:
    with load_archive(task_archive(name)) as loaded:
        for golden in read_goldens(task_run(name) / "export" / "onnx-fp32" / "golden.jsonl"):
            if golden.image is not None:
                [answer] = loaded.predict_images([golden.image])
            else:
                [answer] = loaded.predict([golden.text], golden.lang and [golden.lang])
            assert differences(golden, answer, "fp32", threshold=0.4) == []


def test_the_archive_of_a_joint_model_holds_its_image_tower(task_archive: ArchiveOf) -> None:
    with zipfile.ZipFile(task_archive("joint")) as mar:
        assert {"model.onnx", "image.onnx", "image.onnx.data"} <= set(mar.namelist())
        model = json.loads(mar.read("model.json"))
    assert (model["task"], model["image_file"], model["image_values"]) == ("joint", "image.onnx", 3)


def test_the_threshold_of_several_labels_goes_with_the_archive(task_archive: ArchiveOf) -> None:
    assert read_json(task_archive("multilabel"), "model.json")["threshold"] == 0.4
    assert read_labels(task_archive("multilabel")) == ["kitchen", "long", "sport", "weather"]
    assert read_labels(task_archive("vector")) == []


@pytest.mark.parametrize("content", ["{}", "[1]", "[", '"a"'])
def test_labels_that_are_no_list_of_strings_are_damaged(tmp_path: Path, content: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.mar", "w") as mar:
        mar.writestr("labels.json", content)
    with refused(InputError, "LX-ARCHIVE-075", "labels.json"):
        read_labels(tmp_path / "bad.mar")


def test_two_archives_can_be_open_in_one_process(archive_of: ArchiveOf) -> None:
    with load_archive(archive_of("onnx-fp32")) as one, load_archive(archive_of("torchscript-fp32")) as other:
        texts = ["the match and the goal", "butter and flour", ""]
        for first, second in zip(one.predict(texts), other.predict(texts), strict=True):
            assert first["scores"] == pytest.approx(second["scores"], abs=1e-5)


def repacked(mar: Path, change: Callable[[zipfile.ZipFile], None], out: Path) -> Path:
    buffer = io.BytesIO(mar.read_bytes())
    with zipfile.ZipFile(buffer, "a") as archive_:
        change(archive_)
    out.write_bytes(buffer.getvalue())
    return out


def link(archive_: zipfile.ZipFile) -> None:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = 0o120777 << 16
    archive_.writestr(entry, "/etc/passwd")


COMPILED = "lexport_handlers/__pycache__/text.cpython-311.pyc"
MALICIOUS: dict[str, tuple[Callable[[zipfile.ZipFile], None], tuple[str, ...]]] = {
    "parent": (lambda mar: mar.writestr("../evil.py", "x"), ("LX-ARCHIVE-052", "'../evil.py'")),
    "absolute": (lambda mar: mar.writestr("/tmp/evil.py", "x"), ("LX-ARCHIVE-052", "'/tmp/evil.py'")),
    "drive": (lambda mar: mar.writestr("C:evil.py", "x"), ("LX-ARCHIVE-052", "'C:evil.py'")),
    "link": (link, ("LX-ARCHIVE-054", "'link'")),
    "case": (lambda mar: mar.writestr("HANDLER.py", "x"), ("LX-ARCHIVE-044", "'HANDLER.py'")),
    "compiled": (lambda mar: mar.writestr(COMPILED, "x"), ("LX-ARCHIVE-053", COMPILED)),
    "undeclared": (lambda mar: mar.writestr("extra.py", "x"), ("LX-ARCHIVE-077", "extra.py", "MAR-INF/DIGESTS")),
}


def test_a_member_without_a_name_is_refused(archive_of: ArchiveOf, tmp_path: Path) -> None:
    """Python ends names at a NUL; so nothing is left of this one."""
    bad = repacked(archive_of("onnx-int8"), lambda mar: mar.writestr("nameless.py", "x"), tmp_path / "bad.mar")
    bad.write_bytes(bad.read_bytes().replace(b"nameless.py", b"\0ameless.py"))
    with refused(InputError, "LX-ARCHIVE-049", "''"), load_archive(bad):
        pass


@pytest.mark.parametrize("attack", MALICIOUS)
def test_malicious_archives_are_refused_before_anything_is_loaded(
    archive_of: ArchiveOf, tmp_path: Path, attack: str
) -> None:
    change, error = MALICIOUS[attack]
    bad = repacked(archive_of("onnx-int8"), change, tmp_path / "bad.mar")
    with refused(LexportError, *error), load_archive(bad):
        pass
    assert not (tmp_path.parent / "evil.py").exists()


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut"])
def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mar"
    path.write_bytes(content)
    with refused(InputError, "LX-ARCHIVE-070"), load_archive(path):
        pass
