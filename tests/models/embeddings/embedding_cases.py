"""One small embedding of every kind with ids it takes, and the ways in which an embedding is run."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
import onnxruntime
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from lexport.export.formats.onnx_operators import operators_built_once
from lexport.handlers.text.hashing import PRIME, multipliers
from lexport.models.embeddings import (
    CharCNN,
    CharCNNOptions,
    DynamicDim,
    DynamicDimOptions,
    Embedding,
    Hashed,
    HashedOptions,
    Multilingual,
    MultilingualOptions,
    Table,
    TableOptions,
)

ROWS, WORDS = 30, 20
# Three languages of 5, 8 and 6 rows, and ten n-gram rows behind the 20 of words.
OFFSETS = (0, 5, 13, 19)
SIZES = (5, 8, 6, 10)

# Any Unicode but a lone surrogate, which has no UTF-8 bytes to hash.
TOKENS = st.text(st.characters(exclude_categories=["Cs"]))

Run = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def table(rows: int = ROWS, words: int = ROWS, **options: object) -> Table:
    return Table(rows, words, TableOptions(**{"dim": 6, **options}))  # type: ignore[arg-type]


def multilingual(**options: object) -> Multilingual:
    return Multilingual(OFFSETS, ROWS, WORDS, MultilingualOptions(**{"dim": 6, **options}))  # type: ignore[arg-type]


KINDS: dict[str, Callable[[], Embedding]] = {
    "table": table,
    "table, n-grams": lambda: table(words=WORDS),
    "table, unk": lambda: table(out_of_range="unk"),
    "table, max_norm": lambda: table(max_norm=0.05),
    "table, zero UNK": lambda: table(padding_idx=1),
    "table, by frequency": lambda: table(scale_grad_by_freq=True),
    "hashed, sum": lambda: Hashed(HashedOptions(buckets=50, hashes=3, dim=6)),
    "hashed, concat": lambda: Hashed(HashedOptions(buckets=50, hashes=3, combine="concat", dim=6)),
    "char_cnn": lambda: CharCNN(ROWS, CharCNNOptions(dim=6, character_dim=4, widths=(1, 2, 5), filters=3)),
    "dynamic_dim": lambda: DynamicDim(ROWS, ROWS, DynamicDimOptions(dim=6, ramp=2)),
    "multilingual": multilingual,
}


def bucket(key: int, function: int, count: int) -> int:
    """The row, 0 … count-1, that a hash function gives a key: the reference, in numbers of any size."""
    a, b = multipliers(function + 1)[function]
    return ((key % PRIME) * a + b) % PRIME % count


def make(kind: str, seed: int = 0) -> Embedding:
    """The embedding of that name, the same at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        embedding = KINDS[kind]()
    if isinstance(embedding, DynamicDim):
        with torch.no_grad():
            embedding.size[1:] = torch.linspace(-3, 3, ROWS - 1).unsqueeze(1)
    return embedding.eval()


def texts(kind: str, batch: int, length: int, seed: int = 0) -> Tensor:
    """ids of the layout that the embedding takes; every text but the first ends in PAD, the last is all PAD."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.linspace(length, 0, batch).long() if batch > 1 else torch.tensor([length])
    present = torch.arange(length) < lengths.unsqueeze(1)
    if kind == "char_cnn":
        characters = torch.randint(1, ROWS, (batch, length, 7), generator=draw)
        ends = torch.randint(1, 8, (batch, length, 1), generator=draw)
        return characters * (torch.arange(7) < ends) * present.unsqueeze(2)
    if kind == "multilingual":
        languages = torch.randint(0, 4, (batch, length), generator=draw)
        indices = 1 + torch.randint(0, 1000, (batch, length), generator=draw) % torch.tensor(SIZES)[languages]
        return torch.stack([indices, languages], dim=2) * present.unsqueeze(2)
    return torch.randint(1, 2**33 if kind.startswith("hashed") else ROWS, (batch, length), generator=draw) * present


class Answers(nn.Module):
    """What an embedding answers, all at once."""

    def __init__(self, embedding: Embedding) -> None:
        super().__init__()
        self.embedding = embedding

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.embedding.vectors(ids), self.embedding.mask(ids), self.embedding.pooled(ids)


def scripted(embedding: Embedding) -> Run:
    """The embedding as TorchScript, frozen, saved and loaded."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.freeze(torch.jit.script(Answers(embedding).eval())), buffer)
        buffer.seek(0)
        run: Run = torch.jit.load(buffer)  # type: ignore[no-untyped-call]
    return run


def session(module: nn.Module, example: Tensor, fixed: int | None = None) -> onnxruntime.InferenceSession:
    """The module in ONNX Runtime, every axis of its input symbolic but the `fixed` one."""
    axes = {axis: torch.export.Dim(f"axis{axis}") for axis in range(example.dim()) if axis != fixed}
    with warnings.catch_warnings(), operators_built_once():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(), (example,), dynamic_shapes=(axes,), opset_version=20, dynamo=True, verbose=False
        )
    assert program is not None
    graph = program.model_proto.SerializeToString()
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def in_onnx(embedding: Embedding, example: Tensor) -> Run:
    """The embedding in ONNX Runtime, with the axes of `example` symbolic."""
    found = session(Answers(embedding), example, fixed=2 if isinstance(embedding, Multilingual) else None)
    assert all(isinstance(axis, str) for axis in found.get_inputs()[0].shape[: 3 if example.size(-1) == 7 else 2])
    name = found.get_inputs()[0].name

    def run(ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        answers = found.run(None, {name: ids.numpy()})
        vectors, mask, pooled = (torch.from_numpy(np.asarray(answer)) for answer in answers)
        return vectors, mask, pooled

    return run


@cache
def murmur_session(seed: int) -> onnxruntime.InferenceSession:
    """ONNX Runtime's own hash: "tokens", strings [n] → int64 [n]."""
    graph = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]>
        murmur (string[n] tokens) => (int64[n] hashes) {{
            unsigned = com.microsoft.MurmurHash3 <seed: int = {seed}, positive: int = 1> (tokens)
            hashes = Cast <to: int = {onnx.TensorProto.INT64}> (unsigned)
        }}
    """)
    return onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
