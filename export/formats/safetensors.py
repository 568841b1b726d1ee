"""A TorchScript table beside its program: `torch.jit.load` reads a file whole, into every worker's own memory.

The program is scripted around a table of one row, and the true one lies in a safetensors file, which workers map
and put in its place (`handlers/engine/tensors.py`).
"""

from __future__ import annotations

from torch import Tensor, nn

from ...models.embeddings import Embedding

# Tables begin at a multiple of this, a page; the format allows spaces behind the header.
ALIGNMENT = 4096


def take_tables(module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of the tables in a module by name; of each one row stays behind, so that it can still be
    scripted.

    A table is an Embedding with no other inside. It must be the module's own: it changes in place.
    """
    taken: dict[str, Tensor] = {}
    for path, table in module.named_modules():
        if isinstance(table, Embedding) and not any(isinstance(child, Embedding) for child in table.children()):
            for name, value in (*table.named_parameters(recurse=False), *table.named_buffers(recurse=False)):
                taken[f"{path}.{name}"] = value.detach()
                row = value.detach()[:1].clone()
                kept = nn.Parameter(row, requires_grad=False) if name in table._parameters else row
                setattr(table, name, kept)
    return taken
