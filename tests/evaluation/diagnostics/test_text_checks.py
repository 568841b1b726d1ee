"""Checks of texts against a model: each finds what was put there, and nothing in ordinary texts."""

from __future__ import annotations

import numpy as np
import pytest

from lexport.data.dataset import Dataset, dataset_of
from lexport.errors import InputError, RefusedError
from lexport.evaluation.diagnostics.findings import (
    CHECKS,
    FINE,
    NOTE,
    SERIOUS,
    SKIPPED,
    WARNING,
    Diagnosis,
    Finding,
    check_names,
    check_severity,
    worst_first,
)
from lexport.evaluation.diagnostics.text_checks import (
    check_drift,
    check_leakage,
    check_training,
    check_unknown,
    check_vocabulary,
)
from lexport.evaluation.drift import Texts
from lexport.handlers.model.distributions import CONFIDENCES, LENGTHS
from lexport.handlers.text.encoder import TextEncoder, TextSpec
from lexport.handlers.text.spec import Layout

from ...refusals import refused

WORDS = "a gripping story of two brothers who cross the frozen sea alone".split()


def encoder(words: list[str] = WORDS, **options: object) -> TextEncoder:
    return TextEncoder(TextSpec(words=2 + len(words), **options), words)  # type: ignore[arg-type]


def data(*texts: str, languages: list[str] | None = None) -> Dataset:
    return dataset_of(list(texts), [""] * len(texts), "texts", languages=languages)


@pytest.mark.parametrize(
    ("texts", "severity", "share"),
    [
        (["a gripping story"] * 3, FINE, 0.0),
        (["a gripping story of two brothers who zzz"], NOTE, 0.125),
        (["a gripping story zzz zzz"], WARNING, 0.4),
        (["a zzz zzz qqq"], SERIOUS, 0.75),
    ],
)
def test_unknown_words_are_counted_and_judged_by_their_share(texts: list[str], severity: str, share: float) -> None:
    finding, words = check_unknown(encoder(), data(*texts), 0.08, "lexport expand RUN")
    assert finding.severity == severity
    assert finding.figures["share"] == pytest.approx(share)
    assert words == {0.0: [], 0.125: [("zzz", 1)], 0.4: [("zzz", 2)], 0.75: [("zzz", 2), ("qqq", 1)]}[share]
    assert finding.fix == ("lexport expand RUN" if severity in (WARNING, SERIOUS) else "")


def test_as_many_unknown_words_as_in_validation_are_usual() -> None:
    assert check_unknown(encoder(), data("a gripping story zzz"), 0.25, "")[0].severity == NOTE


def test_hashed_words_are_never_unknown() -> None:
    hashed = TextEncoder(TextSpec(words=2, inputs=Layout.HASHES), [])
    finding, words = check_unknown(hashed, data("zzz qqq"), 0.0, "")
    assert (finding.severity, words) == (FINE, [])


def test_characters_are_counted_where_the_model_reads_them() -> None:
    spec = TextSpec(words=2, inputs=Layout.CHARACTERS, word_length=8, characters=5)
    finding, words = check_unknown(TextEncoder(spec, [], list("abc")), data("abc xbc xax"), 0.0, "expand")
    assert words == [("x", 3)]
    assert finding.figures["tokens"] == 9
    assert finding.fix != "expand"


def test_a_word_is_unknown_in_the_language_that_lacks_it() -> None:
    spec = TextSpec(words=5, inputs=Layout.LANGUAGES, languages={"en": 2, "fr": 2})
    both = TextEncoder(spec, ["sea", "mer"])
    _, words = check_unknown(both, data("sea mer", "mer mer", languages=["en", "fr"]), 0.0, "")
    assert words == [("mer", 1)]


def test_a_vocabulary_with_few_tokens_a_word_is_too_large() -> None:
    words = [f"w{number}" for number in range(100)]
    own = encoder(words)
    assert check_vocabulary(own, 2_000, None).severity == FINE
    finding = check_vocabulary(own, 300, np.array([1] * 60 + [6] * 40))
    assert finding.severity == WARNING
    assert finding.figures["tokens_a_word"] == 3.0
    assert finding.figures["seen_once"] == 0.6
    assert "--min-count 2" in finding.fix
    assert check_vocabulary(TextEncoder(TextSpec(words=2, inputs=Layout.HASHES), []), 3, None).severity == FINE


def test_texts_in_two_parts_are_found_the_same_and_the_nearly_same() -> None:
    text = " ".join(WORDS)
    near = text.replace("frozen", "stormy")
    parts = {
        "train": data(text, "so good", *(f"other text number {number} of many" for number in range(30))),
        "validation": data(text.upper(), "something else"),
        "test": data(near, *(f"held out {number}" for number in range(37))),
    }
    finding, shared = check_leakage(encoder(), parts)
    assert finding.figures == {"same": 1, "near": 1, "held_out": 40}
    assert finding.severity == SERIOUS  # 2 of 40
    assert [(one.part, one.other_part, one.likeness) for one in shared] == [
        ("validation", "train", 1.0),
        ("test", "train", pytest.approx(11 / 13)),
    ]
    assert "--leave-out shared" in finding.fix


def test_parts_without_shared_texts_are_in_order() -> None:
    finding, shared = check_leakage(encoder(), {"train": data("one text here"), "test": data("quite another one")})
    assert (finding.severity, shared) == (FINE, [])


def texts(unknown: int = 5, length: int = 4, labels: dict[str, int] | None = None, count: int = 400) -> Texts:
    lengths = [0] * (len(LENGTHS) + 1)
    lengths[length] = count
    confidence = [0] * (len(CONFIDENCES) + 1)
    confidence[8] = count
    sums = {"texts": count, "tokens": 10 * count, "unknown_tokens": unknown * count // 10}
    return Texts(sums, lengths, confidence, labels or {"good": count // 2, "bad": count // 2})


def test_texts_like_those_of_the_training_have_not_drifted() -> None:
    [finding] = check_drift(texts(), texts(), "these", "those")
    assert finding.severity == FINE


@pytest.mark.parametrize(
    ("now", "what"),
    [
        (texts(unknown=50), "unknown words"),
        (texts(length=8), "lengths"),
        (texts(labels={"good": 396, "bad": 4}), "predicted labels"),
    ],
)
def test_what_has_moved_is_named(now: Texts, what: str) -> None:
    [finding] = check_drift(texts(), now, "these", "those")
    assert finding.severity == WARNING
    assert what in finding.found
    assert "drift.md" in finding.fix


def test_few_texts_are_not_compared() -> None:
    [finding] = check_drift(texts(), texts(count=40), "these", "those")
    assert finding.severity == SKIPPED
    assert "40" in finding.found


def test_warnings_of_the_training_are_told_but_for_those_that_other_checks_find() -> None:
    details = {"texts": 3_773, "share": 0.91, "largest": "negative"}
    warnings = [
        {"code": "LX-WARN-003", "message": "x", "details": details, "options": ["--set head.class_weights=balanced"]},
        {"code": "LX-WARN-005", "message": "x", "details": {}, "options": []},
    ]
    [finding] = check_training(warnings, {"leakage"})
    assert finding.severity == WARNING
    assert "labels are unbalanced (LX-WARN-003): texts 3,773, share 0.91, largest negative" in finding.found
    assert "--set head.class_weights=balanced" in finding.fix
    _, leaked = check_training(warnings, {"labels"})
    assert "(LX-WARN-005)" in leaked.found
    [none] = check_training([], ())
    assert none.severity == FINE


def diagnosis(*severities: str) -> Diagnosis:
    return Diagnosis("runs/a", "data", 3, worst_first([Finding("norms", one, "found") for one in severities]))


def test_the_worst_findings_come_first() -> None:
    found = diagnosis(FINE, NOTE, SERIOUS, SKIPPED, WARNING)
    assert [one.severity for one in found.findings] == [SERIOUS, WARNING, NOTE, FINE, SKIPPED]
    assert found.counts() == dict.fromkeys((SERIOUS, WARNING, NOTE, FINE, SKIPPED), 1)


def test_findings_of_a_severity_or_worse_are_refused() -> None:
    diagnosis(FINE, SKIPPED).require(NOTE)
    diagnosis(WARNING).require(SERIOUS)
    with refused(RefusedError, "LX-EVAL-050", "runs/a", "1", CHECKS["norms"]):
        diagnosis(SERIOUS, NOTE).require(SERIOUS)
    with refused(RefusedError, "LX-EVAL-050", "2", "warning"):
        diagnosis(SERIOUS, WARNING, NOTE).require(WARNING)


def test_words_that_are_no_severity_and_no_check_are_refused() -> None:
    with refused(InputError, "LX-EVAL-051", "ok", "serious, warning, note"):
        check_severity("ok")
    with refused(InputError, "LX-EVAL-052", "spelling", "padding"):
        check_names(["labels", "spelling"])
