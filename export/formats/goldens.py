"""Choose the golden requests of a run, and write the answers of both models down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...data.load import Columns, Dataset, load
from ...evaluation.tasks import task_of_run
from ...handlers.model.predictor import Predictor
from ...models.predict import text_outputs
from ...models.run import Run, require_known

LEAST = 16
# With more labels than this only the first ones are covered: every worker answers all goldens when it starts.
MOST = 64
_IMAGES = 8
_RANDOM_TEXTS = 256
# Latin, Han, Greek with a capital sigma, Turkish dotted I, a combining accent, emoji joined by U+200D.
_NON_ASCII = "Très bien, 很好! ΟΔΥΣΣΕΥΣ İyi cafe\u0301 👩\u200d👧 \u00a0"
_UNKNOWN = "qxzvkj wqpfzx 12345678901234567890"


@dataclass(frozen=True)
class GoldenRequest:
    """A golden request: a text, with its language if the model has several, or an image."""

    text: str = ""
    lang: str | None = None
    image: tuple[float, ...] | None = None


def choose_goldens(run: Run, validation: Dataset) -> list[GoldenRequest]:
    """Return at least 16 requests: empty, all unknown, non-ASCII, the longest, and real texts for every label.

    The real texts come from the validation texts, in their order, so that the test texts stay unpublished. Each label
    gets texts that have it and, if the model ever predicts it, one with that prediction. A model of several languages
    gets the synthetic texts in each language; a joint model gets images too.
    """
    languages: Sequence[str | None] = validation.languages or [None] * len(validation)
    real = [GoldenRequest(text, lang) for text, lang in zip(validation.texts, languages, strict=True)]
    chosen = [GoldenRequest(text, lang) for lang in dict.fromkeys(languages) for text in ("", _UNKNOWN, _NON_ASCII)]
    chosen.append(max(real, key=lambda one: len(one.text)))
    if run.labels:
        chosen += _covering(run, validation, real, len(chosen))
    for one in real:
        if len(dict.fromkeys(chosen)) >= LEAST:
            break
        chosen.append(one)
    if validation.images is not None:
        chosen += [GoldenRequest(image=tuple(image.tolist())) for image in validation.images[:_IMAGES]]
    return list(dict.fromkeys(chosen))


def synthetic_goldens(run: Run, validation: Dataset) -> list[GoldenRequest]:
    """Return at least 16 requests without any text of the data: fixed texts, and random words of the vocabulary.

    For each label one random text is chosen that scores highest for it, and one text is longer than the limit. A
    model without a vocabulary gets random letters. Images are random numbers within the range of the data.
    """
    languages: Sequence[str | None] = run.encoder.languages or [None]
    chosen = [GoldenRequest(text, lang) for lang in languages for text in ("", _UNKNOWN, _NON_ASCII)]
    random_texts = [text for lang in languages for text in _random_texts(run, lang)]
    chosen.append(
        GoldenRequest(" ".join([random_texts[-1].text] * run.encoder.spec.max_tokens), random_texts[-1].lang)
    )
    if run.labels:
        languages_of_texts = [one.lang for one in random_texts if one.lang is not None] or None
        scores = text_outputs(run.model, run.encoder, [one.text for one in random_texts], languages_of_texts)
        chosen += [random_texts[row] for row in scores.argmax(axis=0).tolist()[: MOST - len(chosen)]]
    chosen += random_texts[: max(0, LEAST - len(dict.fromkeys(chosen)))]
    if validation.images is not None:
        images = validation.images
        drawn = np.random.default_rng(0).uniform(images.min(), images.max(), (_IMAGES, images.shape[1]))
        chosen += [GoldenRequest(image=tuple(image)) for image in drawn.astype(np.float32).tolist()]
    return list(dict.fromkeys(chosen))


def _random_texts(run: Run, lang: str | None) -> list[GoldenRequest]:
    """Return texts of 1 to 12 random words; always the same ones."""
    generator = np.random.default_rng(0)
    words = run.encoder.vocabulary
    if lang is not None:
        rows = run.encoder.spec.languages
        first = sum(count - 1 for name, count in rows.items() if list(rows).index(name) < list(rows).index(lang))
        words = words[first : first + rows[lang] - 1]
    if not words:
        letters = run.encoder.characters or list("abcdefghijklmnopqrstuvwxyz")
        words = ["".join(generator.choice(letters, generator.integers(3, 9))) for _ in range(_RANDOM_TEXTS)]
    return [
        GoldenRequest(" ".join(generator.choice(words, generator.integers(1, 13))), lang)
        for _ in range(_RANDOM_TEXTS)
    ]


def read_golden_requests(run: Run, file: Path) -> list[GoldenRequest]:
    """Read the user's own requests: a data file with the column `text`, and `lang` if the model has languages.

    Raises InputError for a file that cannot be read, and for languages that the model does not know.
    """
    columns = Columns(label=None, language="lang" if run.encoder.languages else None)
    found = load(str(file), columns)
    require_known(run, found)
    languages: Sequence[str | None] = found.languages or [None] * len(found)
    return [GoldenRequest(text, lang) for text, lang in zip(found.texts, languages, strict=True)]


def _covering(run: Run, validation: Dataset, real: Sequence[GoldenRequest], taken: int) -> list[GoldenRequest]:
    """Return texts for every label: one with that prediction, and those that have the label."""
    scores = text_outputs(run.model, run.encoder, validation.texts, validation.languages)
    task = task_of_run(run)
    own, predicted = task.label_sets(validation), task.predictions(scores)
    each = max(-(-(LEAST - taken) // len(run.labels)), 1)
    chosen: list[GoldenRequest] = []
    for label in run.labels[: MOST - taken]:
        answers = [one for one, labels in zip(real, predicted, strict=True) if label in labels]
        carrying = [one for one, labels in zip(real, own, strict=True) if label in labels]
        chosen += (answers[:1] + carrying)[:each]
    return chosen


def answers(predictor: Predictor, requests: Sequence[GoldenRequest]) -> list[dict[str, Any]]:
    """Return the answer to each request, asked alone."""
    found = []
    for one in requests:
        if one.image is not None:
            found += predictor.predict_images(np.array([one.image], np.float32))
        else:
            found += predictor.predict([one.text], None if one.lang is None else [one.lang])
    return found


def golden_lines(
    requests: Sequence[GoldenRequest], trained: Sequence[dict[str, Any]], variant: Sequence[dict[str, Any]]
) -> bytes:
    """Return `golden.jsonl`: each request with the answers of the trained model and of the variant, UTF-8."""
    lines = []
    for one, *both in zip(requests, trained, variant, strict=True):
        fields: dict[str, Any] = {"text": one.text} if one.image is None else {"image": list(one.image)}
        if one.lang is not None:
            fields["lang"] = one.lang
        line = fields | dict(zip(("trained", "variant"), both, strict=True))
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    return "".join(lines).encode()
