"""The hardware that training runs on: a torch device and a number of CPU threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ..errors import InputError, SystemProblem


@dataclass(frozen=True)
class Device:
    """A torch device, and how many CPU threads torch may use."""

    torch_device: torch.device = torch.device("cpu")  # noqa: RUF009  (it is immutable)
    """Where the model is."""
    threads: int = 1
    """CPU threads that one operation may use."""

    @contextmanager
    def activated(self) -> Iterator[None]:
        """Context manager: torch uses `threads` threads. Afterwards restore the thread count and the random state."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        devices = [self.torch_device] if self.torch_device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=devices):
                yield
        finally:
            torch.set_num_threads(before)

    def random_state(self) -> bytes:
        """Return the state of torch's random generators: CPU first, then this device."""
        states = [torch.get_rng_state()]
        if self.torch_device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self.torch_device))
        return torch.cat(states).numpy().tobytes()

    def set_random_state(self, state: bytes) -> None:
        """Restore a state that `random_state` returned on a device of this kind."""
        both = torch.frombuffer(bytearray(state), dtype=torch.uint8)
        size = len(torch.get_rng_state())
        torch.set_rng_state(both[:size])
        if self.torch_device.type == "cuda":
            torch.cuda.set_rng_state(both[size:], self.torch_device)


def choose_device(device: str = "auto", threads: int = 1) -> Device:
    """Return the device to train on; "auto" is the GPU if torch sees one.

    A step of a small model takes milliseconds: more threads gain little, and wait for each other where cores are
    busy. Raises InputError for an unknown device name, SystemProblem for a device that this machine lacks.
    """
    if threads < 1:
        raise InputError(f"threads is {threads}; at least 1 is needed.", code="LX-TRAIN-007")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()) or (kind == "cpu" and number):
        raise InputError(
            f"Unknown device {device!r}. Choose one of: auto, cpu, cuda, cuda:0, cuda:1 and so on.",
            code="LX-TRAIN-008",
        )
    if kind == "cpu":
        return Device(threads=threads)
    # Under torch's launcher each process of a machine uses the GPU of its own local rank.
    index = int(number or os.environ.get("LOCAL_RANK", "0"))
    if index >= torch.cuda.device_count():
        build = "" if torch.version.cuda else "; this torch is a build for CPUs, install one for CUDA"
        raise SystemProblem(
            f"The device cuda:{index} is not available: torch {torch.__version__} sees {torch.cuda.device_count()} "
            f"CUDA devices{build}. You can also train with --device cpu.",
            code="LX-TRAIN-009",
        )
    return Device(torch.device("cuda", index), threads)
