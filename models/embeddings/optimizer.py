"""What optimizers share: groups of parameters, a state for each parameter, and how the state is kept and restored.

As `torch.optim.Optimizer`, whose first step imports torch's compiler: a second and 70 MB of every training.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor


class Optimizer:
    """Parameters in groups, each with its own options."""

    def __init__(self, params: Iterable[Any], options: Mapping[str, Any]) -> None:
        """`params`: tensors, or groups: dictionaries with "params" and options that differ from `options`."""
        every = list(params)
        groups = every if every and isinstance(every[0], dict) else [{"params": every}]
        self.param_groups: list[dict[str, Any]] = [
            {**options, **group, "params": list(group["params"])} for group in groups
        ]
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)

    @property
    def parameters(self) -> list[Tensor]:
        """All parameters, group after group."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def zero_grad(self) -> None:
        """Clear all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Apply the gradients."""
        raise NotImplementedError

    def state_dict(self) -> dict[int, dict[str, Any]]:
        """Return the state of each parameter that has one, by its number: tensors and plain numbers by name."""
        return {number: self.state[one] for number, one in enumerate(self.parameters) if one in self.state}

    def load_state_dict(self, state: Mapping[int, Mapping[str, Any]]) -> None:
        """Continue from a `state_dict` of the same parameters, whose tensors are copied to each one's device."""
        parameters = self.parameters
        self.state.clear()
        for number, values in state.items():
            own = parameters[number]
            self.state[own] = {
                name: value.to(own.device, copy=True) if isinstance(value, Tensor) else value
                for name, value in values.items()
            }
