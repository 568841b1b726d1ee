"""The optimizers of dense parameters are torch's, to the bit, and do without its compiler."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lexport.training.optimization.dense import DenseOptimizer

TORCHS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "adam": lambda parameters: torch.optim.Adam(parameters, 0.1, fused=True),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, 0.1, weight_decay=0.5, fused=True),
    "adagrad": lambda parameters: torch.optim.Adagrad(parameters, 0.1),
    "sgd": lambda parameters: torch.optim.SGD(parameters, 0.1),
}
rules = pytest.mark.parametrize("rule", TORCHS)


def parameters() -> list[nn.Parameter]:
    draw = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(*shape, generator=draw)) for shape in ((3, 4), (5,), (2, 2))]


def ours(own: list[nn.Parameter], rule: str) -> DenseOptimizer:
    return DenseOptimizer([{"params": own, "weight_decay": 0.5}], 0.1, rule)


def trained(optimizer: DenseOptimizer | torch.optim.Optimizer, own: list[nn.Parameter], steps: range) -> list[Tensor]:
    for step in steps:
        draw = torch.Generator().manual_seed(step)
        for place, one in enumerate(own):
            # One of them has no gradient in every other step.
            one.grad = None if place == 1 and step % 2 else torch.randn(one.shape, generator=draw)
        optimizer.step()
    return [one.detach() for one in own]


@rules
def test_steps_are_those_of_torch(rule: str) -> None:
    own, expected = parameters(), parameters()
    found = trained(ours(own, rule), own, range(5))
    for one, other in zip(found, trained(TORCHS[rule](expected), expected, range(5)), strict=True):
        assert torch.equal(one, other)


@rules
def test_training_goes_on_from_a_state_as_if_it_had_never_stopped(rule: str) -> None:
    own, whole = parameters(), parameters()
    first = ours(own, rule)
    trained(first, own, range(3))
    second = ours(own, rule)
    second.load_state_dict(first.state_dict())
    for one, other in zip(
        trained(second, own, range(3, 6)), trained(ours(whole, rule), whole, range(6)), strict=True
    ):
        assert torch.equal(one, other)


def test_a_training_imports_neither_the_compiler_of_torch_nor_the_client(tiny_csv: Path, tmp_path: Path) -> None:
    script = (
        "import sys, lexport\n"
        f"lexport.train({str(tiny_csv)!r}, out={str(tmp_path / 'run')!r}, epochs=1)\n"
        "print([name for name in ('torch._dynamo', 'httpx', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
