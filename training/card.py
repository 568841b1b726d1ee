"""The model card: a description of a run in Markdown, for the run folder and the archive."""

from __future__ import annotations

import re
from typing import Any

from ..evaluation.tasks import METRIC
from ..handlers.text.encoder import TextSpec
from ..messages.escaping import visible
from ..models.recipes import Recipe
from ..models.run import RunInfo

_KINDS = {
    "classify": "A text classifier for {count} labels ({labels})",
    "multilabel": "A text classifier for any number of {count} labels ({labels})",
    "vector": "A model that turns a text into a unit vector",
    "joint": "A model that puts texts and images into one space, as unit vectors",
}


def write_card(
    name: str, info: RunInfo, recipe: Recipe, labels: list[str], metrics: dict[str, Any], spec: TextSpec
) -> str:
    """Return the model card. Names and labels of the data are escaped: they are never read as Markdown or HTML.

    After Mitchell et al., Model Cards for Model Reporting, 2019, arXiv:1810.03993.
    """
    data, training = info.data, info.training
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in data["dropped"].items() if count) or "none"
    kind = _KINDS[recipe.task].format(count=len(labels), labels=", ".join(map(_plain, labels)))
    epochs = (
        f"{training['epochs']} epochs, the best one being {training['best_epoch']}"
        if training["epochs"]
        else "none: the pretrained vectors are unchanged"
    )
    return "\n".join(
        [
            f"# {_plain(name)}",
            "",
            f"{kind}, trained by lexport {info.versions['lexport']} with the recipe {_code(recipe.name)}.",
            "",
            f"- **Data**: {_plain(data['name'])}, {data['train']:,} training texts, {data['validation']:,} "
            f"validation texts, {data['test']:,} test texts; rows dropped: {dropped}. "
            f"SHA-256 of the cleaned rows: {_code(data['digest'])}.",
            f"- **Model**: embedding `{recipe.embedding.NAME}`, encoder `{recipe.encoder.NAME}`, head "
            f"`{recipe.head.NAME}`; {_words(recipe, spec)}, {recipe.embedding.dim} dimensions, "
            f"{info.parameters:,} parameters, seed {info.seed}.",
            f"- **Training**: {epochs}, {training['seconds']:.0f} s.",
            *[f"- **Warning**: {one['message']} ({one['code']})." for one in info.warnings],
            *[f"- **Then**: {_event(event)}" for event in info.history],
            f"- **Limits**: {recipe.text.max_tokens:,} tokens per text; the rest is cut off. "
            f"{_unknown(recipe, data)}",
            "",
            *_results(recipe, metrics["test"]),
            "",
        ]
    )


def _plain(text: str) -> str:
    """Escape a text from outside for a line of Markdown: backslashes before what Markdown or HTML would read."""
    return re.sub(r"[\\`*\[\]<>|~&#!]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", visible(text))


def _code(text: str) -> str:
    """Format a text from outside as code, between backticks."""
    return f"`{visible(text).replace('`', chr(39))}`"


def _event(event: dict[str, Any]) -> str:
    if "expanded" in event:
        grown = event["expanded"]
        return (
            f"{grown['words_added']:,} words added to the run whose weights have the SHA-256 {_code(grown['from'])}."
        )
    return f"trained further, from the run whose weights have the SHA-256 {_code(event['trained_from'])}."


def _words(recipe: Recipe, spec: TextSpec) -> str:
    if recipe.inputs == "characters":
        return f"{spec.characters - 2:,} characters (seen {spec.min_count} times or more)"
    seen = f"(seen {spec.min_count} times or more)"
    grams = f"n-grams of up to {spec.ngrams} words" if spec.ngrams > 1 else ""
    subwords = "n-grams of {} to {} characters".format(*spec.subwords) if spec.subwords else ""
    hashed = " and ".join(part for part in (grams, subwords) if part)
    if recipe.inputs == "hashes":
        return f"every word{f', {hashed}' if hashed else ''} hashed"
    if recipe.inputs == "languages":
        known = ", ".join(f"{rows - 1:,} of {_plain(language)}" for language, rows in spec.languages.items())
        words = f"words by language: {known} {seen}"
    else:
        words = f"{spec.words - 2:,} words {seen}"
    return f"{words}, {spec.buckets:,} buckets for {hashed}" if hashed else words


def _unknown(recipe: Recipe, data: dict[str, Any]) -> str:
    calibration = " The scores are not calibrated." if recipe.task in ("classify", "multilabel") else ""
    if recipe.inputs == "hashes":
        return f"Words that are not in the training texts have untrained vectors.{calibration}"
    what = "Characters" if recipe.inputs == "characters" else "Words"
    unit = "character" if recipe.inputs == "characters" else "word"
    share = f" ({data['unknown_share']:.1%} of the validation texts' tokens)"
    return f"{what} that are not in the training texts are read as one unknown {unit}{share}.{calibration}"


def _results(recipe: Recipe, test: dict[str, Any]) -> list[str]:
    metric = METRIC[recipe.task]
    if recipe.task in ("vector", "joint"):
        rows = [
            f"| {name.removeprefix('recall_at_')} | {value:.3f} | {test[f'chance_at_{name[10:]}']:.3f} |"
            for name, value in test.items()
            if name.startswith("recall_at_")
        ]
        what = "the other half of a pair" if recipe.task == "vector" else "an image that fits the text"
        return [
            f"How often {what} is among the nearest, on the {test['count']:,} test texts:",
            "",
            "| nearest | share | by chance |",
            "|--:|--:|--:|",
            *rows,
        ]
    rows = [
        f"| {_plain(label)} | {scores['precision']:.3f} | {scores['recall']:.3f} | {scores['f1']:.3f} | "
        f"{scores['support']:,} |"
        for label, scores in test["per_class"].items()
    ]
    return [
        f"On the {test['count']:,} test texts: {metric.replace('_', ' ')} {test[metric]:.4f}, "
        f"macro-F1 {test['macro_f1']:.4f}.",
        "",
        "| label | precision | recall | F1 | texts |",
        "|--|--:|--:|--:|--:|",
        *rows,
    ]
