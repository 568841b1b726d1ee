"""Answer a JSON request in this process with the code that answers it in a worker."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..handlers.model.predictor import Predictor
from ..handlers.request.answers import render
from ..handlers.request.compatibility import validate_for_model
from ..handlers.request.explain import check_explainable, explain
from ..handlers.request.protocol import parse
from ..handlers.request.refusals import Refusal
from .model import RequestRefused, encoded


def answer_request(predictor: Predictor, body: dict[str, Any] | str, *, explained: bool) -> Any:
    """Return the JSON answer to a JSON request. Raises InputError with the refusal's own words."""
    try:
        content, kind = encoded(body)
        request = parse({"body": content}, kind)
        validate_for_model(request, predictor.model, predictor.languages)
        if explained:
            check_explainable(request, predictor)
            found = explain(predictor, request)
            return found if request.many else found[0]
        if request.images is not None:
            answers = predictor.predict_images(np.array(request.images, np.float32))
        else:
            answers = predictor.predict(request.texts, request.languages)
        return json.loads(render(request, answers, predictor.model.name, predictor.model.version))
    except Refusal as refusal:
        raise RequestRefused(
            f"{refusal.body['error']} Expected: {refusal.body['expected']}.", code="LX-API-005"
        ) from None
