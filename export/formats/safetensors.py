"""A large TorchScript table beside its program: `torch.jit.load` reads a file whole, into every worker's own memory.

The program is scripted around a table of one row, and the true one lies in a safetensors file, which workers map
and put in its place (`handlers/engine/tensors.py`). A small table stays inside, so that `torch.jit.load` is all that
it takes to open the file.
"""

from __future__ import annotations

from torch import Tensor, nn

from ...models.embeddings import Embedding

# Tables begin at a multiple of this, a page; the format allows spaces behind the header.
ALIGNMENT = 4096

# Bytes of tables that stay inside the program: each worker has a copy of them.
INSIDE = 16 << 20


def take_tables(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of the tables in a module by name; of each one row stays behind, so that it can still be
    scripted. None are taken where all of them together have at most INSIDE bytes.

    A table is an Embedding with no other inside. It must be the module's own: it changes in place.
    """
    tables = [
        (path, table)
        for path, table in module.named_modules()
        if isinstance(table, Embedding) and not any(isinstance(child, Embedding) for child in table.children())
    ]
    if sum(value.nbytes for _, table in tables for _, value in _tensors(table)) <= INSIDE:
        return {}
    taken: dict[str, Tensor] = {}
    for path, table in tables:
        for name, value in _tensors(table):
            taken[f"{path}.{name}"] = value
            row = value[:1].clone()
            setattr(table, name, nn.Parameter(row, requires_grad=False) if name in table._parameters else row)
    return taken


def _tensors(table: nn.Module) -> list[tuple[str, Tensor]]:
    named = (*table.named_parameters(recurse=False), *table.named_buffers(recurse=False))
    return [(name, value.detach()) for name, value in named]
