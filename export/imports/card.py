"""The model card of a run that was made of a foreign model."""

from __future__ import annotations

from ...evaluation.tasks import Task
from ...handlers.text.encoder import TextSpec
from ...messages.escaping import markdown, visible
from ...models.recipes import Recipe
from ...models.run import RunInfo

_AGREEMENT = (
    ", whose labels are the answers of the model before. Metrics on them say how far two models agree, not how often "
    "they are right"
)


def write_card(name: str, info: RunInfo, recipe: Recipe, task: Task, spec: TextSpec) -> str:
    """Return the model card. Names and labels are escaped: they are never read as Markdown or HTML.

    After Mitchell et al., Model Cards for Model Reporting, 2019, arXiv:1810.03993.
    """
    origin, data = info.imported, info.data
    proof = origin["proof"]
    digest = "" if origin["digest"] is None else f" SHA-256: {_code(origin['digest'])}."
    if proof["least_cosine"] is None:
        compared = (
            f"{proof['same']:,} of {proof['texts']:,} texts are answered as before, scores within "
            f"{proof['largest_difference']:.2g}"
        )
    else:
        compared = (
            f"{proof['same']:,} of {proof['texts']:,} texts have the vectors they had before, with a cosine of "
            f"{proof['least_cosine']:.6f} or more"
        )
    words = f"{spec.words - 2:,} words, {spec.buckets:,} buckets"
    if spec.tokenizer is not None:
        words = f"{spec.words - 2:,} tokens of tokenizer.json"
    return "\n".join(
        [
            f"# {markdown(name)}",
            "",
            f"{task.card_title(', '.join(map(markdown, task.labels)))}, brought in by lexport "
            f"{info.versions['lexport']} from another program: {markdown(origin['kind'])}.",
            "",
            f"- **Origin**: {_code(origin['file'])}.{digest} What it was trained on, the file does not say.",
            f"- **Proof**: {compared}.",
            f"- **Texts**: {markdown(data['name'])}, {data['validation']:,} validation texts and {data['test']:,} "
            f"test texts{_AGREEMENT * task.GIVES_SCORES}.",
            f"- **Model**: embedding `{recipe.embedding.NAME}`, encoder `{recipe.encoder.NAME}`, head "
            f"`{recipe.head.NAME}`; {words}, {recipe.embedding.dim} dimensions, {info.parameters:,} parameters.",
            f"- **Limits**: {spec.max_tokens:,} tokens per text; the rest is cut off.",
            "",
        ]
    )


def _code(text: str) -> str:
    """Format a text from outside as code, between backticks."""
    return f"`{visible(text).replace('`', chr(39))}`"
