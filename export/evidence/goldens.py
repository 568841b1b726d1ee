"""Choosing the golden requests of a run and writing down both models' answers to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...data.load import Columns, Dataset, label_sets, load
from ...evaluation.tasks import Outputs
from ...handlers.model.predictor import Predictor, labels_above
from ...models.predict import image_outputs, text_outputs
from ...models.run import Run, require_known

LEAST = 16
# Of a model with more labels than this leaves room for, the first labels are covered: every worker answers them all.
MOST = 64
_IMAGES = 8
_RANDOM_TEXTS = 256
# Latin, Han, Greek with a capital sigma, Turkish dotted I, a combining accent, emoji joined by U+200D.
_NON_ASCII = "Très bien, 很好! ΟΔΥΣΣΕΥΣ İyi cafe\u0301 👩\u200d👧 \u00a0"
_UNKNOWN = "qxzvkj wqpfzx 12345678901234567890"


@dataclass(frozen=True)
class GoldenRequest:
    """A golden request: a text, with its language where the model has several, or an image."""

    text: str = ""
    lang: str | None = None
    image: tuple[float, ...] | None = None


def choose_goldens(run: Run, validation: Dataset) -> list[GoldenRequest]:
    """At least 16 requests: empty, all unknown, non-ASCII, the longest, and real ones covering every label.

    The real ones come from the validation texts, in their order, so that the test texts stay unpublished; a label
    gets the texts that carry it and, where the model ever answers it, one it answers. A model of several languages
    is asked the made-up texts in each; a joint model is shown images too.
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
    """At least 16 requests that hold no text of the data: the made-up ones, and words of the vocabulary at random.

    Of the random ones those are taken that the model answers with each label, as far as any does, and one that is too
    long. A model without a vocabulary is given made-up words. Images are random numbers between those of the data's.
    """
    languages: Sequence[str | None] = run.encoder.languages or [None]
    chosen = [GoldenRequest(text, lang) for lang in languages for text in ("", _UNKNOWN, _NON_ASCII)]
    random_texts = [salad for lang in languages for salad in _random_texts(run, lang)]
    chosen.append(
        GoldenRequest(" ".join([random_texts[-1].text] * run.encoder.spec.max_tokens), random_texts[-1].lang)
    )
    if run.labels:
        spoken = [one.lang for one in random_texts if one.lang is not None] or None
        scores = text_outputs(run.model, run.encoder, [one.text for one in random_texts], spoken)
        chosen += [random_texts[row] for row in scores.argmax(axis=0).tolist()[: MOST - len(chosen)]]
    chosen += random_texts[: max(0, LEAST - len(dict.fromkeys(chosen)))]
    if validation.images is not None:
        images = validation.images
        drawn = np.random.default_rng(0).uniform(images.min(), images.max(), (_IMAGES, images.shape[1]))
        chosen += [GoldenRequest(image=tuple(image)) for image in drawn.astype(np.float32).tolist()]
    return list(dict.fromkeys(chosen))


def _random_texts(run: Run, lang: str | None) -> list[GoldenRequest]:
    """Random words after one another, 1 to 12 of them, always the same."""
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
    """A user's own requests: a data file with the column `text`, and `lang` where the model has languages.

    Raises InputError for a file that cannot be read, and for languages that the model does not know.
    """
    columns = Columns(label=None, language="lang" if run.encoder.languages else None)
    found = load(str(file), columns)
    require_known(run, found)
    languages: Sequence[str | None] = found.languages or [None] * len(found)
    return [GoldenRequest(text, lang) for text, lang in zip(found.texts, languages, strict=True)]


def _covering(run: Run, validation: Dataset, real: Sequence[GoldenRequest], taken: int) -> list[GoldenRequest]:
    """Texts for every label: one the model answers it, and those that carry it."""
    scores = text_outputs(run.model, run.encoder, validation.texts, validation.languages)
    if run.recipe.task == "multilabel":
        own, answered = label_sets(validation.labels), [_named(run, row) for row in scores]
    else:
        own = [(label,) for label in validation.labels]
        answered = [(run.labels[top],) for top in scores.argmax(axis=1)]
    each = max(-(-(LEAST - taken) // len(run.labels)), 1)
    chosen: list[GoldenRequest] = []
    for label in run.labels[: MOST - taken]:
        answers = [one for one, labels in zip(real, answered, strict=True) if label in labels]
        carrying = [one for one, labels in zip(real, own, strict=True) if label in labels]
        chosen += (answers[:1] + carrying)[:each]
    return chosen


def _named(run: Run, row: Outputs) -> tuple[str, ...]:
    return tuple(label for label, score in zip(run.labels, row.tolist(), strict=True) if score >= run.threshold)


def golden_lines(run: Run, predictor: Predictor, asked: Sequence[GoldenRequest]) -> bytes:
    """`golden.jsonl`: each request with the trained model's answer and this variant's own, UTF-8."""
    lines = []
    for one in asked:
        if one.image is not None:
            image = np.array([one.image], np.float32)
            trained: dict[str, Any] = {"vector": image_outputs(run.model, image)[0].tolist()}
            line = {"image": list(one.image), "trained": trained, "variant": predictor.predict_images(image)[0]}
        else:
            languages = None if one.lang is None else [one.lang]
            trained = _answer(run, text_outputs(run.model, run.encoder, [one.text], languages)[0])
            said = {"text": one.text} if one.lang is None else {"text": one.text, "lang": one.lang}
            line = {**said, "trained": trained, "variant": predictor.predict([one.text], languages)[0]}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    return "".join(lines).encode()


def _answer(run: Run, row: Outputs) -> dict[str, Any]:
    if run.recipe.task in ("vector", "joint"):
        return {"vector": row.tolist()}
    scores = dict(zip(run.labels, row.tolist(), strict=True))
    if run.recipe.task == "multilabel":
        return {"labels": labels_above(run.threshold, scores), "scores": scores}
    return {"label": run.labels[int(row.argmax())], "scores": scores}
