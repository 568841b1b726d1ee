"""Validate a request for the model; a request that does not fit is refused before it joins a batch."""

from __future__ import annotations

from collections.abc import Sequence

from ..model.decoders import DECODERS
from ..model.predictor import ModelFile
from .outputs import check_outputs
from .protocol import Request
from .refusals import Refusal, listed, show

# Most languages that a refusal names.
_NAMED = 100


def validate_for_model(request: Request, model: ModelFile, known: Sequence[str]) -> None:
    """Raise Refusal for images, languages, options or outputs that the model does not have, or a missing language.

    `known` are the model's languages; most models have none.
    """
    if request.images is not None:
        _check_images(request.images, model)
    elif known or request.languages is not None:
        _check_languages(request.languages, known)
    decoder = DECODERS[model.task]
    if request.top_k is not None and not decoder.GIVES_SCORES:
        raise Refusal(
            400,
            f"`top_k` is {request.top_k}; this model answers vectors, not scores.",
            "no `top_k`",
            code="LX-HTTP-054",
        )
    if request.threshold is not None and not decoder.TAKES_THRESHOLD:
        raise Refusal(
            400,
            f"`threshold` is {request.threshold:g}; this model does not answer several labels.",
            "no `threshold`",
            code="LX-HTTP-055",
        )
    check_outputs(request.outputs, decoder, of_images=request.images is not None)


def _check_images(images: Sequence[Sequence[float]], model: ModelFile) -> None:
    if model.image_file is None:
        raise Refusal(
            400, "This model takes no images.", 'a text: {"text": "…"} or {"texts": ["…", …]}', code="LX-HTTP-056"
        )
    bad = {
        position: f"{len(image)} values" for position, image in enumerate(images) if len(image) != model.image_values
    }
    if bad:
        what = f"An image has {model.image_values} values here; given are others ({listed(bad)})."
        raise Refusal(400, what, f"{model.image_values} numbers an image", positions=list(bad), code="LX-HTTP-057")


def _check_languages(languages: Sequence[str] | None, known: Sequence[str]) -> None:
    if not known:
        raise Refusal(400, "`lang` is given; this model has no languages.", "no `lang`", code="LX-HTTP-058")
    names = ", ".join(known[:_NAMED]) + (f" and {len(known) - _NAMED} more" if len(known) > _NAMED else "")
    expected = f"`lang` beside the text, of Open Inference Protocol v2 under `parameters`; one of: {names}"
    if languages is None:
        raise Refusal(400, "The request does not say the language of its text.", expected, code="LX-HTTP-059")
    bad = {position: show(name) for position, name in enumerate(languages) if name not in known}
    if bad:
        error = f"`lang` names languages the model does not know ({listed(bad)})."
        raise Refusal(400, error, expected, positions=list(bad), code="LX-HTTP-060")
