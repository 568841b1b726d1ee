"""spaCy's textcat over a bag of n-grams comes in with spaCy's tokens and scores; kept/ has folders of spaCy 3.8."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmh3
import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexport.api.functions import import_model
from lexport.api.run import Run
from lexport.client.answers import MultiLabelPrediction, Prediction
from lexport.errors import InputError
from lexport.export.imports.importing import import_run
from lexport.export.imports.kind import Imported, ImportOptions
from lexport.export.imports.kinds import kind_of
from lexport.export.imports.spacy.answering import Answering
from lexport.export.imports.spacy.folder import _table, read_textcat
from lexport.export.imports.spacy.msgpack import read_msgpack
from lexport.export.textgraph.attach import reason_against
from lexport.handlers.text.offsets import find_tokens
from lexport.handlers.text.spacy import Spacy
from lexport.models.predict import text_outputs

from ....refusals import refused

KEPT = Path(__file__).parent / "kept"
ANSWERS = json.loads((KEPT / "answers.json").read_text(encoding="utf-8"))
NAMES = ["reviews", "topics"]


def read(name: str) -> Imported:
    found = kind_of(KEPT / name).read(KEPT / name, ImportOptions())
    found.model.eval()
    return found


def asked(name: str, folder: Path) -> str:
    file = folder / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": one["text"]}) + "\n" for one in ANSWERS[name]), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("name", NAMES)
def test_texts_have_the_tokens_and_scores_that_spacy_gave_them(name: str) -> None:
    found, texts = read(name), [one["text"] for one in ANSWERS[name]]
    assert [found.encoder.tokens(text)[0] for text in texts] == [one["tokens"] for one in ANSWERS[name]]
    scores = [[one["scores"][label] for label in found.labels] for one in ANSWERS[name]]
    assert np.allclose(text_outputs(found.model, found.encoder, texts), scores, atol=1e-6)
    assert found.before is not None
    assert np.allclose(found.before(texts), scores, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_answers_as_the_pipeline_and_says_what_it_was(name: str, tmp_path: Path) -> None:
    made = import_model(KEPT / name, texts=asked(name, tmp_path), out=tmp_path / "run")
    assert isinstance(made, Run)
    first = ANSWERS[name][0]
    [answer] = made.predict([first["text"]])
    if name == "reviews":
        assert isinstance(answer, Prediction)
        assert answer.label == max(first["scores"], key=first["scores"].get)
    else:
        assert isinstance(answer, MultiLabelPrediction)
        assert {one.label for one in answer.labels} == {
            label for label, score in first["scores"].items() if score >= 0.5
        }
    found = made.info.imported
    assert (found["architecture"], found["ngrams"]) == ("spacy.TextCatBOW.v3", 2 if name == "reviews" else 1)
    assert found["proof"]["proven"]
    assert found["proof"]["same"] == found["proof"]["texts"] > 90


@pytest.mark.long
def test_a_pipeline_becomes_an_archive_at_once(tmp_path: Path) -> None:
    out = tmp_path / "reviews-1.0.mar"
    import_model(KEPT / "reviews", texts=asked("reviews", tmp_path), out=out, variant="onnx-fp32")
    assert out.is_file()


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from("aAb1 .,'()-/:@\n\té映 U.S.don't:-)"), max_size=40) | st.text(max_size=30))
def test_both_readings_of_spacys_rules_agree_and_their_offsets_lie_in_the_text(text: str) -> None:
    found = _READ
    tokens, cut = found.encoder.tokens(text)
    assert not cut
    assert found.before is not None
    assert np.allclose(text_outputs(found.model, found.encoder, [text]), found.before([text]), atol=1e-5)
    for one in find_tokens(found.encoder.spec, text):
        assert text[one.start : one.end] == one.token
    assert "".join(tokens).replace(" ", "") == text.replace(" ", "")


_READ = read("reviews")


def test_a_long_run_of_characters_is_one_token_and_texts_are_cut() -> None:
    assert _READ.encoder.tokens("a" + "." * 3000) == (["a" + "." * 3000], False)
    tokens, cut = _READ.encoder.tokens("good film " * 5000)
    assert (len(tokens), cut) == (4096, True)


def test_there_is_no_variant_that_takes_texts() -> None:
    assert "spaCy" in (reason_against(_READ.encoder.spec) or "")


@pytest.mark.parametrize("lowercase", [False, True])
def test_symbols_have_their_numbers_as_keys_and_other_words_their_hash(lowercase: bool) -> None:
    # The numbers are those of spacy.symbols, the hash that of spaCy's StringStore.
    keys = Spacy(lowercase=lowercase).token_keys(["DATE", "good"]).tolist()
    assert keys == [391 if not lowercase else keys[0], 5711639017775284443]
    assert (keys[0] == 391) != lowercase


def test_rows_of_the_first_version_share_numbers() -> None:
    weights = np.arange(12, dtype=np.float32)
    assert _table(weights, 4, 3, overlapping=True).tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]
    assert _table(weights, 4, 3, overlapping=False).tolist() == [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]]


def test_an_n_gram_has_the_rows_of_two_hashes() -> None:
    spec = _READ.encoder.spec
    keys = Spacy().token_keys(["good", "film"])
    rows = [2 + mmh3.hash(key.tobytes(), seed, signed=False) % spec.buckets for key in keys for seed in (0, 1)]
    ids = _READ.encoder.assemble(_READ.encoder.look_up(["good film", "good"])).tolist()
    assert ids[0][:4] == rows
    assert ids[1] == [*rows[:2], 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "architecture"), [("cnn", "spacy.TextCatCNN.v2"), ("ensemble", "spacy.TextCatEnsemble.v2")]
)
def test_a_textcat_that_reads_words_in_their_context_is_refused(name: str, architecture: str, tmp_path: Path) -> None:
    with refused(InputError, "LX-IMPORT-380", name, architecture, "TextCatBOW.v3", "--teacher"):
        import_run(KEPT / name, tmp_path / "run", asked("topics", tmp_path))


def test_scores_that_are_no_probabilities_are_refused() -> None:
    with refused(InputError, "LX-IMPORT-386", "textcat", "no_output_layer"):
        read("raw")


def changed(folder: Path, change: Callable[[str], str]) -> Path:
    """The kept pipeline of reviews with another configuration."""
    copy = folder / "own"
    shutil.copytree(KEPT / "reviews", copy)
    config = copy / "config.cfg"
    config.write_text(change(config.read_text(encoding="utf-8")), encoding="utf-8")
    return copy


@pytest.mark.parametrize(
    ("old", "new", "code", "told"),
    [
        pytest.param("spacy.Tokenizer.v1", "spacy.ja.JapaneseTokenizer", "LX-IMPORT-383", "Japanese", id="tokenizer"),
        pytest.param(
            '["textcat", "sentencizer"]', '["sentencizer"]', "LX-IMPORT-384", "sentencizer, 0", id="without a textcat"
        ),
        pytest.param(
            'factory = "sentencizer"', 'factory = "merge_entities"', "LX-IMPORT-385", "merge_entities", id="merging"
        ),
        pytest.param("spacy.TextCatBOW.v3", "own.Bag.v1", "LX-IMPORT-380", "own.Bag.v1", id="own architecture"),
        pytest.param("[nlp]", "[nlp]\n[nlp]", "LX-IMPORT-382", "config.cfg", id="damaged"),
    ],
)
def test_what_a_run_cannot_have_is_named(old: str, new: str, code: str, told: str, tmp_path: Path) -> None:
    path = changed(tmp_path, lambda text: text.replace(old, new))
    with refused(InputError, code, "own", told):
        kind_of(path).read(path, ImportOptions())


def test_a_pipeline_of_a_transformer_is_refused_by_its_architecture(tmp_path: Path) -> None:
    def transformed(text: str) -> str:
        beside = '[components.transformer]\nfactory = "transformer"\n\n[components.transformer.model]\n'
        beside += '@architectures = "spacy-transformers.TransformerModel.v3"\nname = "roberta-base"\n\n'
        text = text.replace('"textcat", "sentencizer"', '"transformer", "textcat"')
        return beside + text.replace("spacy.TextCatBOW.v3", "spacy.TextCatReduce.v1")

    path = changed(tmp_path, transformed)
    with refused(InputError, "LX-IMPORT-380", "own", "spacy.TextCatReduce.v1"):
        kind_of(path).read(path, ImportOptions())


@pytest.mark.parametrize("file", ["tokenizer", "textcat/model", "textcat/cfg"])
def test_a_file_that_is_missing_or_damaged_is_refused(file: str, tmp_path: Path) -> None:
    path = changed(tmp_path, lambda text: text)
    content = (path / file).read_bytes()
    for spoiled in (b"", content[:-9], b"\xc1", content + b"\x00"):
        (path / file).write_bytes(spoiled)
        with refused(InputError, "LX-IMPORT-381", "own"):
            read_textcat(path)
    (path / file).unlink()
    with refused(InputError, "LX-IMPORT-381", "own"):
        read_textcat(path)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        pytest.param({"prefix_search": "("}, "regular expression", id="no expression"),
        pytest.param({"exceptions": {"a" * 2000: [{65: "a" * 2000}]}}, "2,000", id="a long exception"),
    ],
)
def test_rules_that_cannot_be_followed_are_refused(values: dict[str, Any], told: str, tmp_path: Path) -> None:
    path = changed(tmp_path, lambda text: text)
    rules = read_msgpack((path / "tokenizer").read_bytes())
    (path / "tokenizer").write_bytes(msgpack.packb(rules | values))
    with refused(InputError, "LX-IMPORT-381", told):
        read_textcat(path)


def test_a_threshold_beyond_all_numbers_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda text: text)
    file = path / "textcat" / "cfg"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"threshold": 10**400}))
    with refused(InputError, "LX-IMPORT-381", "own"):
        read_textcat(path)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_other_bytes_are_a_textcat_or_are_refused(data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = changed(tmp_path_factory.mktemp("spoiled"), lambda text: text)
    file = path / data.draw(st.sampled_from(["tokenizer", "textcat/model"]))
    content = bytearray(file.read_bytes())
    for _ in range(3):
        content[data.draw(st.integers(0, min(len(content), 3000) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    try:
        found = read_textcat(path)
    except InputError:
        return
    assert Answering(found)(["good film"]).shape == (1, len(found.labels))
