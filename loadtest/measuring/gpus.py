"""The GPUs of the machine during a run, by the driver's own program `nvidia-smi`."""

from __future__ import annotations

import csv
import shutil
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from .figures import GpuUse

_QUERY = "index,name,utilization.gpu,memory.used"
_EVERY = 500  # ms between two samples
_MIB = 1 << 20


class Sampling:
    """The samples of a run, which `uses` reads once it is over."""

    def __init__(self, file: Path | None) -> None:
        """Read `file`, which `nvidia-smi` has written; None where there is no such program."""
        self._file = file

    def uses(self) -> tuple[GpuUse, ...] | None:
        """Return what each GPU did; None where there is no `nvidia-smi`, or it shows no GPU."""
        if self._file is None:
            return None
        return read_samples(self._file.read_text(encoding="utf-8", errors="replace")) or None


@contextmanager
def sampled(folder: Path, here: bool = True) -> Iterator[Sampling]:
    """Context manager: sample the GPUs of this machine while it is open, into a file in `folder`.

    Nothing is sampled where there is no `nvidia-smi`, or the server is not `here`, on this machine.
    """
    program = shutil.which("nvidia-smi") if here else None
    if program is None:
        yield Sampling(None)
        return
    path = folder / "gpus.csv"
    with path.open("wb") as file:
        process = subprocess.Popen(
            [program, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits", f"--loop-ms={_EVERY}"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process, which ends it
        )
        try:
            yield Sampling(path)
        finally:
            process.terminate()
            process.wait()


def read_samples(text: str) -> tuple[GpuUse, ...]:
    """Return the use of each GPU of the samples, one in a line; what is not a sample is left out."""
    samples = []
    for line in csv.reader(text.splitlines(), skipinitialspace=True):
        try:
            index, name, busy, memory = line
            samples.append((int(index), name, float(busy) / 100, int(memory) * _MIB))
        except ValueError:  # the last line may be cut, and a value may be "[N/A]"
            continue
    found = []
    for (index, name), group in groupby(sorted(samples), key=lambda one: one[:2]):
        own = list(group)
        found.append(
            GpuUse(index, name, statistics.mean(busy for *_, busy, _ in own), max(memory for *_, memory in own))
        )
    return tuple(found)


def together(several: Sequence[tuple[GpuUse, ...] | None]) -> tuple[GpuUse, ...] | None:
    """Return the use in several runs as that of one; None if it is not known of one."""
    known = [use for uses in several if uses for use in uses]
    if not known or None in several:
        return None
    found = []
    for (index, name), group in groupby(sorted(known, key=lambda use: use.index), key=lambda u: (u.index, u.name)):
        own = list(group)
        found.append(GpuUse(index, name, statistics.mean(use.busy for use in own), max(use.memory for use in own)))
    return tuple(found)
