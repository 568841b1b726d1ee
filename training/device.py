"""What training runs on: a device, and so many threads of the processor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ..errors import InputError, SystemProblem


@dataclass(frozen=True)
class Machine:
    """device: what holds the model. threads: of the processor, for the work inside one operation."""

    device: torch.device = torch.device("cpu")  # noqa: RUF009  (it is immutable)
    threads: int = 1

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let torch use so many threads, and leave them and the random state as they were."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        devices = [self.device] if self.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=devices):
                yield
        finally:
            torch.set_num_threads(before)

    def random_state(self) -> bytes:
        """The state of torch's generators, of this device and the processor."""
        states = [torch.get_rng_state()]
        if self.device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self.device))
        return torch.cat(states).numpy().tobytes()

    def set_random_state(self, state: bytes) -> None:
        """Go back to a state that `random_state` gave on a machine of this kind."""
        both = torch.frombuffer(bytearray(state), dtype=torch.uint8)
        size = len(torch.get_rng_state())
        torch.set_rng_state(both[:size])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(both[size:], self.device)


def machine(device: str = "auto", threads: int = 1) -> Machine:
    """The machine to train on; "auto" is the graphics processor if torch sees one.

    A step of a small model takes milliseconds: more threads gain little, and wait for one another where cores are
    busy. Raises InputError for a device that is not known, SystemProblem for one that is not there.
    """
    if threads < 1:
        raise InputError(f"threads is {threads}; at least 1 is needed.")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()) or (kind == "cpu" and number):
        raise InputError(f"There is no device {device!r}; known are: auto, cpu, cuda, cuda:0, cuda:1 and so on.")
    if kind == "cpu":
        return Machine(threads=threads)
    # Started by torch's launcher, every process of a machine takes its own.
    index = int(number or os.environ.get("LOCAL_RANK", "0"))
    if index >= torch.cuda.device_count():
        build = "" if torch.version.cuda else "; this torch is a build for CPUs, install one for CUDA"
        raise SystemProblem(
            f"The device cuda:{index} is not there: torch {torch.__version__} sees {torch.cuda.device_count()} "
            f"CUDA devices{build}. Or train with --device cpu."
        )
    return Machine(torch.device("cuda", index), threads)
