"""The weights of an embedding bag with a linear layer, and the run that they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ....errors import InputError
from ....evaluation.metrics import Outputs
from ....handlers.text.encoder import PAD, UNK
from ....models.compose import build
from ....models.embeddings import TableOptions
from ....models.encoders.bag import BagOptions
from ....models.heads import ClassifierOptions
from ....models.recipes import Recipe, TrainingOptions
from ....storage.compression import shown
from ..kind import Imported
from .reading import Reading

Array = npt.NDArray[Any]
Ask = Callable[[Sequence[int]], Array]
"""From the rows of a text's words to what the foreign model says of it, float [labels]."""

MODES = ("mean", "sum", "max")
_PROBES = 16
_MOST_ARRAYS = 3
_WITHIN = 1e-4


@dataclass(frozen=True)
class BagWeights:
    """An embedding bag and a linear layer, float32."""

    table: Array
    """A vector for each row, [rows, dim]."""
    weight: Array
    """[labels, dim]."""
    bias: Array
    """[labels]."""

    def logits(self, ids: Sequence[int], mode: str) -> Array:
        """Return the logits of a text with the words of these rows, [labels]; computed with numpy alone."""
        vectors = self.table[list(ids)].astype(np.float64)
        pools: dict[str, Callable[..., Array]] = {"mean": np.mean, "sum": np.sum, "max": np.max}
        pooled = pools[mode](vectors, axis=0) if len(ids) else np.zeros(self.table.shape[1])
        found: Array = self.weight.astype(np.float64) @ pooled + self.bias
        return found


def find_weights(arrays: Mapping[str, Array], rows: int, labels: int, file: str) -> BagWeights:
    """Return the weights among named `arrays`, of a table with at least `rows` rows and of `labels` labels.

    They are told by their shapes. Raises InputError for other weights than a table, a layer and its bias.
    """
    floats = {name: one for name, one in arrays.items() if one.dtype.kind == "f" and one.ndim and one.size > 1}
    found = []
    # A table, a layer and its bias; of the weights of larger models not every pair is looked at.
    for table, layer in product(floats, floats) if len(floats) <= _MOST_ARRAYS else ():
        wide, narrow = floats[table], floats[layer]
        if table == layer or wide.ndim != 2 or narrow.ndim != 2 or wide.shape[0] < rows:
            continue
        dim = wide.shape[1]
        # A layer of a graph may lie the other way round.
        layers = [one for one in (narrow, narrow.T) if one.shape == (labels, dim)][:1]
        biases = [name for name, one in floats.items() if one.shape == (labels,)]
        used = {table, layer, *biases}
        if layers and len(biases) <= 1 and len(used) == len(floats):
            bias = floats[biases[0]] if biases else np.zeros(labels)
            found.append(BagWeights(*(np.ascontiguousarray(one, np.float32) for one in (wide, layers[0], bias))))
    if len(found) != 1:
        shapes = ", ".join(f"{shown(name)} {list(one.shape)}" for name, one in list(floats.items())[:8])
        raise InputError(
            f"{shown(file)} has the weights {shapes or 'none'}; expected those of an EmbeddingBag of at least "
            f"{rows:,} rows, as the vocabulary has, and of one Linear to {labels} labels. Other models cannot be "
            "brought in: train one of lexport's on the answers of this one.",
            code="LX-IMPORT-087",
        )
    if not all(np.isfinite(one).all() for one in (found[0].table, found[0].weight, found[0].bias)):
        raise InputError(
            f"{shown(file)} has weights that are not finite numbers. Train it again.", code="LX-IMPORT-088"
        )
    return found[0]


def find_mode(weights: BagWeights, ask: Ask, file: str) -> str:
    """Return how the program that `ask` runs pools vectors, found by asking it about made-up texts.

    Raises InputError for a program that is something else than an embedding bag with a linear layer.
    """
    draw = np.random.default_rng(0)
    probes = [draw.integers(0, len(weights.table), 1 + probe % 7).tolist() for probe in range(_PROBES)]
    answers = np.stack([probabilities(ask(probe)) for probe in probes])
    furthest = {}
    for mode in MODES:
        own = np.stack([probabilities(weights.logits(probe, mode)) for probe in probes])
        furthest[mode] = float(np.abs(own - answers).max())
        if furthest[mode] <= _WITHIN:
            return mode
    told = ", ".join(f"{distance:.2g} for {mode}" for mode, distance in furthest.items())
    raise InputError(
        f"{shown(file)} has the weights of an embedding bag with a linear layer, and answers otherwise: its scores "
        f"differ by {told}. It does more than pool vectors, so it cannot be brought in.",
        code="LX-IMPORT-089",
    )


def probabilities(answer: Array) -> Array:
    """Return probabilities of an answer in logits, in their logarithms, or in probabilities already; [labels]."""
    values = np.asarray(answer, np.float64)
    if (values >= 0).all() and abs(float(values.sum()) - 1) < _WITHIN:
        return values
    raised = np.exp(values - values.max())
    found: Array = raised / raised.sum()
    return found


def as_imported(
    weights: BagWeights,
    mode: str,
    reading: Reading,
    labels: list[str],
    ask: Ask,
    facts: Mapping[str, Any],
    notes: Sequence[str],
) -> Imported:
    """Return the model as a run has it; what the foreign one answers is what `ask` says of the tokens' rows."""
    recipe = Recipe(
        name="embedding-bag",
        when="An embedding bag that another program trained.",
        text=reading.text,
        embedding=TableOptions(dim=weights.table.shape[1]),
        encoder=BagOptions(mode),
        head=ClassifierOptions(),
        training=TrainingOptions(),
    )
    model = build(recipe, reading.encoder.spec, labels=len(labels))
    assert (PAD, UNK) == (0, 1)
    rows = np.array([-1 if row is None else row for row in (None, *reading.rows)])
    table = weights.table[rows]
    table[rows < 0] = 0
    state = {
        "embedding.weight": table,
        "head.linear.weight": weights.weight,
        "head.linear.bias": weights.bias,
    }
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in state.items()})
    return Imported(
        recipe=recipe,
        model=model,
        encoder=reading.encoder,
        labels=labels,
        before=_answering(reading, ask),
        notes=[*notes, *reading.notes],
        facts={**reading.facts, "dim": int(weights.table.shape[1]), "pooling": mode, **facts},
    )


def _answering(reading: Reading, ask: Ask) -> Callable[[Sequence[str]], Outputs]:
    def answer(texts: Sequence[str]) -> Outputs:
        return np.stack([probabilities(ask(reading.foreign_rows(text))) for text in texts]).astype(np.float32)

    return answer
