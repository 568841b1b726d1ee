"""The optimizers of a recipe: learning rate schedule, frozen epochs, gradient clipping, mixed precision."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor

from ...models.compose import TextModel
from ...models.embeddings import Table
from ...models.embeddings.optimizer import Optimizer
from ...models.embeddings.sparse_optimizer import RowOptimizer
from ...models.recipes import TrainingOptions
from .dense import DenseOptimizer

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class ModelOptimizer:
    """The optimizers of one model, stepped together; large tables have one of their own."""

    def __init__(self, model: TextModel, options: TrainingOptions, device: torch.device) -> None:
        """Make the optimizers for every parameter of `model`, which is on `device`."""
        self._options = options
        self._device = device
        self._embedding = list(model.embedding.parameters())
        tables = [one for one in model.embedding.modules() if isinstance(one, Table) and one.sparse]
        sparse = [parameter for table in tables for parameter in table.parameters(recurse=False)]
        sparse_ids = {id(one) for one in sparse}
        embedding_ids = {id(one) for one in self._embedding}
        rest = [one for one in model.parameters() if id(one) not in embedding_ids]
        dense = [one for one in self._embedding if id(one) not in sparse_ids]
        groups = [{"params": group, "embedding": which} for group, which in ((rest, False), (dense, True)) if group]
        self.optimizers: list[Optimizer] = []
        if groups:
            self.optimizers.append(_dense(options, groups))
        self._rows: RowOptimizer | None = None
        if sparse:
            rule = "adam" if options.optimizer == "adamw" else options.optimizer
            self._rows = RowOptimizer([{"params": sparse, "embedding": True}], options.rate, rule)
            self.optimizers.append(self._rows)
        # fp16 cannot hold small gradients: the loss is scaled up, the gradients are scaled down again.
        self._scaler = torch.amp.GradScaler(device.type, enabled=options.precision == "fp16")

    @property
    def parameters(self) -> list[Tensor]:
        """All parameters that are trained now, of all optimizers."""
        return [one for optimizer in self.optimizers for one in optimizer.parameters if one.requires_grad]

    def start_epoch(self, epoch: int) -> None:
        """Freeze or release the embedding for `epoch` (from 1), as the recipe's `frozen_epochs` says."""
        for parameter in self._embedding:
            parameter.requires_grad_(epoch > self._options.frozen_epochs)
            parameter.grad = None

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context to compute the loss in: lower precision if the recipe asks for it.

        Micikevicius et al.: Mixed Precision Training, 2017, arXiv:1710.03740.
        """
        dtype = _DTYPES.get(self._options.precision)
        return nullcontext() if dtype is None else torch.autocast(self._device.type, dtype)

    def backward(self, loss: Tensor) -> None:
        """Clear the old gradients and compute those of `loss`."""
        for parameter in self.parameters:
            parameter.grad = None
        if self._rows is not None:
            self._rows.clear()
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self._scaler.is_enabled() or self._options.clip:
            self.materialize_grads()

    def materialize_grads(self) -> None:
        """Write the row gradients of large tables into `grad`, where other code expects them."""
        if self._rows is not None:
            self._rows.materialize_grads()

    def step(self, done: float) -> None:
        """Clip the gradients if the recipe asks for it, and step; `done`: share of training done, 0 to 1."""
        options = self._options
        rate = options.rate * (1 - done if options.schedule == "linear" else 1)
        embedding = rate * options.embedding_rate * (options.released_rate if options.frozen_epochs else 1)
        stepped = [one for one in self.optimizers if self._has_gradients(one)]
        for optimizer in stepped:
            self._scaler.unscale_(_as_torch(optimizer))
            for group in optimizer.param_groups:
                group["lr"] = embedding if group["embedding"] else rate
        scale = min(options.clip / max(math.hypot(*self.norms()), 1e-12), 1.0) if options.clip else 1.0
        if scale < 1:
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad *= scale
        for optimizer in stepped:
            self._scaler.step(_as_torch(optimizer))
        self._scaler.update()

    def _has_gradients(self, optimizer: Optimizer) -> bool:
        if optimizer is self._rows:
            return any(self._rows.gradient(one) is not None for one in optimizer.parameters)
        return any(one.grad is not None for one in optimizer.parameters)

    def norms(self) -> tuple[float, float]:
        """Return the L2 norm of the embedding's gradients and that of all other gradients."""
        embedding_ids = {id(one) for one in self._embedding}
        squares = [0.0, 0.0]
        for optimizer in self.optimizers:
            for parameter in optimizer.parameters:
                norm = 0.0
                if optimizer is self._rows:
                    rows = self._rows.gradient(parameter)
                    norm = 0.0 if rows is None else math.sqrt(rows.squares().sum().item())
                elif parameter.grad is not None:
                    norm = parameter.grad.norm().item()
                squares[id(parameter) not in embedding_ids] += norm**2
        return math.sqrt(squares[0]), math.sqrt(squares[1])

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the optimizer state: tensors by name, and values that JSON can hold."""
        tensors: dict[str, Tensor] = {}
        numbers: dict[str, Any] = {"scaler": self._scaler.state_dict()}
        for position, optimizer in enumerate(self.optimizers):
            for parameter, values in optimizer.state_dict().items():
                for name, value in values.items():
                    target = tensors if isinstance(value, Tensor) else numbers
                    target[f"{position}.{parameter}.{name}"] = value
        return tensors, numbers

    def load(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Continue from a `state` of the same model and options."""
        numbers = dict(numbers)
        self._scaler.load_state_dict(numbers.pop("scaler"))
        for position, optimizer in enumerate(self.optimizers):
            values: dict[int, dict[str, Any]] = {}
            for key, value in {**tensors, **numbers}.items():
                at, parameter, name = key.split(".")
                if int(at) == position:
                    values.setdefault(int(parameter), {})[name] = value
            optimizer.load_state_dict(values)


def _as_torch(optimizer: Optimizer) -> torch.optim.Optimizer:
    """Return it as what torch's scaler asks for, which uses its groups and its step alone."""
    return cast("torch.optim.Optimizer", optimizer)


def _dense(options: TrainingOptions, groups: list[dict[str, Any]]) -> DenseOptimizer:
    # With weight decay the vector of a rare word would shrink at every step without that word.
    decayed = [group | {"weight_decay": 0.0 if group["embedding"] else options.weight_decay} for group in groups]
    rule = "adam" if options.optimizer == "rowwise" else options.optimizer
    return DenseOptimizer(decayed, options.rate, rule)
