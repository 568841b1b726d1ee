"""Run a trained model in this process with torch. An export must reproduce its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data.dataset import Dataset
from ..handlers.text.encoder import TextEncoder
from .compose import TextModel
from .corpus import LookedUpTexts
from .heads import Joint

Outputs = npt.NDArray[np.float32]
LookedUp = tuple[LookedUpTexts, LookedUpTexts | None]
"""The texts of a part and its second texts, if it has any, looked up."""


def text_outputs(
    model: TextModel, encoder: TextEncoder, texts: Sequence[str], languages: Sequence[str] | None = None
) -> Outputs:
    """Return the trained model's outputs for `texts`, float32 [texts, outputs]. An export must reproduce them."""
    return token_outputs(model, encoder, encoder.look_up(texts, languages))


def token_outputs(model: TextModel, encoder: TextEncoder, tokens: LookedUpTexts) -> Outputs:
    """Return the trained model's outputs for texts that `encoder` looked up, float32 [texts, outputs]."""
    order = np.argsort(tokens.lengths, kind="stable")
    found: list[Tensor] = []
    with torch.inference_mode(), _threads(model):
        for first in range(0, len(order), 64):
            ids = torch.from_numpy(encoder.assemble(tokens.take(order[first : first + 64])))
            found.append(model.head.answer(model(ids)))
        answers = torch.cat(found).numpy()
    outputs: Outputs = np.empty_like(answers)
    outputs[order] = answers
    return outputs


@contextmanager
def _threads(model: TextModel) -> Iterator[None]:
    """Context manager: one thread for a model whose batches are too short to be shared between several."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if model.PARALLEL else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def image_outputs(model: TextModel, images: Outputs) -> Outputs:
    """Return a joint model's vectors of images, float32 [images, values] → float32 [images, size]."""
    assert isinstance(model.head, Joint)
    with torch.inference_mode():
        vectors: Outputs = model.head.image(torch.from_numpy(images)).numpy()
    return vectors


def outputs(model: TextModel, encoder: TextEncoder, part: Dataset, tokens: LookedUp | None = None) -> Outputs:
    """Return a task's outputs for one part of the data, laid out as evaluation/tasks says.

    `tokens`: its texts and its second texts, if `encoder` has already looked them up.
    """
    texts, pairs = tokens or (encoder.look_up(part.texts, part.languages), None)
    found = [token_outputs(model, encoder, texts)]
    if part.pairs is not None:
        found.append(token_outputs(model, encoder, pairs or encoder.look_up(part.pairs, part.languages)))
    if part.images is not None:
        found.append(image_outputs(model, part.images))
    return np.concatenate(found)
