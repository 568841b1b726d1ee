"""Leaving: the archive stays as it is, what is written answers as it does, and else nothing is written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lexport.errors import InputError, RefusedError, SystemProblem
from lexport.export.archive.trust.keys import PublicKey
from lexport.export.archive.verify import verify
from lexport.export.exits.folder import Folder
from lexport.export.exits.packed import Packed
from lexport.export.exits.writing import write_exit
from lexport.storage.atomic import sha256_file

from ...handlers.interpreters import only
from ...refusals import refused
from ...trust_cases import members_of, repacked, write_members

PYTHON = Path(sys.executable)
ArchiveOf = Callable[[str], Path]
_STRANGERS = {"MAR-INF/MANIFEST.json", "handler.py", "model.onnx"}


@pytest.fixture
def mar(archive_of: ArchiveOf) -> Path:
    return archive_of("onnx-fp32")


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Changed(Folder):
    """A folder whose program is another one."""

    source: str

    def files(self, packed: Packed) -> dict[str, bytes]:
        return super().files(packed) | {"predict.py": self.source.encode()}


def test_the_members_lie_in_it_as_they_were_packed_and_the_archive_is_not_changed(mar: Path, tmp_path: Path) -> None:
    before = sha256_file(mar)
    written = write_exit(mar, "folder", Folder(), tmp_path / "out", python=PYTHON)
    assert sha256_file(mar) == before == written.archive.digest
    # The folder is read as the archive that its files make, byte for byte.
    assert verify(tmp_path / "out" / "model").digest == before
    assert written.proven


def test_it_holds_what_its_readme_says_and_nothing_that_a_program_left(mar: Path, tmp_path: Path) -> None:
    write_exit(mar, "folder", Folder(), tmp_path / "out", python=PYTHON)
    beside = {one for one in files_of(tmp_path / "out") if not one.startswith("model/")}
    assert beside == {"README.md", "evidence.json", "lexport_model.py", "predict.py", "requirements.txt"}
    assert not list((tmp_path / "out").rglob("__pycache__"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_evidence_says_what_answered_and_which_archive_it_was(mar: Path, tmp_path: Path) -> None:
    written = write_exit(mar, "folder", Folder(), tmp_path / "out", python=PYTHON)
    found = json.loads((tmp_path / "out" / "evidence.json").read_text(encoding="utf-8"))
    assert (found["schema"], found["exit"]) == (1, "folder")
    assert found["archive"] == {
        "name": "topics",
        "version": "1.0",
        "variant": "onnx-fp32",
        "sha256": sha256_file(mar),
        "signed_by": None,
    }
    python, node, compiled = found["proofs"]
    assert (python["program"], python["proven"], python["problems"]) == ("python predict.py", True, [])
    assert python["asked"] == len((tmp_path / "out/model/golden.jsonl").read_text(encoding="utf-8").splitlines())
    assert python["largest_difference"] <= python["allowed"] == 1e-5
    assert python["versions"].keys() == {"onnxruntime"}
    # The text code of this variant is Python.
    assert {one["proven"] for one in (node, compiled)} == {False}
    assert all("onnx-int8-text" in one["why"] for one in (node, compiled))
    assert [proof.proven for proof in written.proofs] == [True, False, False]


def test_an_environment_without_lexport_is_enough(mar: Path, tmp_path: Path) -> None:
    python = only(tmp_path / "environment", ["numpy", "onnxruntime", "regex", "mmh3"])
    written = write_exit(mar, "folder", Folder(), tmp_path / "out", python=python)
    assert written.proofs[0].proven


def test_where_its_package_is_missing_it_is_written_and_said_to_be_unproven(mar: Path, tmp_path: Path) -> None:
    python = only(tmp_path / "environment", ["numpy"])
    written = write_exit(mar, "folder", Folder(), tmp_path / "out", python=python)
    assert not written.proven
    assert all(word in written.proofs[0].why for word in ("onnxruntime", str(python), "--python", "pip install"))


def test_an_exit_that_answers_otherwise_is_not_written(mar: Path, tmp_path: Path) -> None:
    # The scores of another class, by the very program.
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "sys.path.insert(0, str(Path(__file__).parent))\n"
        "from lexport_model import ArchivedModel\n"
        "model = ArchivedModel(Path(__file__).resolve().parent / 'model')\n"
        "for number, text in enumerate(sys.argv[1:], 1):\n"
        "    data = {'name': 'text', 'shape': [1], 'datatype': 'BYTES', 'data': [text]}\n"
        "    print('text', number, sep='\\t')\n"
        "    for one in model.infer({'inputs': [data]})['outputs']:\n"
        "        shown = one['data'][::-1] if one['name'] == 'scores' else one['data']\n"
        "        print(one['name'], *shown, sep='\\t')\n"
    )
    with refused(RefusedError, "LX-EXPORT-107", "odd", mar, "python predict.py: golden"):
        write_exit(mar, "odd", Changed(program), tmp_path / "out", python=PYTHON)
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_fails_is_shown_with_its_last_words(mar: Path, tmp_path: Path) -> None:
    with refused(SystemProblem, "LX-EXPORT-102", "python predict.py", "3", "no luck"):
        write_exit(mar, "odd", Changed("import sys; print('no luck'); sys.exit(3)"), tmp_path / "out", python=PYTHON)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(mar: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with refused(InputError, "LX-EXPORT-116", tmp_path / "out"):
        write_exit(mar, "folder", Folder(), tmp_path / "out", python=PYTHON)
    assert list((tmp_path / "out").iterdir()) == []


class TestTrust:
    """The rules of `serve`: whose archive, and whose code."""

    def test_an_unsigned_archive_is_refused_where_keys_are_trusted(self, mar: Path, tmp_path: Path) -> None:
        with refused(RefusedError, "LX-TRUST-010", mar, "somebody"):
            write_exit(
                mar, "folder", Folder(), tmp_path / "out", python=PYTHON, trusted=[PublicKey(bytes(32), "somebody")]
            )
        assert list(tmp_path.iterdir()) == []

    def test_a_strangers_archive_is_refused(self, mar: Path, tmp_path: Path) -> None:
        members = {name: content for name, content in members_of(mar).items() if name in _STRANGERS}
        stranger = write_members(tmp_path / "stranger.mar", members)
        with refused(RefusedError, "LX-ARCHIVE-036", stranger):
            write_exit(stranger, "folder", Folder(), tmp_path / "out", python=PYTHON, trust_code=True)

    def test_other_code_leaves_only_where_the_user_insists(self, mar: Path, tmp_path: Path) -> None:
        worker = members_of(mar)["lexport_handlers/worker.py"] + b"# another line\n"
        other_code = repacked(mar, {"lexport_handlers/worker.py": worker}, tmp_path / "other.mar")
        with refused(RefusedError, "LX-TRUST-001", other_code, "lexport_handlers/worker.py"):
            write_exit(other_code, "folder", Folder(), tmp_path / "out", python=PYTHON)
        written = write_exit(other_code, "folder", Folder(), tmp_path / "out", python=PYTHON, trust_code=True)
        assert written.proven
