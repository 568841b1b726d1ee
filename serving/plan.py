"""Plan the workers of each model and the threads of each worker, so that together they use the machine's cores."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ..errors import InputError, SystemProblem
from .store import Archive

# One worker of a small text model nearly saturates TorchServe's frontend: more of them only cost memory.
MAX_BY_DEFAULT = 4


@dataclass(frozen=True)
class Plan:
    """Workers of each model and threads of each worker, on one kind of device."""

    device: str
    """`cpu` or `gpu`."""
    gpus: int
    """Number of CUDA devices the workers are spread over; 0 for `cpu`."""
    workers: dict[str, int]
    """Workers by model name."""
    threads: int
    """Threads of one worker: workers × threads is at most the number of cores, unless workers alone exceed it."""

    cores: int
    """Cores to divide; the workers divide them again when their number changes."""

    threads_given: bool = False
    """Whether `threads` is what was asked for, not a share of the machine's cores."""

    @property
    def total(self) -> int:
        """Workers of all models together."""
        return sum(self.workers.values())


def parse_workers(text: str) -> tuple[str, int | None]:
    """Parse `cpu:2` to `("cpu", 2)`, `gpu` to `("gpu", None)`; the number is workers per model, None is automatic.

    Behind the number the threads of each worker may be named, `cpu:2x1`; `parse_threads` returns them. Raises
    InputError for anything else.
    """
    device, number, _ = _parsed(text)
    return device, number


def parse_threads(text: str) -> int | None:
    """Parse the threads of each worker, 1 of `cpu:2x1`; None where they are not named. Raises as `parse_workers`."""
    return _parsed(text)[2]


def _parsed(text: str) -> tuple[str, int | None, int | None]:
    pattern = r"(cpu|gpu)(?::([1-9][0-9]{0,3})(?:x([1-9][0-9]{0,2}))?)?"
    match = re.fullmatch(pattern, text.strip().lower())
    if not match:
        raise InputError(
            f"--workers {text!r} is not understood. Expected DEVICE, DEVICE:NUMBER or DEVICE:NUMBERxTHREADS, workers "
            "per model and threads of each, for example cpu, cpu:2, cpu:2x1 or gpu:1.",
            code="LX-SERVE-014",
        )
    return match[1], int(match[2]) if match[2] else None, int(match[3]) if match[3] else None


def plan(
    archives: Sequence[Archive],
    workers: str,
    *,
    cores: int,
    gpus: int,
    configured: Mapping[str, int] = MappingProxyType({}),
) -> Plan:
    """Divide `cores` over the workers of all archives.

    Without a number a model gets as many workers as `configured` (the user's settings) says; any other gets an equal
    share of the cores, at least one worker and at most four (one per GPU on `gpu`). An archive whose settings name
    fewer workers keeps that number, because TorchServe obeys them. Each worker has the threads that `workers` names
    (`cpu:2x1`), else its share of the cores. Raises InputError if an archive names more workers.
    """
    device, number, given = _parsed(workers)
    if number is None:
        share = gpus if device == "gpu" else cores // max(1, len(archives))
        number = max(1, min(MAX_BY_DEFAULT, share))
    planned = {archive.name: configured.get(archive.name, number) for archive in archives}
    for archive in archives:
        if archive.most_workers > planned[archive.name]:
            raise InputError(
                f"{archive.path}: its settings (minWorkers, maxWorkers) ask for {archive.most_workers} workers, and "
                f"{planned[archive.name]} are planned by --workers {workers}. If this machine is to run that many, "
                f"give --workers {device}:{archive.most_workers}; otherwise pack it without these settings.",
                code="LX-SERVE-015",
            )
    counts = {archive.name: archive.workers or planned[archive.name] for archive in archives}
    total = sum(counts.values())
    return Plan(
        device=device,
        gpus=gpus if device == "gpu" else 0,
        workers=counts,
        threads=given or max(1, cores // max(1, total)),
        # If the number of workers changes, they divide as many threads again.
        cores=given * total if given else cores,
        threads_given=given is not None,
    )


def check_devices(archives: Sequence[Archive], workers: str, *, allow_cpu: bool) -> list[Archive]:
    """Return the archives that GPU `workers` cannot run.

    Raises InputError for them unless they may run on the CPU.
    """
    on_gpu = parse_workers(workers)[0] == "gpu"
    bound = [archive for archive in archives if on_gpu and archive.cpu_alone is not None]
    if bound and not allow_cpu:
        raise InputError(
            "; ".join(f"{archive}: {archive.cpu_alone}" for archive in bound)
            + ". Archive an fp32 or fp16 variant, use --workers cpu, or let it run on the CPU beside those on a GPU "
            "with --allow-cpu.",
            code="LX-SERVE-016",
        )
    return bound


def find_gpus() -> int:
    """Return the number of CUDA devices that TorchServe can see, counted as TorchServe does: with nvidia-smi.

    Raises SystemProblem with the remedy if there is none.
    """
    command = shutil.which("nvidia-smi")
    if command is None:
        if Path("/proc/driver/nvidia/gpus").exists():
            raise SystemProblem(
                "This machine has a CUDA device but no nvidia-smi on the PATH, and TorchServe finds devices only "
                "with it. Add its folder to PATH, or use --workers cpu.",
                code="LX-SERVE-017",
            )
        raise SystemProblem(
            "--workers gpu needs a CUDA device and this machine shows none (no nvidia-smi on the PATH). "
            "Install the NVIDIA driver, or use --workers cpu.",
            code="LX-SERVE-018",
        )
    try:
        listing = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=30, check=False)
        found = sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
        output = (listing.stderr or listing.stdout).strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        found, output = 0, str(error)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        found = min(found, sum(bool(entry.strip()) and entry.strip() != "-1" for entry in visible.split(",")))
        output = f"CUDA_VISIBLE_DEVICES={visible}"
    if found == 0:
        reason = output.splitlines()[0] if output else "nvidia-smi lists none"
        raise SystemProblem(
            f"--workers gpu needs a CUDA device and none can be used ({reason}). Fix that, or use --workers cpu.",
            code="LX-SERVE-019",
        )
    return found
