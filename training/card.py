"""The model card: a description of a run in Markdown, for the run folder and the archive."""

from __future__ import annotations

from typing import Any

from ..evaluation.tasks import Task
from ..handlers.text.encoder import TextSpec
from ..handlers.text.spec import Layout
from ..messages.escaping import markdown, visible
from ..models.recipes import Recipe
from ..models.run import RunInfo

_VALIDATED = "cross_validated"


def write_card(name: str, info: RunInfo, recipe: Recipe, task: Task, metrics: dict[str, Any], spec: TextSpec) -> str:
    """Return the model card. Names and labels of the data are escaped: they are never read as Markdown or HTML.

    After Mitchell et al., Model Cards for Model Reporting, 2019, arXiv:1810.03993.
    """
    data, training = info.data, info.training
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in data["dropped"].items() if count) or "none"
    kind = task.card_title(", ".join(map(markdown, task.labels)))
    epochs = (
        f"the minimum of the loss and an L2 penalty, strength {training['strength']:g} of {training['epochs']} tried"
        if "strength" in training
        else f"{training['epochs']} epochs, the best one being {training['best_epoch']}"
        if training["epochs"]
        else "none: the pretrained vectors are unchanged"
    )
    return "\n".join(
        [
            f"# {markdown(name)}",
            "",
            f"{kind}, trained by lexport {info.versions['lexport']} with the recipe {_code(recipe.name)}.",
            "",
            f"- **Data**: {markdown(data['name'])}, {data['train']:,} training texts, {data['validation']:,} "
            f"validation texts, {data['test']:,} test texts; rows dropped: {dropped}. "
            f"SHA-256 of the cleaned rows: {_code(data['digest'])}.",
            f"- **Model**: embedding `{recipe.embedding.NAME}`, encoder `{recipe.encoder.NAME}`, head "
            f"`{recipe.head.NAME}`; {_words(recipe, spec)}, {recipe.embedding.dim} dimensions, "
            f"{info.parameters:,} parameters, seed {info.seed}.",
            f"- **Training**: {epochs}, {training['seconds']:.0f} s.",
            *_teacher(training),
            *_final(training, data),
            *[f"- **Warning**: {one['message']} ({one['code']})." for one in info.warnings],
            *[f"- **Then**: {_event(event)}" for event in info.history],
            f"- **Limits**: {recipe.text.max_tokens:,} tokens per text; the rest is cut off. "
            f"{_unknown(recipe, data)}{' The scores are not calibrated.' * task.GIVES_SCORES}",
            "",
            *task.card_results(metrics["test"]),
            "",
            *_cross_validation(info.cross_validation, task),
            *_leaderboard(info.leaderboard, task),
        ]
    )


def _teacher(training: dict[str, Any]) -> list[str]:
    """Return the line on a teacher, if there was one."""
    if "teacher" not in training:
        return []
    found = training["teacher"]
    more = f", and {found['added']:,} further texts that it alone has probabilities of" if found["added"] else ""
    return [
        f"- **Teacher**: {markdown(found['name'])}, whose probabilities count {found['weight']:g} and the labels "
        f"{1 - found['weight']:g}, for {found['texts']:,} of the training texts{more}. SHA-256 of these texts and "
        f"probabilities: {_code(found['digest'])}."
    ]


def _final(training: dict[str, Any], data: dict[str, Any]) -> list[str]:
    """Return the line on a model that was fitted on all texts at the end."""
    if "final" not in training:
        return []
    return [
        f"- **Final fit**: on all {training['final']['texts']:,} texts. The figures below are those of the "
        f"model before it, which was trained on {data['train']:,} texts and had not seen the test texts."
    ]


def _cross_validation(found: dict[str, Any], task: Task) -> list[str]:
    """Return the line on cross-validation, if there was one."""
    if not found:
        return []
    values = ", ".join(
        f"{task.HEADLINES[name]} {one['mean']:.4f} ± {one['deviation']:.4f}" for name, one in found["metrics"].items()
    )
    return [
        f"Cross-validation of {found['tested']:,} of {found['texts']:,} texts in {found['folds']} folds, each by a "
        f"model trained on the others: {values} (mean and standard deviation over folds).",
        "",
    ]


def _leaderboard(board: list[dict[str, Any]], task: Task) -> list[str]:
    """Return the table of the recipes that were tried, if several were."""
    if not board:
        return []
    rows = [
        f"| {_code(one['recipe'])} | "
        f"{' | '.join(f'{one.get(_VALIDATED, one)[name]:.4f}' for name in task.HEADLINES)} | {one['loss']:.4f} "
        f"| {one['seconds']:.0f} |"
        for one in board
    ]
    heads = " | ".join(task.HEADLINES.values())
    return [
        f"Recipes that were tried, {'in cross-validation' if _VALIDATED in board[0] else 'on the validation texts'}:",
        "",
        f"| recipe | {heads} | loss | seconds |",
        f"|--|{'--:|' * (len(task.HEADLINES) + 2)}",
        *rows,
        "",
    ]


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
    if recipe.inputs is Layout.CHARACTERS:
        return f"{spec.characters - 2:,} characters (seen {spec.min_count} times or more)"
    if spec.tokenizer is not None:
        return f"{spec.words - 2:,} tokens of tokenizer.json"
    seen = f"(seen {spec.min_count} times or more)"
    grams = f"n-grams of up to {spec.ngrams} words" if spec.ngrams > 1 else ""
    subwords = "n-grams of {} to {} characters".format(*spec.subwords) if spec.subwords else ""
    hashed = " and ".join(part for part in (grams, subwords) if part)
    if recipe.inputs is Layout.HASHES:
        return f"every word{f', {hashed}' if hashed else ''} hashed"
    if recipe.inputs is Layout.LANGUAGES:
        known = ", ".join(f"{rows - 1:,} of {markdown(language)}" for language, rows in spec.languages.items())
        words = f"words by language: {known} {seen}"
    else:
        words = f"{spec.words - 2:,} words {seen}"
    return f"{words}, {spec.buckets:,} buckets for {hashed}" if hashed else words


def _unknown(recipe: Recipe, data: dict[str, Any]) -> str:
    if recipe.inputs is Layout.HASHES:
        return "Words that are not in the training texts have untrained vectors."
    what = "Characters" if recipe.inputs is Layout.CHARACTERS else "Words"
    unit = "character" if recipe.inputs is Layout.CHARACTERS else "word"
    share = f" ({data['unknown_share']:.1%} of the validation texts' tokens)"
    return f"{what} that are not in the training texts are read as one unknown {unit}{share}."
