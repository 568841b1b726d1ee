"""An archive of every released schema still verifies, runs and serves; one of a newer schema is refused."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from lexport.client.once import predict
from lexport.errors import InputError
from lexport.export.archive.diff import compare
from lexport.export.archive.format.reader import EVIDENCE, SCHEMAS, extracted, read_json
from lexport.export.archive.inprocess import Context, load_archive
from lexport.export.archive.inspect import inspect
from lexport.export.archive.trust.code import EARLIER, accept, code_digest, kit_code, packed_code
from lexport.export.archive.trust.rule import Trust
from lexport.export.archive.verify import verify
from lexport.export.evidence.evidence import Evidence
from lexport.export.targets import open_target
from lexport.handlers.model.digests import DIGESTS
from lexport.handlers.model.predictor import ModelFile
from lexport.handlers.text.spec import TextSpec
from lexport.handlers.worker import Worker
from lexport.serving import serve, stop

from ....refusals import refused

KEPT = sorted(Path(__file__).parent.glob("*.mar"))
NEWEST = Path(__file__).with_name(f"schema-{Evidence.schema}.mar")
LABELS = {"goal by the team": "sport", "butter in the pan": "kitchen", "rain and storm": "weather"}


def test_the_reader_knows_the_schemas_that_are_written() -> None:
    assert {EVIDENCE: Evidence.schema, "model.json": ModelFile.schema, "text.json": TextSpec.schema} == SCHEMAS


def test_there_is_one_of_every_schema() -> None:
    assert [path.name for path in KEPT] == [f"schema-{number}.mar" for number in range(1, Evidence.schema + 1)]


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
class TestKept:
    def test_it_verifies_and_shows_its_evidence(self, kept: Path) -> None:
        assert f"schema-{read_json(kept, 'MAR-INF/EVIDENCE.json')['schema']}" == kept.stem
        assert (verify(kept).name, verify(kept).variant) == ("kept", "onnx-int8")
        assert inspect(kept).goldens >= 16

    def test_it_answers_in_this_process(self, kept: Path) -> None:
        with load_archive(kept) as loaded:
            assert [answer["label"] for answer in loaded.predict(list(LABELS))] == list(LABELS.values())
        assert compare(kept, NEWEST).flips == []

    @pytest.mark.long
    def test_torchserve_serves_it(self, kept: Path, tmp_path: Path) -> None:
        with load_archive(kept) as loaded:
            expected = loaded.predict(list(LABELS))
        serve([kept], workers="cpu:1", state_dir=tmp_path / "state", port=0)
        try:
            assert predict("kept", list(LABELS), state_dir=tmp_path / "state") == expected
        finally:
            stop(tmp_path / "state")


def newer(member: str, folder: Path) -> Path:
    """The newest kept archive with a member of the next schema, its digests made right again."""
    with zipfile.ZipFile(NEWEST) as source:
        members = {name: source.read(name) for name in source.namelist()}
    value = json.loads(members[member])
    members[member] = json.dumps(value | {"schema": value["schema"] + 1}).encode()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in members.items() if name != DIGESTS}
    members[DIGESTS] = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()
    with zipfile.ZipFile(folder / "newer.mar", "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    return folder / "newer.mar"


@pytest.mark.parametrize("member", ["MAR-INF/EVIDENCE.json", "model.json", "text.json"])
def test_a_newer_schema_is_refused_with_what_to_do(member: str, tmp_path: Path) -> None:
    mar, known = newer(member, tmp_path), SCHEMAS[member]
    error = ("LX-ARCHIVE-076", member, str(known + 1), str(known))
    with refused(InputError, *error):
        verify(mar)
    with refused(InputError, *error):
        inspect(mar)
    with refused(InputError, *error):
        compare(NEWEST, mar)
    with refused(InputError, *error), load_archive(mar):
        pass
    with refused(InputError, *error), open_target(mar, None):
        pass


@pytest.mark.parametrize("member", ["model.json", "text.json"])
def test_a_worker_refuses_what_is_newer_than_its_own_handler(member: str, tmp_path: Path) -> None:
    """Its handler lies beside it and knows its schema; another one was put there."""
    with (
        extracted(newer(member, tmp_path)) as folder,
        pytest.raises(ValueError, match=f"{member} has schema 2, this version reads schema 1; update lexport"),
    ):
        Worker(Context(folder))


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
def test_its_code_is_known_to_be_lexports(kept: Path) -> None:
    """As an earlier one's, where handlers/ has changed since: that may not lock a release's archives out."""
    earlier = EARLIER[code_digest(packed_code(kept))]
    own = packed_code(kept) == kit_code()
    assert accept(kept, Trust()) == ("this lexport's own code" if own else f"the code of {earlier}")
