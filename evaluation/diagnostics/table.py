"""What is wrong with a trained model's table of vectors: padding, sizes, rows never trained, copies, dimensions."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from ...data.dataset import Dataset
from ...handlers.text.encoder import Ids, TextEncoder
from ...handlers.text.spec import UNK, Layout
from ...models.compose import TextModel
from ...models.predict import outputs
from ...models.run import Run
from ...storage.compression import listed, shown
from ..metrics import Outputs
from ..tasks import Task
from .findings import FINE, NOTE, SERIOUS, SKIPPED, WARNING, Finding
from .word_rows import WordRows, table_of, word_rows

# A vector is dead below this share of the median length, and exploded above this multiple of it. The vectors of the
# shipped recipes on the sample sets are 0.01 to 30 times the median.
_DEAD, _EXPLODED = 1e-4, 100.0
# Share of the words from which on it is more than a note.
_MANY = 0.01
_SHOWN = 5
# Of validation texts whose answer may change where the table is cut to fewer dimensions.
_CHANGED = 0.01
_TEXTS = 1_000  # that are asked with fewer dimensions
_NARROW, _FEWEST = 8, 4  # dimensions: what is not judged, and what is not gone below


def check_table(run: Run, task: Task, validation: Dataset, trained: Ids | None) -> list[Finding]:
    """Return what is found about a run's table.

    validation: texts that are asked with fewer dimensions. trained: how often training met each word of the
    vocabulary, int64 [words]; None if that is not known.
    """
    rows = word_rows(run)
    found = [_padding(run.model, run.encoder), _sizes(run.model, rows)]
    if rows is None:
        what = "characters" if run.encoder.spec.inputs is Layout.CHARACTERS else "hashes of words"
        none = f"the model has vectors for {what}, and none for single words"
        found += [Finding(check, SKIPPED, none) for check in ("untrained", "duplicates")]
    else:
        found += [*_untrained(run, rows, trained), _copies(run, rows)]
    return [*found, _dimension(run, task, validation)]


def _padding(model: TextModel, encoder: TextEncoder) -> Finding:
    spec = encoder.spec
    shape = {Layout.CHARACTERS: (1, 1, spec.word_length), Layout.LANGUAGES: (1, 1, 2)}.get(spec.inputs, (1, 1))
    with torch.inference_mode():
        largest = float(model.embedding.vectors(torch.zeros(shape, dtype=torch.int64)).abs().max())
    if largest == 0:
        return Finding("padding", FINE, "padding adds nothing to a text")
    return Finding(
        "padding",
        SERIOUS,
        f"the vector of PAD is not zero; its largest component is {largest:.3g}",
        "Short texts are padded to the longest of their batch, so that their scores depend on the texts beside them.",
        "train the run again; row 0 of weights.safetensors was changed from outside",
        {"largest": largest},
    )


def _sizes(model: TextModel, rows: WordRows | None) -> Finding:
    broken = [name for name, value in model.state_dict().items() if not bool(torch.isfinite(value).all())]
    if broken:
        return Finding(
            "norms",
            SERIOUS,
            f"{listed(broken)} {'has' if len(broken) == 1 else 'have'} values that are no numbers",
            "A text that meets one of them has no score.",
            "train again with a lower rate: --set training.learning_rate=…, or --set training.clip=1",
            {"tensors": len(broken)},
        )
    if rows is None:
        return Finding("norms", FINE, "all parameters are finite numbers")
    norms = np.sqrt(np.einsum("ij,ij->i", rows.weight, rows.weight, dtype=np.float64))
    middle = float(np.median(norms[norms > 0])) if norms.any() else 0.0
    dead, grown = norms < _DEAD * middle, norms > _EXPLODED * middle
    dead |= norms == 0
    figures = {"words": len(norms), "median": middle, "dead": int(dead.sum()), "exploded": int(grown.sum())}
    if not dead.any() and not grown.any():
        return Finding(
            "norms", FINE, f"the vectors have lengths around {middle:.3g}; none is 0 or far longer", "", "", figures
        )
    told = []
    if dead.any():
        told.append(f"{dead.sum():,} of {len(norms):,} words have a vector of 0 or nearly 0 ({_named(rows, dead)})")
    if grown.any():
        told.append(
            f"{grown.sum():,} {'has one' if grown.sum() == 1 else 'have one'} more than {_EXPLODED:g} times as "
            f"long as the median ({_named(rows, grown)})"
        )
    return Finding(
        "norms",
        WARNING if grown.any() or dead.mean() > _MANY else NOTE,
        "; ".join(told),
        "A word without a vector adds nothing to a text, and one that is far too long decides every text it is in.",
        "train with a limit of the lengths: --set embedding.max_norm=…, or with a lower rate: --set "
        "training.learning_rate=…"
        if grown.any()
        else "train further on texts that have these words: lexport train DATA --from RUN",
        figures,
    )


def _untrained(run: Run, rows: WordRows, trained: Ids | None) -> list[Finding]:
    added = 0
    for event in reversed(run.info.history):
        if "expanded" not in event:
            break
        added += int(event["expanded"]["words_added"])
    found = []
    never = None if trained is None else trained == 0
    count = added if never is None else int(never.sum())
    if count:
        which = "" if never is None else f" ({_named(rows, never)})"
        how = "were added by `lexport expand` after the training" if never is None else "are in no training text"
        found.append(
            Finding(
                "untrained",
                WARNING if count > _MANY * len(rows.words) else NOTE,
                f"{count:,} of {len(rows.words):,} words {how}{which}",
                "Their vectors are pretrained, those of words with a similar spelling, or random.",
                "train further on labelled texts that have these words: lexport train DATA --from RUN",
                {"untrained": count, "words": len(rows.words)},
            )
        )
    if _unknown_untrained(run):
        found.append(
            Finding(
                "untrained",
                WARNING,
                "the vector of unknown words was never trained: every word of the training has a vector of its own",
                "An unknown word adds a random vector to a text.",
                "train again with --set training.word_dropout=0.1, or with --min-count 2",
            )
        )
    known = "" if trained is not None else ", as far as the run says; name the training data to count its words"
    return found or [Finding("untrained", FINE, f"every word was in a training text{known}")]


def _unknown_untrained(run: Run) -> bool:
    spec, table = run.encoder.spec, table_of(run.model.embedding)
    if spec.inputs is not Layout.INDICES or table is None or not bool(table.weight[UNK].any()):
        return False
    every = spec.min_count == 1 and spec.max_vocabulary is None
    return every and run.recipe.learns and run.recipe.training.word_dropout == 0 and not run.info.history


def _copies(run: Run, rows: WordRows) -> Finding:
    there: npt.NDArray[np.bool_] = (rows.weight != 0).any(axis=1)
    kept = np.ascontiguousarray(rows.weight[there])
    # Each row as one value of so many bytes.
    whole = kept.view(np.dtype((np.void, kept.itemsize * kept.shape[1]))).ravel()
    _, group, counts = np.unique(whole, return_inverse=True, return_counts=True)
    again: npt.NDArray[np.bool_] = np.zeros(len(there), np.bool_)
    again[there] = counts[group] > 1
    count = int(again.sum())
    figures = {"copies": count, "words": len(there)}
    if not count:
        return Finding("duplicates", FINE, "no two words have the same vector", "", "", figures)
    exact = run.recipe.head.NAME == "linear"
    return Finding(
        "duplicates",
        NOTE if exact or count <= _MANY * len(there) else WARNING,
        f"{count:,} of {len(there):,} words share their vector with another word ({_named(rows, again)})",
        "They are in the same training texts and nowhere else, so that an exact fit cannot tell them apart."
        if exact
        else "The model cannot tell these words apart; each row takes memory for nothing.",
        "give them more texts, or a higher --min-count" if exact else "train further: lexport train DATA --from RUN",
        figures,
    )


def _dimension(run: Run, task: Task, validation: Dataset) -> Finding:
    """Judge by what happens: the table is cut to its main directions, and validation texts are asked again."""
    table = table_of(run.model.embedding)
    width = None if table is None else table.weight.shape[1]
    if table is None or width is None or width < _NARROW or run.recipe.head.width(len(run.labels)) is not None:
        reason = (
            "the head says how wide the vectors are"
            if run.recipe.head.width(len(run.labels))
            else "the vectors are narrow"
        )
        return Finding("dimension", FINE, f"{reason}: {run.recipe.embedding.dim} dimensions")
    texts = validation.take(range(min(len(validation), _TEXTS)), validation.name)
    weight = table.weight.detach()
    values, directions = torch.linalg.eigh((weight.T @ weight).double())
    strength = values.clamp(min=0).sqrt().flip(0)
    shares = strength[strength > 0] / strength.sum()
    effective = float((-(shares * shares.log()).sum()).exp())
    main = directions.flip(1)
    before = outputs(run.model, run.encoder, texts)
    cut = _cutter(run.model, run.encoder, texts, main)
    # Of vectors only the nearest neighbours can change; of labels the answers.
    needed, changed = width, 0.0
    for size in _sizes_below(width):
        share = float(task.changed(cut(size), before).mean())
        if share <= _CHANGED:
            needed, changed = size, share
            break
    figures = {
        "dimensions": width,
        "effective_rank": effective,
        "needed": needed,
        "changed": changed,
        "texts": len(texts),
    }
    if 4 * needed > width:
        return Finding(
            "dimension",
            FINE,
            f"{width} dimensions, of which {needed} are needed for the answers (effective rank {effective:.1f})",
            "",
            "",
            figures,
        )
    advised = max(_FEWEST, 2 * needed)
    size = weight.numel() * 4
    saved = size * (1 - advised / width)
    return Finding(
        "dimension",
        NOTE,
        f"{needed} of {width} dimensions are enough: cut to {needed}, {changed:.1%} of {len(texts):,} validation "
        f"texts are answered otherwise (effective rank {effective:.1f})",
        f"The others take {saved / 1e6:.1f} of {size / 1e6:.1f} MB, in memory and in every fp32 export.",
        f"train again with --dim {advised}, and compare",
        figures,
    )


def _sizes_below(width: int) -> list[int]:
    sizes = [1]
    while 2 * sizes[-1] < width:
        sizes.append(2 * sizes[-1])
    return sizes


def _cutter(model: TextModel, encoder: TextEncoder, texts: Dataset, main: torch.Tensor) -> Callable[[int], Outputs]:
    """Return a function from a number of dimensions to the outputs of a model whose table has no others."""
    changed = model.with_embedding(copy.deepcopy(model.embedding))
    table = table_of(changed.embedding)
    assert table is not None
    whole = table.weight.detach().clone()

    def asked(size: int) -> Outputs:
        basis = main[:, :size].to(whole.dtype)
        with torch.no_grad():
            table.weight.copy_((whole @ basis) @ basis.T)
        return outputs(changed, encoder, texts)

    return asked


def _named(rows: WordRows, chosen: npt.NDArray[np.bool_]) -> str:
    first = np.flatnonzero(chosen)[: _SHOWN + 1].tolist()
    names = ", ".join(shown(rows.words[row]) for row in first[:_SHOWN])
    return names + (", …" if len(first) > _SHOWN else "")
